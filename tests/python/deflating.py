"""Compressed messages (RFC 7692) made, and read, by Python's own zlib."""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterable, Iterator

from peers import BINARY, FIN, RawPeer, frame

RSV1 = 0x40
TAIL = b"\x00\x00\xff\xff"


def deflate_all(
    messages: Iterable[bytes], window_bits: int, alone: bool, seed: int
) -> Iterator[bytes]:
    """The payloads of compressed messages (RFC 7692, 7.2.1), flushed in all ways there are."""
    chance = random.Random(seed)
    stream = None
    for message in messages:
        if stream is None or alone:
            level = chance.choice([0, 1, 6, 9])
            stream = zlib.compressobj(level, zlib.DEFLATED, -window_bits)
        cut = chance.randrange(len(message) + 1)
        payload = stream.compress(message[:cut])
        if chance.random() < 0.5:
            payload += stream.flush(
                chance.choice([zlib.Z_SYNC_FLUSH, zlib.Z_FULL_FLUSH])
            )
        payload += stream.compress(message[cut:])
        if chance.random() < 0.2:
            # The last block of a stream, and an empty one (RFC 7692, 7.2.3.4).
            yield payload + stream.flush() + b"\x00"
            stream = None
        else:
            payload += stream.flush(zlib.Z_SYNC_FLUSH)
            yield payload[:-4] if payload.endswith(TAIL) else payload + b"\x00"


class Inflating:
    """Inflates messages one after the other, with no larger window than was agreed upon."""

    def __init__(self, window_bits: int, alone: bool) -> None:
        self._window_bits = max(window_bits, 9)
        self._alone = alone
        self._stream = zlib.decompressobj(-self._window_bits)

    def message(self, payload: bytes) -> bytes:
        if self._alone:
            self._stream = zlib.decompressobj(-self._window_bits)
        return self._stream.decompress(payload + TAIL)


def send_fragments(
    peer: RawPeer, payload: bytes, size: int, kind: int = BINARY
) -> None:
    """Send a compressed message in frames of at most `size` bytes."""
    pieces = [payload[at : at + size] for at in range(0, len(payload), size)]
    for index, piece in enumerate(pieces):
        first = RSV1 | kind if index == 0 else 0
        if index == len(pieces) - 1:
            first |= FIN
        peer.send(frame(first, piece))
