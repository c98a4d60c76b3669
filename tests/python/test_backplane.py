"""A chat on two servers behind HAProxy, with a broker between them."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import talkws
from peers import PATIENCE
from services import free_port, running_service

SERVER = Path(__file__).parents[2] / "examples" / "backplane_server.py"


Broker = Callable[[int], tuple[Sequence[str], str]]


def redis(port: int) -> tuple[Sequence[str], str]:
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    return ["redis-server", *options], f"redis://127.0.0.1:{port}"


def nats(port: int) -> tuple[Sequence[str], str]:
    options = ["--port", str(port), "--addr", "127.0.0.1"]
    return ["nats-server", *options], f"nats://127.0.0.1:{port}"


@contextmanager
def running(broker: str) -> Iterator[int]:
    """A server process of the chat, and its port."""
    command: list[str | Path] = [sys.executable, SERVER, broker, "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            ready = server.stdout.readline()
            assert ready.startswith("Listening on ws://"), ready
            yield int(ready.rstrip("/\n").rpartition(":")[2])
        finally:
            server.kill()


def haproxy(port: int, servers: Sequence[int], directory: Path) -> Sequence[str]:
    """Each client goes to the server that has the fewest."""
    lines = "\n".join(f"server s{each} 127.0.0.1:{each}" for each in servers)
    config = directory / "haproxy.cfg"
    config.write_text(
        f"""defaults
mode http
timeout connect 10s
timeout client 60s
timeout server 60s
timeout tunnel 60s
frontend in
bind 127.0.0.1:{port}
default_backend out
backend out
balance roundrobin
http-response set-header X-Server %s
{lines}
"""
    )
    return ["haproxy", "-db", "-f", str(config)]


@pytest.mark.parametrize(
    ("package", "make"), [("redis", redis), ("nats", nats)], ids=["redis", "nats"]
)
def test_what_one_server_hears_all_clients_of_all_servers_do(
    package: str, make: Broker
) -> None:
    install = {"redis": "redis", "nats": "nats-py"}[package]
    reason = f"no client of {package} for this Python; pip install {install}"
    pytest.importorskip(package, reason=reason)
    with ExitStack() as stack:
        enter = stack.enter_context
        directories = [
            Path(enter(tempfile.TemporaryDirectory(prefix="talkws-"))) for _ in range(2)
        ]
        port = free_port()
        command, broker = make(port)
        enter(running_service(command, port, directories[0]))
        servers = [enter(running(broker)) for _ in range(2)]
        port = free_port()
        command = haproxy(port, servers, directories[1])
        enter(running_service(command, port, directories[1]))
        url = f"ws://127.0.0.1:{port}/"
        clients = [enter(talkws.connect(url, proxy=None)) for _ in range(6)]
        for client in clients:
            # From here on it hears what is said.
            assert client.recv(PATIENCE) == "welcome"
        responses = [client.response for client in clients]
        by = {response.headers["X-Server"] for response in responses if response}
        assert len(by) == 2, "both servers have clients"
        for number, speaker in enumerate(clients):
            speaker.send(f"{number} says Grüße")
            for client in clients:
                assert client.recv(PATIENCE) == f"{number} says Grüße"
