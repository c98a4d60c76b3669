"""Servers behind nginx and HAProxy: connections come through, and the client is known."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import talkws
from peers import PATIENCE, in_thread
from services import free_port, running_service

# What nginx tells of its client, in a line of its configuration.
X_FORWARDED = """proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
proxy_set_header X-Forwarded-Host $http_host;"""
FORWARDED = """proxy_set_header Forwarded '$http_forwarded, for="$remote_addr:$remote_port";host="$http_host"';"""


def nginx(port: int, server: str, tells: str, directory: Path) -> Sequence[str]:
    """nginx as an HTTP proxy, which asks for a host of its own."""
    temporary = "\n".join(
        f"{name}_temp_path {directory}/{name};"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config = directory / "nginx.conf"
    config.write_text(
        f"""daemon off;
master_process off;
pid {directory}/nginx.pid;
error_log stderr;
events {{}}
http {{
access_log off;
{temporary}
server {{
listen 127.0.0.1:{port};
location / {{
proxy_pass http://{server};
proxy_http_version 1.1;
proxy_set_header Host inner.example;
proxy_set_header Upgrade $http_upgrade;
proxy_set_header Connection upgrade;
{tells}
}}
}}
}}
"""
    )
    return ["nginx", "-p", str(directory), "-c", str(config), "-e", "stderr"]


def haproxy(port: int, server: str, tells: str, directory: Path) -> Sequence[str]:
    """HAProxy; `tells` is what it says to the server, and in which mode."""
    mode, option = tells.split(" ", 1)
    option, of_server = (option, "") if mode == "http" else ("", option)
    config = directory / "haproxy.cfg"
    config.write_text(
        f"""defaults
