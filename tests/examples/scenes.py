"""What the example programs must do. Each scene raises when they do not."""

from __future__ import annotations

import hashlib
import os
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import wire
from program import Command, Program, running
from workspace import ROOT, TARGET, VENV_PYTHON

TIMEOUT = 60.0
VALGRIND: Command = (
    *("valgrind", "--error-exitcode=99", "--fair-sched=yes"),
    *("--leak-check=full", "--errors-for-leak-kinds=definite,indirect"),
    "--show-leak-kinds=definite,indirect",
)
NO_ERRORS = "ERROR SUMMARY: 0 errors"
# Less than the file that is sent, and enough for a program that does not keep it.
MEMORY_LIMIT, FILE_SIZE = 64 << 20, 80 << 20
LIMITED: Command = (
    *(sys.executable, "-c"),
    (
        "import os, resource, sys\n"
        f"resource.setrlimit(resource.RLIMIT_AS, ({MEMORY_LIMIT}, {MEMORY_LIMIT}))\n"
        "os.execv(sys.argv[1], sys.argv[1:])"
    ),
)


class Example:
    """The programs of a language, `rust`, `c` or `python`, plain or under valgrind."""

    def __init__(self, language: str, under_valgrind: bool = False) -> None:
        self.name = language + (" under valgrind" if under_valgrind else "")
        self._language = language
        self._wrapper = VALGRIND if under_valgrind else ()

    def command(self, program: str, *arguments: str | Path) -> Command:
        if self._language == "python":
            start: Command = [VENV_PYTHON, ROOT / "examples" / f"{program}.py"]
        elif self._language == "c":
            start = [TARGET / "c" / program]
        else:
            start = [TARGET / "release" / "examples" / program]
        return [*self._wrapper, *start, *arguments]

    @contextmanager
    def serving(self, program: str, *arguments: str | Path) -> Iterator[str]:
        """A server; gives its URL."""
        command = self.command(program, *arguments)
        with running(f"{self.name} {program}", command) as server:
            yield server.wait_until_ready(TIMEOUT)
            server.stop(TIMEOUT)
            # Its exit code says only by which signal it ended.
            if self._wrapper and NO_ERRORS not in server.complaint():
                raise AssertionError(server.complaint())


def expect(got: object, wanted: object) -> None:
    if got != wanted:
        raise AssertionError(f"got {got!r}, not {wanted!r}")


def expect_end(program: Program, code: int = 0) -> None:
    ended = program.wait_for_end(TIMEOUT)
    if ended != code:
        raise AssertionError(f"exit code {ended}, not {code}: {program.complaint()}")


def expect_lines(program: Program, *lines: str) -> None:
    for line in lines:
        expect(program.next_line(TIMEOUT), line)


@contextmanager
def member(example: Example, url: str, room: str) -> Iterator[Program]:
    command = example.command("chat_client", url.rstrip("/") + room)
    with running(f"{example.name} chat_client", command, takes_input=True) as chatter:
        expect_lines(chatter, f"Welcome to {room}")
        yield chatter


def chat(server: Example, client: Example) -> None:
    with (
        server.serving("chat_server", "ws://127.0.0.1:0") as url,
        member(client, url, "/a") as ann,
        member(client, url, "/a") as bob,
        member(client, url, "/b") as cyd,
    ):
        ann.write_line("Hello, room a!")
        expect_lines(bob, "Hello, room a!")
        bob.write_line("Hello, Ann!")
        expect_lines(ann, "Hello, Ann!")
        with member(client, url, "/b") as dan:
            dan.write_line("Hello, room b!")
            # The first that it hears: nothing of what was said in the other room.
            expect_lines(cyd, "Hello, room b!")
            dan.end_input()
            expect_end(dan)
        for chatter in (ann, bob, cyd):
            chatter.end_input()
            expect_end(chatter)
            expect(chatter.remaining_lines(), [])


