"""A client that compresses, made of a socket and zlib: the same for every server that is measured."""

from __future__ import annotations

import base64
import os
import re
import socket
import zlib
from dataclasses import dataclass

OFFERS = {
    True: "permessage-deflate",
    False: "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
}
TEXT, COMPRESSED, FINAL = 0x01, 0x40, 0x80
TAIL = b"\x00\x00\xff\xff"
PATIENCE = 30.0
# It is no secret, and masking with it costs nothing.
NO_MASK = b"\0\0\0\0"


class Failed(Exception):
    """The server did not do what was asked of it."""


@dataclass
class Sizes:
    """Bytes on the wire that the server sent, header included, and for how many messages."""

    messages: int = 0
    received: int = 0


class Client:
    """One connection, on which each message waits for its answer."""

    def __init__(self, port: int, takeover: bool) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = b""
        self.sizes = Sizes()
        try:
            answered = self._shake_hands(OFFERS[takeover])
            self._keeps_own = takeover and "client_no_context_takeover" not in answered
            self._keeps_theirs = (
                takeover and "server_no_context_takeover" not in answered
            )
            if takeover and not self._keeps_theirs:
                raise Failed("it keeps no context")
            self._own = zlib.compressobj(wbits=-15)
            self._theirs = zlib.decompressobj(wbits=-15)
        except BaseException:
            self._socket.close()
            raise

    def _shake_hands(self, offer: str) -> str:
        key = base64.b64encode(os.urandom(16)).decode()
        self._socket.sendall(
            (
                "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
                f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
                f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Extensions: {offer}\r\n\r\n"
            ).encode()
        )
        while b"\r\n\r\n" not in self._received:
            self._receive()
        head, self._received = self._received.split(b"\r\n\r\n", 1)
        text = head.decode("latin-1")
        if not text.startswith("HTTP/1.1 101"):
            raise Failed(f"it answered {text.splitlines()[0]!r}")
        found = re.search(r"(?mi)^sec-websocket-extensions:(.*)$", text)
        if found is None:
            raise Failed("it does not compress")
        return found[1]

    def round_trip(self, message: bytes) -> None:
        """Send a text and take it back; what comes is inflated and compared."""
        if not self._keeps_own:
            self._own = zlib.compressobj(wbits=-15)
        packed = self._own.compress(message) + self._own.flush(zlib.Z_SYNC_FLUSH)
        self._send(packed.removesuffix(TAIL))
        first, payload = self._frame()
        if first & ~FINAL != TEXT | COMPRESSED:
            raise Failed(f"its frame begins with {first:#x}: it is not compressed")
        while not first & FINAL:
            first, more = self._frame()
            payload += more
        self.sizes.messages += 1
        if not self._keeps_theirs:
            self._theirs = zlib.decompressobj(wbits=-15)
        if self._theirs.decompress(payload + TAIL) != message:
            raise Failed("it sent something else back")

    def _send(self, payload: bytes) -> None:
        length = len(payload)
        if length < 126:
            header = bytes([0x80 | length])
        elif length < 1 << 16:
            header = b"\xfe" + length.to_bytes(2, "big")
        else:
            header = b"\xff" + length.to_bytes(8, "big")
        first = bytes([FINAL | TEXT | COMPRESSED])
        self._socket.sendall(first + header + NO_MASK + payload)

    def _frame(self) -> tuple[int, bytes]:
        self._need(2)
        size, extended = self._received[1] & 0x7F, 2
        if size >= 126:
            extended = 4 if size == 126 else 10
            self._need(extended)
            size = int.from_bytes(self._received[2:extended], "big")
        end = extended + size
        self._need(end)
        first, payload = self._received[0], self._received[extended:end]
        self._received = self._received[end:]
        self.sizes.received += end
        return first, payload

    def _need(self, count: int) -> None:
        while len(self._received) < count:
            self._receive()

    def _receive(self) -> None:
        more = self._socket.recv(1 << 18)
        if not more:
            raise Failed("it ended the connection")
        self._received += more

    def close(self) -> None:
        self._socket.close()
