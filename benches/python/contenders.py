"""Who is measured, in which role, and what each of them needs."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from environment import PYTHON
from program import Command
from workspace import TARGET

PROGRAMS = Path(__file__).resolve().parent / "programs"
ECHO = TARGET / "c" / "bench_echo"
LOAD = TARGET / "c" / "bench_load"
RAW = "raw TCP, in C"
ROLES = ("client", "server")


@dataclass(frozen=True)
class Contender:
    """A library as it is used; `needs` are the packages that it is made of."""

    name: str
    needs: tuple[str, ...] = ()
    program: str = ""
    arguments: tuple[str, ...] = ()
    roles: tuple[str, ...] = ROLES
    how_to_get: str = "run make with PYTHON=another python3"

    @property
    def is_raw(self) -> bool:
        return self.name == RAW

    def command(self, role: str) -> Command:
        """Its program in this role. Raw TCP has none here: both ends of it are peers."""
        return [PYTHON, PROGRAMS / self.program, role, *self.arguments]


CONTENDERS = (
    Contender(RAW),
    Contender("talkws", ("talkws",), "with_talkws.py"),
    Contender(
        "talkws, events",
        ("talkws",),
        "with_talkws_events.py",
        roles=("server",),
    ),
    Contender("talkws, asyncio", ("talkws",), "with_talkws_asyncio.py", ("asyncio",)),
    Contender(
        "talkws, uvloop", ("talkws", "uvloop"), "with_talkws_asyncio.py", ("uvloop",)
    ),
    Contender("websockets, sync", ("websockets",), "with_websockets_sync.py"),
    Contender(
        "websockets, asyncio",
        ("websockets",),
        "with_websockets_asyncio.py",
        ("asyncio",),
    ),
    Contender(
        "websockets, uvloop",
        ("websockets", "uvloop"),
        "with_websockets_asyncio.py",
        ("uvloop",),
    ),
    Contender(
        "websocket-client, wsaccel",
        ("websocket-client", "wsaccel"),
        "with_websocket_client.py",
        roles=("client",),
    ),
    Contender("picows, uvloop", ("picows", "uvloop"), "with_picows.py"),
    Contender("aiohttp, uvloop", ("aiohttp", "uvloop"), "with_aiohttp.py"),
    Contender(
        "websocket-rs, sync",
        ("websocket-rs",),
        "with_websocket_rs.py",
        ("sync",),
        roles=("client",),
        how_to_get="it needs Python 3.12: run make with PYTHON=python3.12 or newer",
    ),
    Contender(
        "websocket-rs, uvloop",
        ("websocket-rs", "uvloop"),
        "with_websocket_rs.py",
        ("uvloop",),
        roles=("client",),
        how_to_get="it needs Python 3.12: run make with PYTHON=python3.12 or newer",
    ),
)

ASK_VERSIONS = """
import importlib.metadata, json, platform, sys
def version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
found = {name: version(name) for name in sys.argv[1:]}
print(json.dumps({"Python": platform.python_version(), **found}))
"""


def versions() -> dict[str, str | None]:
    """What the bench's environment has: of Python, and of each package; None where it has none."""
    packages = sorted({package for one in CONTENDERS for package in one.needs})
    asked = subprocess.run(
        [str(PYTHON), "-c", ASK_VERSIONS, *packages],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    found: dict[str, str | None] = json.loads(asked.stdout)
    return found


def missing(contender: Contender, found: dict[str, str | None]) -> str:
    """The first package that it needs and the environment has not; empty when it can run."""
    return next((name for name in contender.needs if found[name] is None), "")
