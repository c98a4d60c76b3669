"""The peers of the tests: how each is built or installed, and how its programs are run."""

from __future__ import annotations

import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target").absolute()
CACHE = TARGET / "interop"
VENV_PYTHON = TARGET / "venv" / "bin" / "python"

# How long a program may take to announce its URL, or to end when it was asked to.
PATIENCE = 20.0
# How long a client may take over all of its checks.
CLIENT_PATIENCE = 180.0


class Missing(Exception):
    """A peer that cannot be had on this machine, and how to get it."""


@dataclass(frozen=True)
class Peer:
    """A library under test, and the commands of its programs; the contract is in README.md.

    A library that has no servers has no commands for them.
    """

    name: str
    server: Sequence[str]
    client: Sequence[str]
    hello_server: Sequence[str]
    hello_client: Sequence[str]
    environment: dict[str, str] = field(default_factory=dict)
    # The checks that cannot be made, in either role, since the library has no such feature.
    client_lacks: frozenset[str] = frozenset()
    server_lacks: frozenset[str] = frozenset()
    # The ways to compress that it knows, of DEFLATE in matrix.py.
    deflates: frozenset[str] = frozenset()


EVERY_WAY = frozenset({"takeover", "no takeover", "takeover by the client", "windows"})

# Of a library that sends every message in one frame.
SENDING_FRAGMENTS = frozenset(
    {"fragmented text", "fragmented binary", "ping between fragments"}
)
FRAGMENTS_FROM_SERVER = frozenset({"fragments from the server"})


def peer(name: str, *command: str, **environment: str) -> Peer:
    """A peer that is one program."""
    server = [*command, "server"]
    return Peer(
        name, server, [*command, "client"], server, [*command, "hello"], environment
    )


def build(command: Sequence[str | Path], **environment: str) -> str | None:
    """Run a build step; if it fails, what it said."""
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode == 0:
        return None
    return done.stdout.strip() or f"{command[0]} ended with {done.returncode}"


def talkws() -> Peer:
    failure = build(["cargo", "build", "--quiet", "--release", "--examples"])
    if failure:
        sys.exit(f"cargo build --release --examples:\n{failure}")
    examples = TARGET / "release" / "examples"
    driver = str(examples / "interop_driver")
    if not Path(driver).exists():
        sys.exit(
            'Cargo.toml has no example "interop_driver" for tests/interop/driver.rs'
        )
    return Peer(
        "talkws",
        [driver, "server"],
        [driver, "client"],
        [str(examples / "hello_server"), "ws://127.0.0.1:0/talk-to-server"],
        [str(examples / "hello_client")],
        deflates=EVERY_WAY,
    )


def talkws_python() -> Peer:
    if build([VENV_PYTHON, "-c", "import talkws"]):
        sys.exit("the Python package is not installed; make build-python")
    driver = [str(VENV_PYTHON), str(HERE / "talkws_peer.py")]
    hello = [str(VENV_PYTHON), str(ROOT / "examples")]
    return Peer(
        "talkws-python",
        [*driver, "server"],
        [*driver, "client"],
        [hello[0], f"{hello[1]}/hello_server.py", "ws://127.0.0.1:0/talk-to-server"],
        [hello[0], f"{hello[1]}/hello_client.py"],
        deflates=EVERY_WAY,
    )


def gorilla() -> Peer:
    get = (
        "apt-get install golang-go golang-github-gorilla-websocket-dev"
        " golang-github-gin-gonic-gin-dev"
    )
    packages = Path("/usr/share/gocode/src/github.com")
    if not shutil.which("go"):
        raise Missing(f"go is not installed; {get}")
    for package in ("gorilla/websocket", "gin-gonic/gin"):
        if not (packages / package).is_dir():
            raise Missing(f"the Go package {package} is not installed; {get}")
    sources = sorted((HERE / "gorilla").glob("*.go"))
    program = CACHE / "gorilla-peer"
    if is_older(program, sources):
        fresh = program.with_suffix(f".{os.getpid()}")
        failure = build(
            ["go", "build", "-o", fresh, *sources],
            GO111MODULE="off",
            GOPATH="/usr/share/gocode",
        )
        if failure:
            sys.exit(f"go build:\n{failure}")
        fresh.replace(program)
    # It takes nothing over, whatever is offered.
    found = peer("gorilla", str(program))
    return replace(found, deflates=frozenset({"takeover", "no takeover"}))


