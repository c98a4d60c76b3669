"""Compressed messages (permessage-deflate, RFC 7692)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

__all__ = [
    "ClientPerMessageDeflateFactory",
    "DeflateParameters",
    "ServerPerMessageDeflateFactory",
]


class DeflateParameters(NamedTuple):
    """What the two ends of a connection agreed upon (RFC 7692, section 7.1)."""

    server_no_context_takeover: bool
    """The server's messages do not refer to those before them."""
    client_no_context_takeover: bool
    """The client's messages do not refer to those before them."""
    server_max_window_bits: int
    """The server refers to what is at most 2 to the power of this bytes back: 8 to 15."""
    client_max_window_bits: int
    """The client refers to what is at most 2 to the power of this bytes back: 8 to 15."""


class Deflate(NamedTuple):
    """How one end compresses, as the core wants to know it."""

    level: int = 6
    memory_level: int = 8
    threshold: int = 256
    own_no_context_takeover: bool = False
    peer_no_context_takeover: bool = False
    own_max_window_bits: int = 15
    peer_max_window_bits: int = 15


def _window_bits(name: str, bits: int | None) -> int:
    if bits is None:
        return 15
    if not 8 <= bits <= 15:
        raise ValueError(f"{name}={bits!r}: expected 8 to 15")
    return bits


def _setting(settings: Mapping[str, int], name: str, default: int) -> int:
    value = settings.get(name, default)
    if not 1 <= value <= 9:
        raise ValueError(
            f"compress_settings[{name!r}]={value!r}: expected a level of zlib, 1 to 9"
        )
    return value


def _deflate(
    settings: Mapping[str, int] | None,
    threshold: int,
    no_context_takeover: tuple[bool, bool],
    max_window_bits: tuple[int, int],
) -> Deflate:
    settings = settings or {}
    if "wbits" in settings:
        raise ValueError(
            "compress_settings: wbits is said by server_max_window_bits or"
            " client_max_window_bits"
        )
    if unknown := settings.keys() - {"level", "memLevel"}:
        raise NotImplementedError(
            f"compress_settings: {', '.join(sorted(unknown))}: only level and memLevel can be chosen"
        )
    if threshold < 0:
        raise ValueError(f"threshold={threshold!r}: expected a number of bytes")
    return Deflate(
        _setting(settings, "level", 6),
        _setting(settings, "memLevel", 8),
        threshold,
        *no_context_takeover,
        *max_window_bits,
    )


class ClientPerMessageDeflateFactory:
    """How a client compresses: for ``extensions`` of :func:`talkws.connect`.

    A connection whose messages refer to those before them needs memory, from the first one on
    that is compressed: 46 KiB for those that come, and for those that go 371 KiB, or 161 KiB with a
    window of 12 bits and ``{"memLevel": 5}``. Without that an idle connection keeps no window.

    Args:
        server_no_context_takeover: Whether the server must compress each message by itself.
        client_no_context_takeover: Whether the client does.
        server_max_window_bits: How far back the server may refer: 8 to 15, of which 2 to the power
            is a number of bytes. It must agree.
        client_max_window_bits: How far back the client refers. ``True`` or ``None`` leave that to
            the server. With 8 the client sends nothing compressed: zlib knows no such window.
        compress_settings: ``level``, from 1 (fast) to 9 (small), and ``memLevel``, from 1 (least
            memory) to 9; 6 and 8 unless given.
        threshold: The smallest message that is compressed, in bytes.
    """

    def __init__(
        self,
        server_no_context_takeover: bool = False,
        client_no_context_takeover: bool = False,
        server_max_window_bits: int | None = None,
        client_max_window_bits: int | bool | None = True,
        compress_settings: Mapping[str, int] | None = None,
        *,
        threshold: int = 256,
    ) -> None:
        own = (
            None if isinstance(client_max_window_bits, bool) else client_max_window_bits
        )
        self.deflate = _deflate(
            compress_settings,
            threshold,
            (client_no_context_takeover, server_no_context_takeover),
            (
                _window_bits("client_max_window_bits", own),
                _window_bits("server_max_window_bits", server_max_window_bits),
            ),
        )


class ServerPerMessageDeflateFactory:
    """How a server compresses: for ``extensions`` of :func:`talkws.serve`.

    What it costs is said with :class:`ClientPerMessageDeflateFactory`.

    Args:
        server_no_context_takeover: Whether the server compresses each message by itself.
        client_no_context_takeover: Whether clients are to.
        server_max_window_bits: How far back the server refers: 8 to 15, of which 2 to the power is
            a number of bytes. With 8 it sends nothing compressed: zlib knows no such window.
        client_max_window_bits: How far back clients may refer, of those that can be told so.
        compress_settings: ``level``, from 1 (fast) to 9 (small), and ``memLevel``, from 1 (least
            memory) to 9; 6 and 8 unless given.
        require_client_max_window_bits: Not ``True``: any window can be inflated.
        threshold: The smallest message that is compressed, in bytes.
    """

    def __init__(
        self,
        server_no_context_takeover: bool = False,
        client_no_context_takeover: bool = False,
        server_max_window_bits: int | None = None,
        client_max_window_bits: int | None = None,
        compress_settings: Mapping[str, int] | None = None,
        require_client_max_window_bits: bool = False,
        *,
        threshold: int = 256,
    ) -> None:
        if require_client_max_window_bits:
            raise NotImplementedError(
                "require_client_max_window_bits: a client that cannot be told to use a smaller"
                " window is served all the same, since any window can be inflated"
            )
        self.deflate = _deflate(
            compress_settings,
            threshold,
            (server_no_context_takeover, client_no_context_takeover),
            (
                _window_bits("server_max_window_bits", server_max_window_bits),
                _window_bits("client_max_window_bits", client_max_window_bits),
            ),
        )
