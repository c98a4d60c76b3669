"""Serving by events: few threads for any number of connections."""

from __future__ import annotations

import socket
import threading
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

from . import _talkws
from .close import CloseCode
from .exceptions import InvalidState
from .opening import FAILED, Opener
from .server import ServerConnection, serve
from .typing import LoggerLike

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["EventHandler", "EventServer", "ServeReport", "serve_events"]


class EventHandler:
    """What to do with connections that are served by events: override what you need.

    Each connection has one thread, which makes all calls for it, one after the other; while a call
    lasts, the other connections of that thread wait. Nothing that is called on these connections from
    here waits for a peer: :meth:`~Connection.send` keeps what the peer does not take, up to the limit of
    :meth:`~Connection.set_backlog` (1 MiB), and raises :exc:`BlockingIOError` past that;
    :meth:`~Connection.close` only begins to close. Other threads may send and close too, and wait as
    they do elsewhere. Nobody calls ``recv``.
    """

    def on_open(self, ws: ServerConnection) -> None:
        """A connection is open."""

    def on_message(self, ws: ServerConnection, message: str | bytes) -> None:
        """A message has come: ``str`` for text, ``bytes`` for binary."""

    def on_close(self, ws: ServerConnection) -> None:
        """A connection has ended, as its ``close_code`` and ``close_reason`` tell."""


class ServeReport(NamedTuple):
    """What became of the connections when a server was shut down."""

    closed: int
    """Connections that were closed in order."""
    unanswered: int
    """Connections whose peers did not answer in time, or were lost."""


class EventServer:
    """A server that was made by :func:`serve_events`.

    A context manager, which shuts it down.

    Attributes:
        sockets: What it listens on. For looking: :meth:`shutdown` closes them.
        logger: Where its news go.
    """

    def __init__(
        self,
        listener: _talkws.Listener,
        sockets: Sequence[socket.socket],
        handler: EventHandler,
        opener: Opener,
        logger: LoggerLike,
        threads: int,
    ) -> None:
        self.sockets = tuple(sockets)
        self.logger = logger
        self._listener = listener
        self._handler = handler
        self._opener = opener
        self._threads = threads
        self._lock = threading.Lock()
        self._serving: threading.Thread | None = None
        # Waited for, and not the thread: CPython 3.11 takes a thread for ended when a signal ends the
        # wait for it.
        self._has_ended = threading.Event()
        self._outcome: ServeReport | BaseException | None = None
        # The threads that call the handler: each begins with a request.
        self._loops: set[int] = set()
        self.is_closing = False

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return self._listener.port

    @property
    def url(self) -> str:
        """A URL to connect to, with the actual port."""
        return self._listener.url

    def serve_forever(self) -> ServeReport:
        """Serve, until :meth:`shutdown` is called: by another thread, by a handler, or by a signal
        handler.

        Returns:
            What became of the connections.
        """
        with self._lock:
            if self._serving is None and not self.is_closing:
                # The loops have threads of their own, so that signals are handled in this one.
                self._serving = threading.Thread(
                    target=self._run, name="talkws-events", daemon=True
                )
                self._serving.start()
            serving = self._serving
        if serving is None:
            return ServeReport(0, 0)
        self._has_ended.wait()
        if isinstance(self._outcome, BaseException):
            raise self._outcome
        return self._outcome or ServeReport(0, 0)

    def shutdown(
        self,
        code: CloseCode | int = CloseCode.GOING_AWAY,
        reason: str = "",
        timeout: float = 5.0,
    ) -> None:
        """Stop serving, and close the connections. Waits until they have ended, but not when a handler
        calls this. May be called more than once.

        Args:
            code: What to close them with.
            reason: Why, in words.
            timeout: Seconds that the peers may take to answer.

        Raises:
            ValueError: If no connection can be closed with ``code`` and ``reason``, or ``timeout`` is
                none.
        """
        _talkws.check_close(int(code), reason)
        with self._lock:
            self.is_closing, was_closing = True, self.is_closing
            serving = self._serving
        self._listener._shutdown(int(code), reason, timeout)
        for listening in self.sockets:
            listening.close()
        if serving is not None and threading.get_ident() not in self._loops:
            self._has_ended.wait()
            serving.join()
        if not was_closing:
            self.logger.info("server closed")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.shutdown()

    def __repr__(self) -> str:
        return f"<talkws.EventServer {self.url}>"

    def _run(self) -> None:
        handler = self._handler
        try:
            closed, unanswered = self._listener._serve(
                self._threads,
                request=self._ask,
                opened=handler.on_open,
                message=handler.on_message,
                failed=self._failed,
                ended=handler.on_close,
            )
        except BaseException as error:  # noqa: BLE001
            # For those who wait in serve_forever.
            self._outcome = error
        else:
            self._outcome = ServeReport(closed, unanswered)
        finally:
            self._has_ended.set()

    def _ask(self, pending: _talkws.PendingConnection) -> ServerConnection | None:
        self._loops.add(threading.get_ident())
        try:
            opened: ServerConnection | None = self._opener.open(pending, self)
        except Exception:
            self.logger.exception("opening handshake failed")
            # Unless what failed came after the answer.
            with suppress(InvalidState):
                pending.refuse(500, FAILED)
            return None
        return opened

    def _failed(self, ws: ServerConnection, error: BaseException) -> None:
        ws.logger.error("connection handler failed", exc_info=error)
        ws.close(CloseCode.INTERNAL_ERROR)


def serve_events(
    handler: EventHandler,
    host: str | None = None,
    port: int | None = None,
    *,
    threads: int = 1,
    **kwargs: Any,
) -> EventServer:
    """Make a server for any number of connections, which listens at once and serves with
    :meth:`EventServer.serve_forever`::

        class Echo(talkws.EventHandler):
            def on_message(self, ws, message):
                ws.send(message)

        with talkws.serve_events(Echo(), "localhost", 8080) as server:
            server.serve_forever()

    Args:
        handler: What to do with the connections.
        host: As for :func:`serve`.
        port: As for :func:`serve`.
        threads: How many threads serve. Python code of one of them runs at a time, but in
            free-threaded builds.
        kwargs: As for :func:`serve`.

    Raises:
        OSError: If the system does not allow it, or the address is in use.
        ValueError: If ``threads`` is not from 1 to 1024.
    """
    if not 1 <= threads <= 1024:
        raise ValueError(f"threads: {threads}; use 1 to 1024")
    made = serve(_handled_by_events, host, port, **kwargs)
    return EventServer(
        made._listener, made.sockets, handler, made._opener, made.logger, threads
    )


def _handled_by_events(ws: ServerConnection) -> None:
    raise InvalidState("this connection is served by events")
