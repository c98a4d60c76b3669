"""Peers that do what no good peer does, and what every test needs to meet one.

A raw peer speaks bytes: what it sends, and when, is for the test to say.
"""

from __future__ import annotations

import base64
import hashlib
import socket
import struct
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType
from typing import Any, Callable, TypeVar

import pytest
import talkws

# Longer than anything here takes: only a test that hangs meets it.
PATIENCE = 10.0

TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA
FIN = 0x80

T = TypeVar("T")

Pair = tuple[talkws.ClientConnection, talkws.ServerConnection]


def in_thread(call: Callable[[], T]) -> Future[T]:
    """Run `call` in a thread of its own; what it returns or raises is in the future."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        # Whatever it is, it is for who waits.
        except BaseException as error:  # noqa: BLE001
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


@contextmanager
def connected(
    listener: talkws.Listener, *, max_size: int | None = 1 << 24
) -> Iterator[tuple[talkws.ClientConnection, talkws.ServerConnection]]:
    """A connection to `listener`: the client's end, and the server's."""
    accepted = in_thread(lambda: listener.accept(PATIENCE).upgrade())
    client = talkws.connect(listener.url, max_size=max_size)
    server = accepted.result(PATIENCE)
    try:
        yield client, server
    finally:
        closed = in_thread(server.close)
        client.close()
        closed.result(PATIENCE)


@contextmanager
def serving(
    handler: Callable[[talkws.ServerConnection], object],
    *where: Any,
    loops: int = 1,
    **options: Any,
) -> Iterator[talkws.Server]:
    """A server with `handler`, on a free port of 127.0.0.1 unless `where` says otherwise, that is
    served by so many threads.
    """
    if "sock" not in options:
        where = where or ("127.0.0.1", 0)
    with talkws.serve(handler, *where, **options) as server:
        serving = [in_thread(server.serve_forever) for _ in range(loops)]
        yield server
    for loop in serving:
        loop.result(PATIENCE)


def echo(connection: talkws.Connection) -> None:
    """A handler."""
    for message in connection:
        connection.send(message)


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


needs_ipv6 = pytest.mark.skipif(
    not has_ipv6(), reason="no IPv6 here; give the loopback interface the address ::1"
)


def exchange(url: str) -> None:
    """Talk to a server that echoes."""
    with talkws.connect(url) as client:
        client.send("hello")
        assert client.recv(PATIENCE) == "hello"


def frame(opcode: int, payload: bytes = b"", *, mask: bool = False) -> bytes:
    """A frame, its first byte as given: add FIN to the opcode of a last or only one."""
    marked = 0x80 if mask else 0
    if len(payload) < 126:
        head = struct.pack("!BB", opcode, marked | len(payload))
    elif len(payload) < 1 << 16:
        head = struct.pack("!BBH", opcode, marked | 126, len(payload))
    else:
        head = struct.pack("!BBQ", opcode, marked | 127, len(payload))
    # A mask of zeros changes nothing.
    return head + (bytes(4) if mask else b"") + payload


class RawPeer(AbstractContextManager["RawPeer"]):
    """One end of a TCP stream, in the hands of a test."""

    def __init__(self, stream: socket.socket) -> None:
        stream.settimeout(PATIENCE)
        self.stream = stream

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stream.close()

    def send(self, data: bytes) -> None:
        self.stream.sendall(data)

    def read_exactly(self, length: int) -> bytes:
        data = bytearray()
        while len(data) < length:
            chunk = self.stream.recv(length - len(data))
            if not chunk:
                raise EOFError(f"{length - len(data)} bytes are missing")
            data += chunk
        return bytes(data)

    def read_head(self) -> str:
        """A request's or response's head, up to and including the empty line."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self.read_exactly(1)
        return head.decode("iso-8859-1")

    def read_frame(self, begun: bytes = b"") -> tuple[int, bytes]:
        """The next frame, of which `begun` was read before: its first byte, and its payload
        without the mask.
        """
        first, second = begun + self.read_exactly(2 - len(begun))
        length = second & 0x7F
        if length == 126:
            (length,) = struct.unpack("!H", self.read_exactly(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", self.read_exactly(8))
        mask = self.read_exactly(4) if second & 0x80 else bytes(4)
        masks = (mask * (length // 4 + 1))[:length]
        # Byte for byte this would take seconds.
        payload = int.from_bytes(self.read_exactly(length), "big")
        payload ^= int.from_bytes(masks, "big")
        return first, payload.to_bytes(length, "big")

    def read_to_end(self) -> bytes:
        """Whatever comes until the other end closes the stream."""
        data = b""
        while chunk := self.stream.recv(65536):
            data += chunk
        return data


class RawServer(AbstractContextManager["RawServer"]):
    """A server of raw peers."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.socket.settimeout(PATIENCE)
        self.url = f"ws://127.0.0.1:{self.socket.getsockname()[1]}/"

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.socket.close()

    def accept(self) -> RawPeer:
        stream, _ = self.socket.accept()
        return RawPeer(stream)

    def accept_and_answer(self, response: bytes) -> RawPeer:
        """Answer a client's request with these very bytes."""
        peer = self.accept()
        peer.read_head()
        peer.send(response)
        return peer

    def accept_and_upgrade(self, *, then: bytes = b"", headers: str = "") -> RawPeer:
        """Answer a client's request as it should be, with further headers, each of which ends its
        line, and send `then` right behind.
        """
        peer = self.accept()
        (key,) = (
            line.split(": ")[1]
            for line in peer.read_head().split("\r\n")
            if line.lower().startswith("sec-websocket-key")
        )
        guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1((key + guid).encode()).digest()).decode()
        head = (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n{headers}\r\n"
        )
        peer.send(head.encode() + then)
        return peer

    @contextmanager
    def talking(
        self, *, then: bytes = b"", close_timeout: float = PATIENCE
    ) -> Iterator[tuple[talkws.ClientConnection, RawPeer]]:
        """A client of talkws, and the raw peer that it is connected to."""
        upgraded = in_thread(lambda: self.accept_and_upgrade(then=then))
        client = talkws.connect(self.url, close_timeout=close_timeout, max_size=1 << 20)
        with upgraded.result(PATIENCE) as peer:
            yield client, peer


def ask(
    listener: talkws.Listener | talkws.Server, path: str = "/", headers: str = ""
) -> RawPeer:
    """Connect to a listener or server and send a good request."""
    peer = RawPeer(socket.create_connection(("127.0.0.1", listener.port)))
    peer.send(
        (
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{listener.port}\r\n"
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {base64.b64encode(bytes(16)).decode()}\r\n{headers}\r\n"
        ).encode("iso-8859-1")
    )
    return peer
