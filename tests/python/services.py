"""Servers of other projects, such as Debian has them, for the time of a test."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

PATIENCE = 30.0

# Where it is not the name of the program.
PACKAGES = {"danted": "dante-server"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running_service(
    command: Sequence[str], port: int, directory: Path
) -> Iterator[None]:
    """A service that listens on `port`; without its program the test is skipped by name."""
    program = find(command[0])
    log = directory / "output"
    with open(log, "wb") as output:
        service = subprocess.Popen(
            [program, *command[1:]],
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        _wait_until_listening(service, port, log)
        yield
    finally:
        service.terminate()
        try:
            service.wait(5)
        except subprocess.TimeoutExpired:
            service.kill()
            service.wait()


def find(name: str) -> str:
    """The path of a program, which may be one for the system's administrator."""
    program = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if program is None:
        package = PACKAGES.get(name, name)
        pytest.skip(f"no {name}; Debian, Ubuntu: apt install {package}")
    return program


def _wait_until_listening(
    service: subprocess.Popen[bytes], port: int, log: Path
) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            said = log.read_text(errors="replace")[-2000:]
            assert service.poll() is None, f"{service.args!r} ended: {said}"
            assert time.monotonic() < deadline, f"{service.args!r} says: {said}"
            # It tells nobody when it is ready.
            time.sleep(0.02)
