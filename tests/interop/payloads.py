"""What the programs send each other; the same in every language."""

from __future__ import annotations

from collections.abc import Callable, Iterator

NON_ASCII = "Grüße, 世界 🦀 مرحبا"
FRAGMENTED = "é世🦀 in pieces of three bytes, which split 🦀世é"
FRAGMENTED_BINARY = bytes([0, 0xFF, 0x80, 0xC3, 0x28, 0, 0xF0, 0x9F])
REASON = "some reason ✓"
V1, V2 = "talkws.v1", "talkws.v2"
CLIENT_HELLO, SERVER_HELLO = "Hello from client!", "Hello from server!"


def mebibyte() -> str:
    """Exactly 1 MiB of text with characters of one to four bytes."""
    text = "é世🦀." * (2**20 // 10)
    return text + "x" * (2**20 - len(text.encode()))


def pieces(
    payload: bytes, between: Callable[[], object] | None = None
) -> Iterator[bytes]:
    """Fragments of three bytes, an empty one, and a call after the first."""
    yield payload[:3]
    yield b""
    if between:
        between()
    for start in range(3, len(payload), 3):
        yield payload[start : start + 3]
