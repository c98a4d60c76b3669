"""Connections for asyncio, whichever end opened them."""

from __future__ import annotations

import asyncio
import builtins
import logging
import sys
from collections import deque
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Generator,
    Iterable,
    Mapping,
)
from time import perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Optional, Union, overload

from .. import _talkws
from .. import connection as blocking
from ..close import CloseCode
from ..connection import State
from ..exceptions import ConnectionClosedOK, InvalidState
from ..options import MaxQueue

if TYPE_CHECKING:
    import uuid

    from typing_extensions import Self

    from ..extensions.permessage_deflate import DeflateParameters
    from ..handshake import Request, Response
    from ..tls import TLSInfo
    from ..typing import Data, DataLike, LoggerLike

__all__ = ["Connection", "WriteLimit", "broadcast"]

WriteLimit = Union[int, tuple[int, Optional[int]]]
"""How much may wait to be sent before :meth:`Connection.send` waits, and at how much it goes on."""

# What a turn says.
_AGAIN, _ENDED, _CLOSING = 1, 2, 4

_UNBOUNDED = sys.maxsize


class Connection:
    """A WebSocket connection, open until one end closes it.

    Its methods are for the thread of the event loop in which it was made.

    A connection is an asynchronous context manager: leaving the block closes it, with 1000, or with
    1011 when an exception leaves the block. It is an asynchronous iterator of the messages that arrive,
    which ends when the connection is closed in order.
    """

    logger: LoggerLike
    """Where this connection's own news go."""
    loop: asyncio.AbstractEventLoop
    """The event loop to which it belongs."""

    def __init__(
        self,
        opening: _talkws.Dialled | _talkws.PendingConnection,
        *,
        max_queue: MaxQueue = 16,
        write_limit: WriteLimit = 32768,
        logger: LoggerLike | None = None,
    ) -> None:
        self.logger = logging.getLogger("talkws") if logger is None else logger
        self.loop = asyncio.get_running_loop()
        self._ws = blocking.Connection(opening, logger=self.logger)
        self._high, self._low = _marks("max_queue", max_queue)
        self._write_high, self._write_low = _marks("write_limit", write_limit)
        self._driven: _talkws.Driven | None = None
        self._descriptor = -1
        # What has come and was not received, and who waits for more.
        self._messages: deque[Data] = deque()
        self._arrival: Awaitable[None] = _NotOpen()
        # Enough has come, so that the loop does not tell of more; or a turn has left some. Either
        # way there is something to be done when there is room again.
        self._is_paused = False
        self._is_behind = False
        self._is_full = False
        self._is_writing = False
        self._senders: list[asyncio.Future[None]] = []
        # There while a message is sent in parts.
        self._in_parts: asyncio.Future[None] | None = None
        self._pings: deque[tuple[_talkws.PongEvent, asyncio.Future[float], float]] = (
            deque()
        )
        self._timer: asyncio.TimerHandle | None = None
        self._has_ended = False
        self._ends: list[asyncio.Future[None]] = []

    # Looking at it.

    @property
    def id(self) -> uuid.UUID:
        """A name for this connection, for logs."""
        return self._ws.id

    @property
    def state(self) -> State:
        """How far this connection has come.

        Programs seldom need it: a call on a connection that has ended says so.
        """
        return self._ws.state

    @property
    def request(self) -> Request | None:
        """The request that opened the connection: a client's own, or that which the server got."""
        return self._ws.request

    @property
    def response(self) -> Response | None:
        """The response that opened the connection."""
        return self._ws.response

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol that both ends agreed on, if any."""
        return self._ws.subprotocol

    @property
    def deflate_parameters(self) -> DeflateParameters | None:
        """What the two ends agreed upon for compressing: see
        :attr:`talkws.Connection.deflate_parameters`."""
        return self._ws.deflate_parameters

    @property
    def tls(self) -> TLSInfo | None:
        """What was agreed upon with the other end; ``None`` without TLS."""
        return self._ws.tls

    @property
    def local_address(self) -> Any:
        """The address of this end; ``None`` for a Unix socket."""
        return self._ws.local_address

    @property
    def remote_address(self) -> Any:
        """The address of the other end: see :attr:`talkws.Connection.remote_address`."""
        return self._ws.remote_address

    @property
    def direct_remote_address(self) -> Any:
        """The address of who is at the other end of the stream: the peer, or a proxy before it."""
        return self._ws.direct_remote_address

    @property
    def latency(self) -> float:
        """How many seconds the answer to the last Ping took, also to one of keepalive; ``0.0`` before
        the first."""
        return self._ws.latency

    @property
    def close_code(self) -> int | None:
        """The code in the peer's Close frame: see :attr:`talkws.Connection.close_code`."""
        return self._ws.close_code

    @property
    def close_reason(self) -> str | None:
        """The reason in the peer's Close frame: see :attr:`talkws.Connection.close_reason`."""
        return self._ws.close_reason

    @property
    def backlog(self) -> int:
        """How many bytes were accepted and wait to be sent."""
        return self._ws.backlog

    def fileno(self) -> int:
        """The descriptor of the socket. For looking: the event loop waits for it."""
        return self._ws.fileno()

    def __repr__(self) -> str:
        return repr(self._ws).replace("<talkws.", "<talkws.asyncio.", 1)

    # Receiving.

    @overload
    async def recv(self, decode: Literal[True]) -> str: ...
    @overload
    async def recv(self, decode: Literal[False]) -> bytes: ...
    @overload
    async def recv(self, decode: bool | None = None) -> Data: ...
    async def recv(self, decode: bool | None = None) -> Data:
        """Wait for the next message: ``str`` for text, ``bytes`` for binary.

        When this is cancelled nothing is lost: the next call gives the message. So a timeout is
        ``asyncio.wait_for(ws.recv(), 10)``.

        Args:
            decode: ``False`` gives text as ``bytes`` too; ``True`` decodes binary messages as UTF-8.

        Raises:
            ConnectionClosedOK: If the connection was closed in order.
            ConnectionClosedError: If it ended otherwise.
            ConcurrencyError: If another task is receiving.
            UnicodeDecodeError: If a binary message was to be decoded, and is not UTF-8. The exception
                has its bytes.
        """
        messages = self._messages
        while not messages:
            await self._arrival
        message = messages.popleft()
        if self._is_full and len(messages) <= self._low:
            self._go_on_reading()
        if decode is None:
            return message
        if decode:
            return message if isinstance(message, str) else message.decode()
        return message.encode() if isinstance(message, str) else message

    @overload
    def recv_streaming(self, decode: Literal[True]) -> AsyncIterator[str]: ...
    @overload
    def recv_streaming(self, decode: Literal[False]) -> AsyncIterator[bytes]: ...
    @overload
    def recv_streaming(self, decode: bool | None = None) -> AsyncIterator[Data]: ...
    async def recv_streaming(self, decode: bool | None = None) -> AsyncIterator[Data]:
        """Receive the next message as an iterator, which gives it in one piece.

        It is there for programs that were written for it: messages are received whole, up to
        ``max_size``.

        Args:
            decode: As for :meth:`recv`.
        """
        yield await self.recv(decode)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Data:
        # What recv() does: one coroutine less for each message is worth it.
        messages = self._messages
        try:
            while not messages:
                await self._arrival
        except ConnectionClosedOK:
            raise StopAsyncIteration from None
        message = messages.popleft()
        if self._is_full and len(messages) <= self._low:
            self._go_on_reading()
        return message

    # Sending.

    async def send(
        self,
        message: DataLike | Iterable[DataLike] | AsyncIterable[DataLike],
        text: bool | None = None,
        *,
        compress: bool = True,
    ) -> None:
        """Send a message: ``str`` as text, bytes-like as binary, an iterable, which may be
        asynchronous, of either in parts.

        What the peer does not take at once is kept and leaves in the background. When more than
        ``write_limit`` waits, this waits too; the message is accepted then, and cancelling this does
        not take it back.

        The parts of an iterable are sent as they come, each in a frame of its own. When it raises in
        between, or this is cancelled, the connection is closed with 1011, since half a message is none.

        Args:
            message: What to send.
            text: ``True`` sends bytes, which must be UTF-8, as text; ``False`` sends ``str`` as
                binary.
            compress: ``False`` sends it as it is, also when both ends agreed to compress.

        Raises:
            ConnectionClosed: If the connection is closed.
            TypeError: If ``message`` is nothing that can be sent.
        """
        while self._in_parts is not None:
            await asyncio.shield(self._in_parts)
        driven = self._driven or self._opened()
        waiting = driven.send(message, text, compress)
        if waiting is None:
            await self._send_parts(driven, message, text, compress)
        elif waiting > self._write_high:
            await self._drain()

    def _push_soon(self) -> None:
        """What was held back leaves with the answers to what came together, when the loop comes around."""
        self.loop.call_soon(self._opened().push)

    async def _send_parts(
        self, driven: _talkws.Driven, message: Any, text: bool | None, compress: bool
    ) -> None:
        if isinstance(message, Mapping):
            raise TypeError(
                "send: a mapping is no message; send its keys() or values(), or text made of it"
            )
        if isinstance(message, AsyncIterable):
            parts = message.__aiter__()
        elif isinstance(message, Iterable):
            parts = _each(message)
        else:
            raise TypeError(
                "send: expected str, bytes-like, or an iterable of either, not "
                f"{type(message).__qualname__}"
            )
        self._in_parts = self.loop.create_future()
        kind: tuple[bool, bool | None] | None = None
        try:
            async for part in parts:
                is_str = isinstance(part, str)
                if kind is not None and kind[0] is not is_str:
                    raise TypeError(
                        "send: the parts of one message must be all str or all bytes-like"
                    )
                # Of one kind from the first part to the last, which is empty.
                is_text = is_str if text is None else text
                waiting = driven.send_part(part, is_text, False, compress)
                kind = (is_str, is_text)
                if waiting > self._write_high:
                    await self._drain()
            if kind is not None:
                driven.send_part(b"", kind[1], True, compress)
        except BaseException:
            if kind is not None and self.state is State.OPEN:
                # The message can be neither finished nor taken back.
                self._begin_to_close(1011, "error in a message in parts")
            raise
        finally:
            self._in_parts.set_result(None)
            self._in_parts = None

    async def _drain(self) -> None:
        """Wait until the peer has taken so much that more may be sent."""
        driven = self._opened()
        while driven.push() > self._write_low and not self._has_ended:
            sender = self.loop.create_future()
            self._senders.append(sender)
            self._watch_writing()
            try:
                await sender
            finally:
                if sender in self._senders:
                    self._senders.remove(sender)
        if self.state is State.CLOSED:
            # Nothing waits any more, since it is lost.
            raise _ended(driven)

    async def ping(self, data: DataLike | None = None) -> asyncio.Future[float]:
        """Send a Ping.

        The peer answers with a Pong, once it has received all that was sent before::

            pong = await ws.ping()
            latency = await pong

        Args:
            data: The payload, at most 125 bytes; one that is different each time when not given.
                ``str`` is sent as UTF-8.

        Returns:
            A future of how many seconds the answer took. It raises :exc:`ConnectionClosed` when the
            connection ends first.

        Raises:
            ConnectionClosed: If the connection is closed.
            ConcurrencyError: If a Ping with the same payload is not answered yet.
        """
        driven = self._opened()
        sent_at = perf_counter()
        event = self._ws.ping(data)
        pong: asyncio.Future[float] = self.loop.create_future()
        self._pings.append((event, pong, sent_at))
        driven.await_pongs(True)
        return pong

    async def pong(self, data: DataLike = b"") -> None:
        """Send a Pong that answers no Ping: a sign of life (RFC 6455, section 5.5.3).

        Args:
            data: The payload, at most 125 bytes. ``str`` is sent as UTF-8.

        Raises:
            ConnectionClosed: If the connection is closed.
        """
        self._opened()
        self._ws.pong(data)

    # Closing.

    async def close(
        self, code: CloseCode | int = CloseCode.NORMAL_CLOSURE, reason: str = ""
    ) -> None:
        """Close the connection: send a Close frame, and wait for the peer's, for no longer than the
        close timeout.

        Closing what is closed already does nothing.

        Args:
            code: Why, as a number: 1000 to 1003, 1007 to 1014, or 3000 to 4999.
            reason: Why, in words: at most 123 bytes of UTF-8.
        """
        code = int(code)
        _talkws.check_close(code, reason)
        if self._driven is None or self._has_ended:
            return
        if self._in_parts is not None:
            code, reason = CloseCode.INTERNAL_ERROR, "close in a message in parts"
        self._begin_to_close(code, reason)
        await self.wait_closed()

    async def wait_closed(self) -> None:
        """Wait until the connection has ended."""
        self._opened()
        if self._has_ended:
            return
        end = self.loop.create_future()
        self._ends.append(end)
        try:
            await end
        finally:
            if end in self._ends:
                self._ends.remove(end)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close(
            CloseCode.NORMAL_CLOSURE if exc_type is None else CloseCode.INTERNAL_ERROR
        )

    # What the loop calls.

    def _start(self) -> None:
        """The opening handshake is over."""
        arrival = _talkws.Arrival(self._ws, self.loop)
        self._arrival = arrival
        self._driven = _talkws.Driven(
            self._ws, self._messages, arrival, self._high, self
        )
        self._descriptor = self._ws.fileno()
        self._readable = self._driven.readable
        self.loop.add_reader(self._descriptor, self._readable)
        # What has come with the handshake makes the descriptor ready no more.
        self.loop.call_soon(self._readable)

    def _opened(self) -> _talkws.Driven:
        if self._driven is None:
            raise InvalidState(_NOT_OPEN)
        return self._driven

    def _pause(self) -> None:
        self._is_paused = self._is_full = True
        self.loop.remove_reader(self._descriptor)

    def _look_after(self, said: int) -> None:
        if said & _ENDED:
            self._end()
            return
        if said & _AGAIN:
            self._is_behind = self._is_full = True
            if len(self._messages) < self._high:
                self.loop.call_soon(self._catch_up)
        if said & _CLOSING:
            self._watch_closing()
            # The answer to the peer's Close may have to wait for what was sent before.
            self._watch_writing()

    def _catch_up(self) -> None:
        if self._is_behind and len(self._messages) < self._high:
            self._is_behind = False
            self._is_full = self._is_paused
            self._readable()

    def _go_on_reading(self) -> None:
        if self._is_paused and not self._has_ended:
            self._is_paused = False
            self._is_full = self._is_behind
            self.loop.add_reader(self._descriptor, self._readable)
        if self._is_behind:
            self.loop.call_soon(self._catch_up)

    def _watch_writing(self) -> None:
        if not self._is_writing and not self._has_ended:
            self._is_writing = True
            self.loop.add_writer(self._descriptor, self._writable)

    def _writable(self) -> None:
        driven = self._opened()
        waiting = driven.push()
        if waiting <= self._write_low:
            _wake(self._senders)
        is_closing = self.state is not State.OPEN
        if not self._senders and (waiting == 0 or not is_closing):
            self._is_writing = False
            self.loop.remove_writer(self._descriptor)
        if is_closing and waiting == 0 and not self._has_ended:
            self._readable()

    def _tell_pongs(self) -> None:
        now = perf_counter()
        while self._pings and self._pings[0][0].is_set():
            _, pong, sent_at = self._pings.popleft()
            if not pong.done():
                pong.set_result(now - sent_at)
        if not self._pings and self._driven is not None:
            self._driven.await_pongs(False)

    def _begin_to_close(self, code: int, reason: str) -> None:
        driven = self._opened()
        driven.close(code, reason)
        self._watch_closing()
        # From now on what comes is dropped, however much is kept.
        self._high = _UNBOUNDED
        driven.keep(_UNBOUNDED)
        self._go_on_reading()

    def _watch_closing(self) -> None:
        left = self._opened().close_within()
        if left is not None and self._timer is None:
            self._timer = self.loop.call_later(left, self._give_up_closing)

    def _give_up_closing(self) -> None:
        self._opened().give_up_closing()
        self._end()

    def _end(self) -> None:
        """The connection has ended: everybody is told."""
        if self._has_ended:
            return
        driven = self._opened()
        self._has_ended = True
        self.loop.remove_reader(self._descriptor)
        if self._is_writing:
            self.loop.remove_writer(self._descriptor)
        if self._timer is not None:
            self._timer.cancel()
        lingers_for = driven.lingers_for()
        if lingers_for is not None:
            self.loop.add_reader(self._descriptor, self._linger)
            self._timer = self.loop.call_later(lingers_for, self._stop_lingering)
            # It ends our side of the stream, which the peer may wait for.
            self._linger()
        driven.forget()
        arrival = self._arrival
        assert isinstance(arrival, _talkws.Arrival)
        arrival.end()
        _wake(self._senders)
        _wake(self._ends)
        for _, pong, _ in self._pings:
            if not pong.done():
                pong.set_exception(_ended(driven))
                # Whoever does not wait for it need not hear of it.
                pong.exception()
        self._pings.clear()

    def _linger(self) -> None:
        if not self._opened().linger():
            self._stop_lingering()

    def _stop_lingering(self) -> None:
        self.loop.remove_reader(self._descriptor)
        if self._timer is not None:
            self._timer.cancel()
        self._opened().abort()

    def _abort(self) -> None:
        """End the connection at once, without a Close frame."""
        if self._driven is not None and not self._has_ended:
            self._driven.abort()
            self._end()