def slow_member(server: Example, client: Example) -> None:
    """One who reads nothing is dropped, and the others get all."""
    lines = [str(index) * 200_000 for index in range(10)] * 6
    with (
        server.serving("chat_server", "ws://127.0.0.1:0") as url,
        member(client, url, "/a") as ann,
        wire.client(url, "/a") as deaf,
        member(client, url, "/a") as bob,
    ):
        for line in lines:
            ann.write_line(line)
            expect_lines(bob, line)
        wire.expect_lost(deaf)
        for chatter in (ann, bob):
            chatter.end_input()
            expect_end(chatter)


def lost_chat(client: Example) -> None:
    """One whose server has gone does not wait for its input any more."""
    with closing(wire.Server()) as server:
        command = client.command("chat_client", server.url)
        with running("chat_client", command, takes_input=True) as chatter:
            with server.upgrade() as stream:
                wire.send_frame(stream, wire.TEXT, b"One moment", mask=False)
                expect_lines(chatter, "One moment")
            expect_end(chatter, 1)
            expect(chatter.complaint() != "", True)


def files(receiver: Example, sender: Example) -> None:
    limit = () if "valgrind" in receiver.name + sender.name else LIMITED
    size = FILE_SIZE if limit else 20 << 20
    with tempfile.TemporaryDirectory(prefix="talkws-files-") as folder:
        sent, received = Path(folder, "sent"), Path(folder, "received")
        block = os.urandom(1 << 20)
        with sent.open("wb") as file:
            for index in range(size >> 20):
                file.write(index.to_bytes(4, "big") + block[4:])
        command = receiver.command("receive_file", received, "ws://127.0.0.1:0/files")
        with running("receive_file", [*limit, *command]) as receiving:
            url = receiving.wait_until_ready(TIMEOUT)
            command = sender.command("send_file", sent, url)
            with running("send_file", [*limit, *command]) as sending:
                expect_lines(sending, f"Sent {size} bytes")
                expect_end(sending)
            expect_lines(receiving, f"Received {size} bytes")
            expect_end(receiving)
        digests = [
            hashlib.sha256(path.read_bytes()).digest() for path in (sent, received)
        ]
        expect(digests[1], digests[0])


def half_a_file(receiver: Example) -> None:
    """Of a file that did not come to its end, nothing is kept."""
    with tempfile.TemporaryDirectory(prefix="talkws-files-") as folder:
        received = Path(folder, "received")
        command = receiver.command("receive_file", received, "ws://127.0.0.1:0/files")
        with running("receive_file", command) as receiving:
            with wire.client(receiving.wait_until_ready(TIMEOUT)) as stream:
                wire.send_half_a_frame(stream)
            expect_end(receiving, 1)
            expect(receiving.remaining_lines(), [])
        expect(received.exists(), False)


def wrong_receipt(sender: Example) -> None:
    """What the receiver says decides whether the file was sent."""
    with closing(wire.Server()) as server, tempfile.NamedTemporaryFile() as file:
        file.write(b"1234567890")
        file.flush()
        command = sender.command("send_file", file.name, server.url)
        with running("send_file", command) as sending:
            with server.upgrade() as stream:
                expect(wire.receive_frame(stream), (wire.BINARY, b"1234567890"))
                expect(wire.receive_frame(stream), (wire.CONTINUATION, b""))
                wire.send_frame(stream, wire.TEXT, b"Received 9 bytes", mask=False)
                expect_end(sending, 1)
            expect("Received 9 bytes" in sending.complaint(), True)


def event_loop(server: Example) -> None:
    """One who does not read holds up nobody, and loses nothing."""
    # More than all buffers between the two hold.
    message, count = bytes(range(250)) * 400, 300
    with (
        server.serving("poll_server", "ws://127.0.0.1:0/echo") as url,
        wire.client(url) as slow,
    ):

        def send_all() -> None:
            for _ in range(count):
                wire.send_frame(slow, wire.BINARY, message, mask=True)

        sender = threading.Thread(target=send_all, daemon=True)
        sender.start()
        others = [wire.client(url) for _ in range(50)]
        for index, other in enumerate(others):
            wire.send_frame(other, wire.TEXT, f"I am {index}".encode(), mask=True)
        for index, other in enumerate(others):
            expect(wire.receive_frame(other), (wire.TEXT, f"I am {index}".encode()))
            wire.send_frame(other, wire.CLOSE, b"\x03\xe8", mask=True)
            expect(wire.receive_frame(other), (wire.CLOSE, b"\x03\xe8"))
            other.close()
        expect(sender.is_alive(), True)
        for _ in range(count):
            opcode, payload = wire.receive_frame(slow)
            expect(opcode == wire.BINARY and payload == message, True)
        sender.join(TIMEOUT)


