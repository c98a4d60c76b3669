"""Which servers are measured, and what each of them needs. Every one sends each message back."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from peers import CACHE, Missing, gorilla, is_older, ws
from program import Command
from workspace import TARGET, VENV_PYTHON

HERE = Path(__file__).resolve().parent / "servers"


@dataclass(frozen=True)
class Server:
    """A program that prints `Listening on ws://HOST:PORT...`, and its environment."""

    command: Command
    environment: dict[str, str] = field(default_factory=dict)


def example(name: str) -> Callable[[], Server]:
    return lambda: Server([TARGET / "release" / "examples" / name, "0"])


def c_example() -> Server:
    return Server([TARGET / "c" / "echo_server", "0"])


def python(program: str, *modules: str) -> Callable[[], Server]:
    def find() -> Server:
        for module in modules:
            found = subprocess.run(
                [VENV_PYTHON, "-c", f"import {module}"],
                check=False,
                capture_output=True,
            )
            if found.returncode:
                raise Missing(f"no {module} in target/venv; make venv")
        return Server([VENV_PYTHON, HERE / program])

    return find


def go() -> Server:
    # It looks whether there is a Go, and the library.
    gorilla()
    source, program = HERE / "gorilla.go", CACHE / "gorilla-deflate"
    if is_older(program, [source]):
        subprocess.run(
            [shutil.which("go") or "go", "build", "-o", program, source],
            check=True,
            env={
                **os.environ,
                "GO111MODULE": "off",
                "GOPATH": "/usr/share/gocode",
            },
        )
    return Server([program])


def node() -> Server:
    return Server(["node", HERE / "ws.js"], ws().environment)


OURS = "talkws, Rust"
SERVERS: dict[str, Callable[[], Server]] = {
    OURS: example("echo_server"),
    "talkws, C": c_example,
    "talkws, Python": python("with_talkws.py", "talkws"),
    "gorilla": go,
    "ws": node,
    "websockets, sync": python("with_websockets_sync.py", "websockets.sync"),
    "websockets, asyncio": python("with_websockets_asyncio.py", "websockets.asyncio"),
    "aiohttp": python("with_aiohttp.py", "aiohttp"),
}
