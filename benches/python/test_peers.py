"""The peers notice when an answer is not what was sent, those in C and those in Python alike."""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import pytest
from contenders import PROGRAMS
from program import Command, Program, running

sys.path.insert(0, str(PROGRAMS))

from client import BlockingClient, Conversation, Link, Message, make_message

PEERS = Path(__file__).resolve().parent / "peers"
TIMEOUT = 60.0
SIZE = 300


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    if not sys.platform.startswith("linux"):
        pytest.skip("the peers need Linux (epoll)")
    folder = tmp_path_factory.mktemp("peers")

    @cache
    def compile_one(name: str) -> Path:
        compiler = shlex.split(os.environ.get("CC", "cc"))
        built = folder / name
        source = PEERS / f"{name}.c"
        subprocess.run(
            [*compiler, "-std=c11", "-O2", "-o", built, source, "-pthread"],
            check=True,
            timeout=TIMEOUT,
        )
        return built

    return compile_one


@pytest.fixture
def load(
    build: Callable[[str], Path], request: pytest.FixtureRequest
) -> Iterator[Program]:
    manner = getattr(request, "param", "epoll")
    command: Command = [build("load"), "raw", manner]
    with running("load", command, takes_input=True) as program:
        yield program


def ask(program: Program, question: str) -> str | None:
    program.write_line(question)
    return program.next_line(TIMEOUT)


class Liar:
    """Raw TCP that sends messages back with the byte at `wrong` changed; -1 is none."""

    def __init__(self, wrong: int) -> None:
        self._wrong = wrong
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(TIMEOUT)
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with connection, connection.makefile("rb") as come:
            connection.settimeout(TIMEOUT)
            size = int.from_bytes(come.read(4), sys.byteorder)
            connection.sendall(b"!")
            while message := bytearray(come.read(size)):
                if self._wrong >= 0:
                    message[self._wrong] ^= 1
                connection.sendall(message)

    def end(self) -> None:
        self._thread.join(TIMEOUT)
        self._listener.close()


@pytest.mark.parametrize("load", ["epoll", "turns"], indirect=True)
@pytest.mark.parametrize("wrong", [-1, 0, SIZE - 1])
def test_the_load_notices_a_wrong_byte(load: Program, wrong: int) -> None:
    liar = Liar(wrong)
    assert ask(load, f"open {liar.port} 1 binary {SIZE}") == "ok"
    answer = ask(load, "run 0")
    if wrong < 0:
        assert answer is not None
        assert answer.startswith("done 1 ")
    else:
        assert answer == "failed the answer is not what was sent"
    assert ask(load, "close") == "ok"
    liar.end()


@pytest.mark.parametrize("size", [1, 125, 126, 65535, 65536, 1 << 20])
@pytest.mark.parametrize("manner", ["epoll", "turns"])
def test_load_and_echo_understand_each_other(
    build: Callable[[str], Path], manner: str, size: int
) -> None:
    with ExitStack() as stack:
        serving: Command = [build("echo"), "ws"]
        echo = stack.enter_context(running("echo", serving, takes_input=True))
        port = echo.wait_until_ready(TIMEOUT)
        loading: Command = [build("load"), "ws", manner]
        load = stack.enter_context(running("load", loading, takes_input=True))
        for count in (1, 7):
            assert ask(load, f"open {port} {count} text {size}") == "ok"
            assert (ask(load, "run 0") or "").startswith(f"done {count} ")
            assert ask(load, "close") == "ok"
        assert (ask(echo, "cpu") or "").startswith("cpu ")


def conversation_with(answers: Callable[[Message], object]) -> Conversation:
    def connect(url: str, stack: ExitStack) -> Link:
        sent: list[Message] = []
        return Link(sent.append, lambda: answers(sent.pop()))

    return Conversation(BlockingClient(connect))


@pytest.mark.parametrize("kind", ["text", "binary"])
@pytest.mark.parametrize("connections", [1, 3])
def test_a_client_in_python_counts_round_trips(kind: str, connections: int) -> None:
    conversation = conversation_with(lambda message: message)
    assert conversation.answer(f"open 1 {connections} {kind} 64") == "ok"
    assert conversation.answer("run 0").startswith(f"done {connections} ")
    assert conversation.answer("close") == "ok"


@pytest.mark.parametrize(
    ("kind", "answers"),
    [
        ("text", lambda message: message[:-1]),
        ("binary", lambda message: message[:-1] + b"!"),
        ("text", lambda message: message.encode()),
        ("binary", bytearray),
    ],
)
def test_a_client_in_python_notices_a_wrong_answer(
    kind: str, answers: Callable[[Message], object]
) -> None:
    conversation = conversation_with(answers)
    conversation.answer(f"open 1 1 {kind} 64")
    assert conversation.answer("run 0") == "failed an answer is not what was sent"


@pytest.mark.parametrize("size", [0, 1, 64, 1 << 20])
def test_messages_have_the_size_that_was_asked_for(size: int) -> None:
    assert len(make_message("text", size)) == len(make_message("binary", size)) == size