mode {mode}
timeout connect 10s
timeout client 60s
timeout server 60s
timeout tunnel 60s
{option}
frontend in
bind 127.0.0.1:{port}
default_backend out
backend out
server one {server} {of_server}
"""
    )
    return ["haproxy", "-db", "-f", str(config)]


# A proxy, what it is told to tell, how the server is to understand it, and whether the port is told.
PROXIES: dict[str, tuple[Any, str, Any, bool]] = {
    "nginx, X-Forwarded-For": (nginx, X_FORWARDED, "X-Forwarded-For", False),
    "nginx, Forwarded": (nginx, FORWARDED, "Forwarded", True),
    "haproxy, X-Forwarded-For": (
        haproxy,
        "http option forwardfor",
        "X-Forwarded-For",
        False,
    ),
    "haproxy, PROXY 1": (haproxy, "tcp send-proxy", "PROXY", True),
    "haproxy, PROXY 2": (haproxy, "tcp send-proxy-v2", "PROXY", True),
    "haproxy, PROXY 2 and more": (
        haproxy,
        "tcp send-proxy-v2 proxy-v2-options crc32c,unique-id",
        "PROXY",
        True,
    ),
}


@contextmanager
def proxied(make: Any, tells: str, server: str) -> Iterator[str]:
    """The URL of a proxy in front of a server."""
    with tempfile.TemporaryDirectory(prefix="talkws-proxy-") as directory:
        port = free_port()
        command = make(port, server, tells, Path(directory))
        with running_service(command, port, Path(directory)):
            yield f"ws://127.0.0.1:{port}/"


@contextmanager
def through(
    listener: talkws.Listener, url: str, **options: Any
) -> Iterator[tuple[talkws.ClientConnection, talkws.ServerConnection]]:
    accepted = in_thread(lambda: listener.accept(PATIENCE).upgrade())
    client = talkws.connect(url, **options)
    server = accepted.result(PATIENCE)
    yield client, server
    closed = in_thread(client.close)
    assert server.wait_closed(PATIENCE)
    closed.result(PATIENCE)


def talk(client: talkws.Connection, server: talkws.Connection) -> None:
    for message in ("hello", "x" * 1_000_000):
        client.send(message)
        assert server.recv(PATIENCE) == message
        server.send(message)
        assert client.recv(PATIENCE) == message


@pytest.mark.parametrize("name", PROXIES)
def test_the_client_behind_a_proxy_is_known(name: str) -> None:
    make, tells, forwarding, has_port = PROXIES[name]
    lies = {"X-Forwarded-For": "6.6.6.6", "Forwarded": "for=6.6.6.6"}
    with talkws.listen(
        "ws://127.0.0.1:0", trusted_proxies=["127.0.0.1"], forwarding=forwarding
    ) as listener:
        with proxied(make, tells, f"127.0.0.1:{listener.port}") as url:
            # From another address than the proxy's, or it would be taken for one.
            with through(
                listener,
                url,
                source_address=("127.0.0.9", 0),
                additional_headers=lies,
            ) as (client, server):
                host, port = client.local_address
                assert host == "127.0.0.9"
                assert server.remote_address == (host, port if has_port else 0)
                assert server.direct_remote_address[0] == "127.0.0.1"
                talk(client, server)


@pytest.mark.parametrize("name", ["nginx, X-Forwarded-For", "nginx, Forwarded"])
def test_a_page_of_the_outer_host_may_connect(name: str) -> None:
    make, tells, forwarding, _ = PROXIES[name]
    with talkws.listen(
        "ws://127.0.0.1:0", trusted_proxies=["127.0.0.1"], forwarding=forwarding
    ) as listener:
        with proxied(make, tells, f"127.0.0.1:{listener.port}") as url:
            outer = url.replace("ws://", "http://").rstrip("/")
            with through(listener, url, origin=outer) as (client, server):
                assert server.request.headers["Host"] == "inner.example"
                talk(client, server)
            accepting = in_thread(lambda: listener.accept(PATIENCE))
            with pytest.raises(talkws.InvalidStatus, match="403"):
                talkws.connect(url, origin="http://inner.example")
            listener.close()
            with pytest.raises(talkws.ListenerClosed):
                accepting.result(PATIENCE)


def test_nginx_comes_through_a_unix_socket() -> None:
    with tempfile.TemporaryDirectory(prefix="talkws-") as directory:
        path = f"{directory}/app.sock"
        with talkws.listen(
            f"ws+unix://{path}",
            unix_mode=0o666,
            trusted_proxies=["unix"],
            forwarding="X-Forwarded-For",
        ) as listener:
            with proxied(nginx, X_FORWARDED, f"unix:{path}") as url:
                with through(listener, url) as (client, server):
                    assert server.remote_address == ("127.0.0.1", 0)
                    assert server.direct_remote_address is None
                    talk(client, server)


def test_serve_knows_the_client_too() -> None:
    seen = []

    def answer(connection: talkws.ServerConnection) -> None:
        seen.append((connection.remote_address, connection.direct_remote_address[0]))

    with talkws.serve(
        answer,
        "127.0.0.1",
        0,
        trusted_proxies=["127.0.0.0/8"],
        forwarding="Forwarded",
    ) as server:
        serving = in_thread(server.serve_forever)
        headers = {"Forwarded": "for=192.0.2.1"}
        with talkws.connect(server.url, additional_headers=headers) as client:
            assert client.wait_closed(PATIENCE)
    serving.result(PATIENCE)
    assert seen == [(("192.0.2.1", 0), "127.0.0.1")]


def test_one_makes_no_sense_without_the_other() -> None:
    wrong: list[dict[str, Any]] = [
        {"trusted_proxies": ["unix"]},
        {"forwarding": "PROXY"},
        {"trusted_proxies": ["nginx"], "forwarding": "PROXY"},
        {"trusted_proxies": ["unix"], "forwarding": "X-Real-IP"},
    ]
    for options in wrong:
        with pytest.raises(ValueError, match=r"prox|forwarding"):
            talkws.listen("ws://127.0.0.1:0", **options)
    with pytest.raises(TypeError, match="trusted_proxies"):
        talkws.listen(
            "ws://127.0.0.1:0",
            trusted_proxies="127.0.0.1",
            forwarding="PROXY",
        )


def test_systemd_has_opened_nothing_for_this_process() -> None:
    with pytest.raises(FileNotFoundError, match="LISTEN_PID"):
        talkws.listen_systemd("web")
    with pytest.raises(ValueError, match="SocketMode="):
        talkws.listen_systemd(unix_mode=0o600)
