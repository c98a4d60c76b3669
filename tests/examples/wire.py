"""WebSocket by hand, for peers that do just what a test wants: frames, a client, a server."""

from __future__ import annotations

import base64
import hashlib
import socket
import struct
from contextlib import suppress
from urllib.parse import urlsplit

CONTINUATION, TEXT, BINARY, CLOSE = 0, 1, 2, 8
TIMEOUT = 30.0


def receive_exactly(stream: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        piece = stream.recv(size - len(data))
        if not piece:
            raise EOFError(f"the stream ended {size - len(data)} bytes early")
        data += piece
    return bytes(data)


def receive_head(stream: socket.socket) -> str:
    """An HTTP head, byte by byte, since what follows it is not ours to take."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += receive_exactly(stream, 1)
    return head.decode("latin-1")


def send_frame(stream: socket.socket, opcode: int, payload: bytes, mask: bool) -> None:
    """A whole message; a client's is masked with zeros."""
    bit = 0x80 if mask else 0
    if len(payload) < 126:
        header = struct.pack("!BB", 0x80 | opcode, bit | len(payload))
    else:
        header = struct.pack("!BBQ", 0x80 | opcode, bit | 127, len(payload))
    stream.sendall(header + (bytes(4) if mask else b"") + payload)


def send_half_a_frame(stream: socket.socket) -> None:
    """The first half of a client's message of 100 bytes."""
    stream.sendall(bytes((0x80 | BINARY, 0x80 | 100)) + bytes(4) + bytes(50))


def expect_lost(stream: socket.socket) -> None:
    """Receive whatever still comes, until the other end has gone."""
    with suppress(ConnectionResetError):
        while stream.recv(1 << 16):
            pass


def receive_frame(stream: socket.socket) -> tuple[int, bytes]:
    first, second = receive_exactly(stream, 2)
    length = second & 0x7F
    if length >= 126:
        size = 2 if length == 126 else 8
        length = int.from_bytes(receive_exactly(stream, size), "big")
    if not second & 0x80:
        return first & 0x0F, receive_exactly(stream, length)
    mask = receive_exactly(stream, 4)
    masked = receive_exactly(stream, length)
    return first & 0x0F, bytes(byte ^ mask[i % 4] for i, byte in enumerate(masked))


def connect(url: str) -> socket.socket:
    parts = urlsplit(url)
    stream = socket.create_connection((parts.hostname, parts.port), TIMEOUT)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return stream


def ask(url: str, target: str = "", headers: str = "") -> tuple[socket.socket, str]:
    """A request to upgrade: the connection, and the head of the answer."""
    stream = connect(url)
    parts = urlsplit(url)
    request = (
        f"GET {target or parts.path or '/'} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    )
    stream.sendall(request.encode())
    return stream, receive_head(stream)


def client(url: str, target: str = "", headers: str = "") -> socket.socket:
    stream, head = ask(url, target, headers)
    if not head.startswith("HTTP/1.1 101 "):
        raise AssertionError(f"not upgraded: {head!r}")
    return stream


class Server:
    """Serves one connection after the other, as it is told."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(TIMEOUT)
        self.url = f"ws://127.0.0.1:{self._listener.getsockname()[1]}/"

    def close(self) -> None:
        self._listener.close()

    def accept(self) -> tuple[socket.socket, str]:
        stream, _ = self._listener.accept()
        stream.settimeout(TIMEOUT)
        return stream, receive_head(stream)

    def refuse(self, answer: str) -> None:
        stream, _ = self.accept()
        with stream:
            head = f"HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n"
            stream.sendall(head.encode())

    def upgrade(self, target: str = "/") -> socket.socket:
        stream, request = self.accept()
        if not request.startswith(f"GET {target} "):
            raise AssertionError(f"not a request for {target}: {request!r}")
        lines = request.split("\r\n")
        key = next(
            line[19:] for line in lines if line.startswith("Sec-WebSocket-Key: ")
        )
        guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1((key + guid).encode()).digest()).decode()
        response = (
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
            f"Upgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
        )
        stream.sendall(response.encode())
        return stream
