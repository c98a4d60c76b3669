"""Programs for websockets run with talkws: only their import lines change.

Each is a text, run once with each library, and must print the same.
"""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from textwrap import dedent

import asyncio_programs
import opening_programs
import pytest
import talking_programs
from peers import PATIENCE

# What each of them says first.
SERVER_AND_CLIENT = """
    import threading
    from websockets.sync.client import connect
    from websockets.sync.server import serve

    def start(handler, **options):
        server = serve(handler, "127.0.0.1", 0, **options)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        return server, thread, "ws://127.0.0.1:%d" % server.socket.getsockname()[1]
"""

ASYNCIO = """
    import asyncio
    from websockets.asyncio.client import connect
    from websockets.asyncio.server import serve

    def uri_of(server):
        host, port = list(server.sockets)[0].getsockname()
        return "ws://%s:%d" % (host, port)
"""

PROGRAMS = {**talking_programs.PROGRAMS, **opening_programs.PROGRAMS}

# The whole change: what an import of theirs becomes.
IMPORTS = {
    "from websockets.sync.client import": "from talkws import",
    "from websockets.sync.server import": "from talkws import",
    "from websockets.asyncio.client import": "from talkws.asyncio import",
    "from websockets.asyncio.server import": "from talkws.asyncio import",
    "from websockets.exceptions import": "from talkws import",
    "from websockets.http11 import": "from talkws import",
    "from websockets.datastructures import": "from talkws import",
    "from websockets.frames import": "from talkws import",
}

needs_websockets = pytest.mark.skipif(
    int(version("websockets").split(".")[0]) < 17,
    reason="no websockets 17 here, which needs Python 3.11; run the tests with that",
)


def translated(program: str) -> str:
    """The program with its import lines changed, and nothing else."""
    lines = []
    for line in program.splitlines():
        theirs = next((word for word in IMPORTS if line.startswith(word)), None)
        lines.append(line if theirs is None else line.replace(theirs, IMPORTS[theirs]))
    assert "websockets" not in "\n".join(lines)
    return "\n".join(lines)


def run(program: str, tmp_path: Path) -> str:
    script = tmp_path / "program.py"
    script.write_text(program)
    done = subprocess.run(
        [sys.executable, script],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    # What goes to stderr is for people: each library has words of its own.
    assert done.returncode == 0, done.stderr
    return done.stdout


@needs_websockets
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_prints_the_same(name: str, tmp_path: Path) -> None:
    program = dedent(SERVER_AND_CLIENT) + dedent(PROGRAMS[name])
    theirs = run(program, tmp_path)
    assert theirs
    assert run(translated(program), tmp_path) == theirs


@needs_websockets
@pytest.mark.parametrize("name", asyncio_programs.PROGRAMS)
def test_a_program_on_asyncio_prints_the_same(name: str, tmp_path: Path) -> None:
    program = dedent(ASYNCIO) + dedent(asyncio_programs.PROGRAMS[name])
    program += "\nasyncio.run(main())\n"
    theirs = run(program, tmp_path)
    assert theirs
    assert run(translated(program), tmp_path) == theirs
