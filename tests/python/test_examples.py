"""The example programs, as a user runs them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import talkws
from peers import PATIENCE

EXAMPLES = Path(__file__).parents[2] / "examples"


@contextmanager
def running(name: str, argument: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server that runs, and its URL."""
    program = subprocess.Popen(
        [sys.executable, EXAMPLES / name, argument], stdout=subprocess.PIPE, text=True
    )
    with program:
        try:
            assert program.stdout is not None
            ready = program.stdout.readline()
            assert ready.startswith("Listening on ws://")
            yield program, ready.split()[2]
        finally:
            program.kill()


def run_client(url: str) -> subprocess.CompletedProcess[str]:
    command: list[str | Path] = [sys.executable, EXAMPLES / "hello_client.py", url]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE, check=False
    )


def test_client_and_server_say_hello() -> None:
    with running("hello_server.py", "ws://localhost:0/talk-to-server") as (server, url):
        for _ in range(2):
            client = run_client(url)
            assert client.stdout == "Received: Hello from server!\n"
            assert (client.returncode, client.stderr) == (0, "")
            assert server.stdout is not None
            assert server.stdout.readline() == "Message: Hello from client!\n"


def test_a_client_that_fails_says_why() -> None:
    with running("hello_server.py", "ws://localhost:0/talk-to-server") as (_, url):
        client = run_client(url.replace("talk", "shout"))
    assert client.returncode == 1
    assert client.stderr.startswith(f"dial {url.replace('talk', 'shout')}: ")
    assert "404" in client.stderr


def test_the_echo_server_echoes_for_many_at_once() -> None:
    with running("echo_server.py", "0") as (_, url):
        clients = [talkws.connect(url) for _ in range(5)]
        for client in clients:
            for message in ("text", b"binary", "", os.urandom(1 << 20)):
                client.send(message)
                assert client.recv(PATIENCE) == message
        for client in clients:
            client.close()
            assert client.close_code == 1000