def inspection(server: Example) -> None:
    offer = "Sec-WebSocket-Protocol: v1.chat, v2.chat\r\n"
    token = "Authorization: Bearer secret\r\n"
    refusals = (
        ("/other", "", 404, "", b"There is only /chat.\n"),
        ("/chat", offer, 401, "www-authenticate: Bearer", b"Bring the token.\n"),
        (
            "/chat?token=wrong",
            offer,
            401,
            "www-authenticate: Bearer",
            b"Bring the token.\n",
        ),
        ("/chat", token, 400, "", b"This server speaks v2.chat and v1.chat.\n"),
        ("/chat", token + offer + "Origin: https://evil.example\r\n", 403, "", b""),
    )
    with server.serving("inspect_server", "ws://127.0.0.1:0") as url:
        # Clients that stay, and say nothing, are in nobody's way.
        idle = [wire.client(url, "/chat?token=secret", offer) for _ in range(20)]
        for target, headers, status, header, body in refusals:
            stream, head = wire.ask(url, target, headers)
            with stream:
                expect(head.split(" ")[1], str(status))
                expect(header.lower() in head.lower(), True)
                if body:
                    expect(wire.receive_exactly(stream, len(body)), body)
        for target, headers in (
            ("/chat", token + "Origin: https://example.org\r\n"),
            ("/chat?token=secret", ""),
        ):
            stream, head = wire.ask(url, target, headers + offer)
            with stream:
                expect(head.split(" ")[1], "101")
                expect("sec-websocket-protocol: v2.chat\r\n" in head.lower(), True)
                expect("x-served-by: inspect_server\r\n" in head.lower(), True)
                wire.send_frame(stream, wire.TEXT, b"echo", mask=True)
                expect(wire.receive_frame(stream), (wire.TEXT, b"echo"))
        for stream in idle:
            stream.close()


def answer_hello(stream: socket.socket) -> None:
    expect(wire.receive_frame(stream), (wire.TEXT, b"Hello from client!"))
    wire.send_frame(stream, wire.TEXT, b"Hello from server!", mask=False)


def reconnecting(client: Example) -> None:
    with closing(wire.Server()) as server:
        command = client.command("reconnect_client", server.url, "2", "5", "10")
        with running(f"{client.name} reconnect_client", command) as program:
            # Asked to come again at once; then lost in the middle; then all is well.
            server.refuse("503 Busy\r\nRetry-After: 0")
            with server.upgrade() as stream:
                answer_hello(stream)
            with server.upgrade() as stream:
                answer_hello(stream)
                expect(wire.receive_frame(stream)[0], wire.CLOSE)
                wire.send_frame(stream, wire.CLOSE, b"\x03\xe8", mask=False)
            expect_end(program)
            said = [line.split(":")[0] for line in program.remaining_lines()]
            hello = ["Connected", "Received"]
            expect(said, ["Not connected", *hello, "Lost", *hello])


def giving_up(client: Example) -> None:
    with closing(wire.Server()) as server:
        command = client.command("reconnect_client", server.url, "1", "3", "1")
        with running(f"{client.name} reconnect_client", command) as program:
            server.refuse("403 Forbidden")
            expect_end(program, 1)
            expect(program.remaining_lines(), [])
            expect("403" in program.complaint(), True)
    # Nobody listens there any more.
    with running(f"{client.name} reconnect_client", command) as program:
        expect_end(program, 1)
        expect([line[:13] for line in program.remaining_lines()], ["Not connected"] * 2)
