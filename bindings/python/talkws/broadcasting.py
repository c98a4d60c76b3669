"""Messages for many connections, none of which is waited for."""

from __future__ import annotations

import builtins
import logging
import sys
from collections.abc import Iterable

from . import _talkws
from ._talkws import Prepared
from .connection import Connection
from .typing import DataLike

__all__ = ["broadcast"]

logger = logging.getLogger("talkws")


def broadcast(
    connections: Iterable[Connection],
    message: DataLike | Prepared,
    raise_exceptions: bool = False,
) -> None:
    """Send a message to many connections, and wait for none of them.

    What a connection does not take at once waits in its backlog and leaves in the background; one
    whose backlog is full (1 MiB, unless :meth:`Connection.set_backlog` says otherwise) does not get
    the message, or does what its policy says. Connections that are not open are skipped. A message in
    parts that another thread is in the middle of goes first.

    Args:
        connections: Where to send it.
        message: ``str`` for text, bytes-like for binary, or a :class:`Prepared`, which is worth while
            for more than one call.
        raise_exceptions: Whether connections that had no room raise an :exc:`ExceptionGroup` (Python
            3.11 or later), after all others got it; if not, they are logged.

    Raises:
        ExceptionGroup: With a :exc:`BlockingIOError` for each connection that had no room.
        TypeError: If ``message`` is nothing that can be sent.
    """
    if raise_exceptions and sys.version_info < (3, 11):
        raise ValueError("raise_exceptions requires at least Python 3.11")
    if not isinstance(message, Prepared):
        message = Prepared(message)
    targets = list(connections)
    refused = [targets[place] for place in _talkws.offer(targets, message)]
    if not refused:
        return
    if raise_exceptions and sys.version_info >= (3, 11):
        text = "broadcast: the peer is slow, and its backlog is full"
        errors = [BlockingIOError(f"{text}: {each!r}") for each in refused]
        raise builtins.ExceptionGroup("skipped broadcast", errors)
    for each in refused:
        logger.warning("skipped broadcast: the backlog of %r is full", each)
