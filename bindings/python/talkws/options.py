"""Keywords of ``websockets.sync`` that do not take here all that they take there.

Nothing is ignored: who passes what cannot be learns why, and what to do instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Optional, Union

from .extensions.permessage_deflate import (
    ClientPerMessageDeflateFactory,
    Deflate,
    ServerPerMessageDeflateFactory,
)

__all__ = [
    "MaxQueue",
    "MaxSize",
    "deflate_of",
    "max_queue_of",
    "max_size_of",
]

MaxSize = Union[int, None, tuple[Optional[int], Optional[int]]]
MaxQueue = Union[int, None, tuple[Optional[int], Optional[int]]]


def max_size_of(value: MaxSize) -> int | None:
    """The largest message; a pair limits its fragments too."""
    if not isinstance(value, tuple):
        return value
    message, fragment = value
    if fragment is not None and (message is None or fragment < message):
        raise NotImplementedError(
            f"max_size={value!r}: fragments have no limit of their own, since they are "
            "never kept as such; pass the limit of the message alone"
        )
    return message


def max_queue_of(value: MaxQueue) -> int | None:
    """How many messages are kept for ``recv`` while something else is waited for."""
    if isinstance(value, tuple):
        high, low = value
        if low is not None:
            raise NotImplementedError(
                f"max_queue={value!r}: there is no low-water mark, since nothing is received "
                "before it is wanted; pass the high one alone"
            )
        value = high
    if value is not None and value < 1:
        raise ValueError(
            f"max_queue={value!r}: expected at least 1, or None for no limit"
        )
    return value


def deflate_of(
    compression: str | None,
    extensions: Sequence[Any] | None,
    factory: type[ClientPerMessageDeflateFactory | ServerPerMessageDeflateFactory],
) -> Deflate | None:
    """How messages are compressed, if they are: an extension says more than ``compression``."""
    if compression not in {None, "deflate"}:
        raise ValueError(f"compression={compression!r}: expected 'deflate' or None")
    if not extensions:
        return None if compression is None else Deflate()
    [extension, *others] = extensions
    if others or not isinstance(extension, factory):
        raise NotImplementedError(
            f"extensions={extensions!r}: the frames are made and read in native code; there is"
            f" one, {factory.__name__} of talkws.extensions.permessage_deflate"
        )
    return extension.deflate
