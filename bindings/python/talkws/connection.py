"""Connections, whichever end opened them."""

from __future__ import annotations

import codecs
import logging
import threading
import uuid
from collections.abc import Iterator
from enum import IntEnum
from typing import Literal, NamedTuple, overload

from . import _talkws
from .extensions.permessage_deflate import DeflateParameters
from .typing import Buffer, Data, LoggerLike

__all__ = ["Connection", "Part", "State"]


# Several threads may ask for the same one.
_making_ids = threading.Lock()


class State(IntEnum):
    """How far a connection has come (RFC 6455, section 4 and 7)."""

    CONNECTING = 0
    OPEN = 1
    CLOSING = 2
    CLOSED = 3


class Part(NamedTuple):
    """What :meth:`Connection.recv_into` has put into a buffer."""

    size: int
    """How many bytes, from the start of the buffer."""
    is_text: bool
    """Whether the message is text. A part may end inside a character."""
    is_last: bool
    """Whether the message ends here."""


class Connection(_talkws.Connection):
    """A WebSocket connection, open until one end closes it.

    Any method may be called from any thread at any time: one thread may wait in :meth:`recv`
    while others :meth:`send`. Nothing that waits holds the GIL, and Ctrl-C ends every wait
    without harm to the connection.

    A connection is a context manager: leaving the ``with`` block closes it, with 1000, or with
    1011 when an exception leaves the block. It is an iterator of the messages that arrive, which
    ends when the connection is closed in order.

    After a fork either process may go on with a connection, and the other must leave it alone:
    it may drop it, but not use or close it, also not by leaving its ``with`` block. In the child
    keepalive sends no Pings on it, and no other thread may have been using it at the time of the
    fork. Other interpreters of the same process than the main one cannot import this package.
    """

    logger: LoggerLike
    """Where this connection's own news go."""
    _id: uuid.UUID | None = None

    def __init__(
        self,
        opening: _talkws.Dialled | _talkws.PendingConnection,
        *,
        logger: LoggerLike | None = None,
    ) -> None:
        self.logger = logging.getLogger("talkws") if logger is None else logger
        # The start of a character, whose rest recv_streaming has not seen.
        self._undecoded = b""

    @property
    def id(self) -> uuid.UUID:
        """A name for this connection, for logs."""
        if self._id is None:
            with _making_ids:
                if self._id is None:
                    self._id = uuid.uuid4()
        return self._id

    @property
    def state(self) -> State:
        """How far this connection has come.

        Programs seldom need it: a call on a connection that has ended says so.
        """
        return State(self._state())

    @property
    def deflate_parameters(self) -> DeflateParameters | None:
        """What the two ends agreed upon for compressing messages (permessage-deflate, RFC 7692);
        ``None`` when none are compressed, or not yet.
        """
        agreed = self._deflate_parameters()
        return None if agreed is None else DeflateParameters(*agreed)

    @overload
    def recv_streaming(self, decode: Literal[True]) -> Iterator[str]: ...
    @overload
    def recv_streaming(self, decode: Literal[False]) -> Iterator[bytes]: ...
    @overload
    def recv_streaming(self, decode: bool | None = None) -> Iterator[Data]: ...
    def recv_streaming(self, decode: bool | None = None) -> Iterator[Data]:
        """Receive the next message in pieces, as they come, in bounded memory.

        The pieces have nothing to do with the frames in which the message was sent; no character
        of a text is divided between two of them. A message that was not iterated to its end is
        gone on with by the next :meth:`recv_streaming`; until then :meth:`recv` raises
        :exc:`ConcurrencyError`.

        Args:
            decode: As for :meth:`recv`.

        Raises:
            ConnectionClosed: If the connection ends.
        """
        data, is_text, is_last = self._recv_piece()
        if is_text if decode is None else decode:
            yield from self._recv_text(data, is_last)
            return
        yield data
        while not is_last:
            data, _, is_last = self._recv_part()
            if data:
                yield data

    def _recv_piece(self) -> tuple[bytes, bool, bool]:
        """What comes next of a message, behind the start of a character that came before."""
        data, is_text, is_last = self._recv_part()
        data, self._undecoded = self._undecoded + data, b""
        return data, is_text, is_last

    def _recv_text(self, data: bytes, is_last: bool) -> Iterator[str]:
        decoder = codecs.getincrementaldecoder("utf-8")()
        is_first = True
        while True:
            self._undecoded = b""
            text = decoder.decode(data, is_last)
            # Whoever leaves here finds the start of a character again.
            self._undecoded = decoder.getstate()[0]
            if text or (is_first and is_last):
                yield text
            if is_last:
                return
            is_first = False
            data, _, is_last = self._recv_part()

    def recv_into(self, buffer: Buffer, timeout: float | None = None) -> Part:
        """Receive what has come of the next message into memory of yours.

        Waits for at least one byte, or the end of the message, so that a message of any size
        needs no more memory than ``buffer``::

            buffer = bytearray(65536)
            with open("received", "wb") as file:
                while True:
                    part = ws.recv_into(buffer)
                    file.write(memoryview(buffer)[: part.size])
                    if part.is_last:
                        break

        Args:
            buffer: Where to put it: writable and contiguous, at least one byte.
            timeout: As for :meth:`recv`.

        Raises:
            ConnectionClosed: If the connection ends.
            TimeoutError: If nothing came in time.
        """
        if not self._undecoded:
            return Part(*self._recv_into(buffer, timeout))
        # recv_streaming was left in the middle of a character, the rest of which is to come.
        room = memoryview(buffer).cast("B")
        size = min(len(room), len(self._undecoded))
        room[:size] = self._undecoded[:size]
        self._undecoded = self._undecoded[size:]
        return Part(size, True, False)