def is_older(product: Path, sources: Sequence[Path]) -> bool:
    if not product.exists():
        return True
    made = product.stat().st_mtime
    return any(source.stat().st_mtime >= made for source in sources)


def python_peer(name: str, module: str, script: str) -> Peer:
    """A peer made of a Python library, which stands beside the tests' other tools."""
    if failure := build([VENV_PYTHON, "-c", f"import {module}"]):
        raise Missing(f"no {module} in target/venv; make venv ({last_line(failure)})")
    return peer(name, str(VENV_PYTHON), str(HERE / script))


def websockets() -> Peer:
    found = python_peer("websockets", "websockets.sync", "websockets_peer.py")
    return replace(found, deflates=EVERY_WAY)


def websockets_asyncio() -> Peer:
    return python_peer("websockets-asyncio", "websockets.asyncio", "asyncio_peer.py")


def aiohttp() -> Peer:
    found = python_peer("aiohttp", "aiohttp", "aiohttp_peer.py")
    return replace(
        found, client_lacks=SENDING_FRAGMENTS, server_lacks=FRAGMENTS_FROM_SERVER
    )


def websocket_client() -> Peer:
    found = python_peer("websocket-client", "websocket", "websocket_client_peer.py")
    return replace(found, server=(), hello_server=())


def ws() -> Peer:
    for tool in ("node", "npm"):
        if not shutil.which(tool):
            raise Missing(f"{tool} is not installed; apt-get install nodejs npm")
    home = CACHE / "node"
    if not (home / "node_modules/ws/package.json").exists():
        home.mkdir(parents=True, exist_ok=True)
        failure = build(
            [
                "npm", "install", "--silent", "--no-fund", "--no-audit",
                "--prefix", home, "ws@8",
            ]
        )  # fmt: skip
        if failure:
            raise Missing(f"no ws; npm install ws ({last_line(failure)})")
    node_path = str(home / "node_modules")
    found = peer("ws", "node", str(HERE / "ws_peer.js"), NODE_PATH=node_path)
    return replace(found, deflates=EVERY_WAY)


def last_line(text: str | None) -> str:
    return text.splitlines()[-1] if text else "no reason given"


FOREIGN = {
    "gorilla": gorilla,
    "websockets": websockets,
    "websockets-asyncio": websockets_asyncio,
    "aiohttp": aiohttp,
    "websocket-client": websocket_client,
    "ws": ws,
}


class Server:
    """A running server program: where it listens, and what it has printed since."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self.collect, daemon=True).start()
        self.url = ""

    def collect(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))
        self.lines.put(None)

    def next_line(self) -> str | None:
        """The next line that it prints; None at the end, or when it takes too long."""
        try:
            return self.lines.get(timeout=PATIENCE)
        except queue.Empty:
            return None


@contextmanager
def running(peer: Peer, command: Sequence[str]) -> Iterator[Server]:
    """A server while the block runs; raises RuntimeError if it does not come up."""
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            command,
            env={**os.environ, **peer.environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        try:
            server = Server(process)
            announcement = server.next_line() or ""
            if not announcement.startswith("Listening on ws://"):
                errors.seek(0)
                raise RuntimeError(
                    f"{peer.name} server said {announcement!r} instead of where it"
                    f" listens; {errors.read().strip()}"
                )
            server.url = announcement.removeprefix("Listening on ")
            yield server
        finally:
            process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def run(
    peer: Peer, command: Sequence[str], url: str, *more: str, **environment: str
) -> str:
    """What a client program prints, and how it failed if it did."""
    try:
        done = subprocess.run(
            [*command, url, *more],
            env={**os.environ, **peer.environment, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=CLIENT_PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        said = error.stdout or b""
        text = said.decode(errors="replace") if isinstance(said, bytes) else said
        return f"{text}\nkilled after {CLIENT_PATIENCE:.0f} s"
    return done.stdout
