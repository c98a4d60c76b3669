"""What an event loop sees only when it looks inside, and when a client should come again."""

from __future__ import annotations

from contextlib import closing
from urllib.parse import urlsplit

import wire
from program import running
from scenes import Example, answer_hello, expect, expect_end

# In milliseconds: a program that waits so long does not end in time.
FAR_AWAY = "600000"
# More than poll_server sends back in one turn of a client.
MANY = [b"message %d" % index for index in range(100)]
REQUEST = (
    "GET {0.path} HTTP/1.1\r\nHost: {0.netloc}\r\nConnection: Upgrade\r\n"
    "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def all_at_once(server: Example) -> None:
    """What came in one piece, with the request even, is no news to poll(2) any more."""
    frames = b"".join(
        bytes((0x80 | wire.TEXT, 0x80 | len(payload))) + bytes(4) + payload
        for payload in MANY
    )
    with server.serving("poll_server", "ws://127.0.0.1:0/echo") as url:
        with wire.client(url) as stream:
            stream.sendall(frames)
            expect([wire.receive_frame(stream)[1] for _ in MANY], MANY)
        with wire.connect(url) as stream:
            stream.sendall(REQUEST.format(urlsplit(url)).encode() + frames)
            expect(wire.receive_head(stream).split(" ")[1], "101")
            expect([wire.receive_frame(stream)[1] for _ in MANY], MANY)


def large_echo(server: Example) -> None:
    """What the system does not take at once follows without any news from the client."""
    message = bytes(16 << 20)
    with (
        server.serving("poll_server", "ws://127.0.0.1:0/echo") as url,
        wire.client(url) as stream,
    ):
        wire.send_frame(stream, wire.BINARY, message, mask=True)
        opcode, payload = wire.receive_frame(stream)
        expect(opcode == wire.BINARY and payload == message, True)


def retry_after(client: Example) -> None:
    """Who is asked to come again at once does not wait for the pause of its own."""
    with closing(wire.Server()) as server:
        command = client.command("reconnect_client", server.url, "1", "9", FAR_AWAY)
        with running(f"{client.name} reconnect_client", command) as program:
            for answer in ("503 Busy", "429 Slowly", "503 Busy"):
                server.refuse(f"{answer}\r\nRetry-After: 0")
            with server.upgrade() as stream:
                answer_hello(stream)
                expect(wire.receive_frame(stream)[0], wire.CLOSE)
                wire.send_frame(stream, wire.CLOSE, b"\x03\xe8", mask=False)
            expect_end(program)


def refusals(client: Example) -> None:
    """Which refusals are worth another attempt."""
    for status, attempts in (
        *((302, 1), (400, 1), (401, 1), (403, 1), (404, 1)),
        *((408, 2), (429, 2), (500, 2), (503, 2)),
    ):
        with closing(wire.Server()) as server:
            command = client.command("reconnect_client", server.url, "1", "2", "1")
            with running(f"{client.name} reconnect_client", command) as program:
                for _ in range(attempts):
                    server.refuse(f"{status} No")
                expect_end(program, 1)
                expect(len(program.remaining_lines()), attempts - 1)