_NOT_OPEN = "the opening handshake is not over: the connection carries no messages yet"


class _NotOpen:
    """Nothing arrives yet."""

    def __await__(self) -> Generator[Any, None, None]:
        raise InvalidState(_NOT_OPEN)


def _wake(waiters: list[asyncio.Future[None]]) -> None:
    for waiter in waiters:
        if not waiter.done():
            waiter.set_result(None)
    waiters.clear()


def _ended(driven: _talkws.Driven) -> BaseException:
    """How a connection has ended."""
    exception = driven.exception()
    assert exception is not None
    return exception


async def _each(parts: Iterable[Any]) -> AsyncIterator[Any]:
    for part in parts:
        yield part


def _marks(
    name: str, value: int | tuple[int | None, int | None] | None
) -> tuple[int, int]:
    """The high-water mark and the low one, which is a quarter of it unless given."""
    high, low = value if isinstance(value, tuple) else (value, None)
    if high is None:
        high = _UNBOUNDED
    if low is None:
        low = high // 4
    if high < (1 if name == "max_queue" else 0) or not 0 <= low <= high:
        raise ValueError(
            f"{name}={value!r}: expected a high-water mark, and no low one above it"
        )
    return high, low


def broadcast(
    connections: Iterable[Connection],
    message: DataLike | _talkws.Prepared,
    *,
    text: bool | None = None,
    raise_exceptions: bool = False,
) -> None:
    """Send a message to many connections, and wait for none of them.

    What a peer does not take at once is kept, however much that is, and leaves in the background; see
    :attr:`Connection.backlog`. Connections that are not open are skipped. A message in parts that is
    being sent goes first.

    Args:
        connections: Where to send it.
        message: ``str`` for text, bytes-like for binary, or a :class:`talkws.Prepared`, which is worth
            while for more than one call.
        text: As for :meth:`Connection.send`.
        raise_exceptions: Whether connections on which it failed raise an :exc:`ExceptionGroup` (Python
            3.11 or later), after all others got it; if not, they are logged.

    Raises:
        TypeError: If ``message`` is nothing that can be sent.
    """
    if raise_exceptions and sys.version_info < (3, 11):
        raise ValueError("raise_exceptions requires at least Python 3.11")
    if not isinstance(message, _talkws.Prepared):
        message = _talkws.Prepared(message, text)
    targets = [each for each in connections if each._driven is not None]
    failed = [
        targets[place]
        for place in _talkws.offer([each._ws for each in targets], message)
    ]
    if raise_exceptions and failed and sys.version_info >= (3, 11):
        errors = [
            RuntimeError(f"broadcast: {each!r} does not take it") for each in failed
        ]
        raise builtins.ExceptionGroup("skipped broadcast", errors)
    for each in failed:
        each.logger.warning("skipped broadcast: %r does not take it", each)
