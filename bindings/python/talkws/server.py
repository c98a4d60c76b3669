"""Serving: a handler for each connection, in a thread of its own."""

from __future__ import annotations

import logging
import os
import re
import socket
import ssl as ssl_module
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Optional, Union

from . import _talkws
from .close import CloseCode
from .connection import Connection, State
from .exceptions import ConnectionClosed, ConnectionClosedOK, InvalidState
from .extensions.permessage_deflate import ServerPerMessageDeflateFactory
from .handshake import Request, Response, response_to
from .opening import FAILED, Opener
from .options import (
    MaxQueue,
    MaxSize,
    deflate_of,
    max_queue_of,
    max_size_of,
)
from .sockets import create_servers
from .tls import server_tls_of
from .typing import Forwarding, LoggerLike, PathLike, StatusLike

if TYPE_CHECKING:
    from typing_extensions import Self

    from .events import EventServer

__all__ = [
    "SERVER",
    "Handler",
    "Origins",
    "ProcessRequest",
    "ProcessResponse",
    "SelectSubprotocol",
    "Server",
    "ServerConnection",
    "serve",
    "unix_serve",
]

SERVER = (
    f"Python/{sys.version_info[0]}.{sys.version_info[1]} talkws/{_talkws.__version__}"
)
"""What a server calls itself."""


class ServerConnection(Connection):
    """The server's end of a connection. Made by :func:`serve`, and by
    :meth:`PendingConnection.upgrade`.

    Attributes:
        server: The server, if it was made by one.
        username: Who it is, after :func:`basic_auth` has let them in.
    """

    server: Server | EventServer | None
    username: str

    def __init__(
        self,
        opening: _talkws.Dialled | _talkws.PendingConnection,
        *,
        server: Server | EventServer | None = None,
        logger: LoggerLike | None = None,
    ) -> None:
        super().__init__(opening, logger=logger or logging.getLogger("talkws.server"))
        self.server = server
        self._response: Response | None = None

    @property
    def response(self) -> Response | None:
        """The response that opened the connection; ``None`` unless :func:`serve` made it."""
        return self._response

    def respond(self, status: StatusLike, text: str) -> Response:
        """Make a response in plain text, for ``process_request`` or ``process_response`` to
        return. Its headers may be changed before.

        Args:
            status: A status of HTTP, such as ``http.HTTPStatus.FORBIDDEN``.
            text: What it says.
        """
        return response_to(status, text)


Handler = Callable[[ServerConnection], object]
ProcessRequest = Callable[[ServerConnection, Request], Optional[Response]]
ProcessResponse = Callable[[ServerConnection, Request, Response], Optional[Response]]
SelectSubprotocol = Callable[[ServerConnection, Sequence[str]], Optional[str]]
Origins = Union[
    Sequence[Union[str, "re.Pattern[str]", None]], Literal["same-host"], None
]


class Server:
    """A server that was made by :func:`serve`.

    A context manager, which shuts it down.

    Attributes:
        sockets: What it listens on. For looking: :meth:`shutdown` closes them.
        logger: Where its news go.
    """

    def __init__(
        self,
        listener: _talkws.Listener,
        sockets: Sequence[socket.socket],
        handler: Handler,
        opener: Opener,
        logger: LoggerLike,
    ) -> None:
        self.sockets = tuple(sockets)
        self.logger = logger
        self._listener = listener
        self._handler = handler
        self._opener = opener
        # Told when a thread ends, when a loop of serve_forever does, and when one of them shuts
        # the server down.
        self._changed = threading.Condition()
        self._threads: set[threading.Thread] = set()
        # Those whose work is done, but which may not have ended yet.
        self._ending: set[threading.Thread] = set()
        self._loops: set[threading.Thread] = set()
        # Those of them that wait for the others. A signal handler may have one thread in here
        # twice.
        self._shutting_down: list[threading.Thread] = []
        self._connections: set[ServerConnection] = set()
        self._closing: tuple[int, str] | None = None
        self._is_shut_down = False

    @property
    def socket(self) -> socket.socket:
        """The first of the sockets."""
        return self.sockets[0]

    def reload_tls(self) -> None:
        """Read the files of certificates and keys anew: see :meth:`Listener.reload_tls`."""
        self._listener.reload_tls()

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return self._listener.port

    @property
    def url(self) -> str:
        """A URL to connect to, with the actual port."""
        return self._listener.url

    @property
    def connections(self) -> set[ServerConnection]:
        """The connections that are open now."""
        with self._changed:
            connections = list(self._connections)
        return {one for one in connections if one.state is State.OPEN}

    def fileno(self) -> int:
        """The descriptor of the first socket."""
        return self.socket.fileno()

    def serve_forever(self) -> None:
        """Serve, until :meth:`shutdown` is called: by another thread, by a handler, or by a
        signal handler.

        Several threads may do this at a time.
        """
        loop = threading.current_thread()
        with self._changed:
            if self._is_shut_down:
                return
            self._loops.add(loop)
        try:
            for pending in self._listener:
                self._start(pending)
        finally:
            with self._changed:
                self._loops.discard(loop)
                self._changed.notify_all()

    def shutdown(
        self,
        close_connections: bool = True,
        code: CloseCode | int = CloseCode.GOING_AWAY,
        reason: str = "",
    ) -> None:
        """Stop serving, and wait until every handler has returned.

        May be called more than once, and from handlers, which it does not wait for then.

        Args:
            close_connections: Whether to close the open connections, and to refuse who is about
                to open one with 503. Otherwise the handlers go on until they return.
            code: What to close them with.
            reason: Why, in words.

        Raises:
            ValueError: If no connection can be closed with ``code`` and ``reason``.
        """
        code = int(code)
        _talkws.check_close(code, reason)
        me = threading.current_thread()
        with self._changed:
            is_first, self._is_shut_down = not self._is_shut_down, True
            if close_connections and self._closing is None:
                self._closing = (code, reason)
            self._shutting_down.append(me)
            self._changed.notify_all()
        try:
            self._listener.close()
            for listening in self.sockets:
                listening.close()
            with self._changed:
                while self._loops.difference(self._shutting_down):
                    self._changed.wait()
                to_close = set(self._connections) if close_connections else set()
            _close_all(to_close, code, reason)
            with self._changed:
                while self._is_handling(me):
                    self._changed.wait()
                ending = list(self._ending)
            for handler in ending:
                handler.join()
        finally:
            with self._changed:
                self._shutting_down.remove(me)
        if is_first:
            self.logger.info("server closed")

    def _is_handling(self, waiter: threading.Thread) -> bool:
        """Whether there are handlers for `waiter` to wait for."""
        # The loop that is about to start a thread may be the one whose signal handler waits here.
        started = {thread for thread in self._threads if thread.ident is not None}
        if waiter in started:
            # Handlers that shut down do not wait for each other, nor for themselves.
            return bool(started.difference(self._shutting_down))
        return bool(started)

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
        return f"<talkws.Server {self.url}>"

    def _start(self, pending: _talkws.PendingConnection) -> None:
        thread = threading.Thread(
            target=self._run, args=(pending,), name="talkws-handler"
        )
        with self._changed:
            self._threads.add(thread)
            self._ending = {ending for ending in self._ending if ending.is_alive()}
        try:
            thread.start()
        except BaseException as failure:
            # After an interruption the thread may be there all the same, to be waited for.
            if isinstance(failure, RuntimeError):
                with self._changed:
                    self._threads.discard(thread)
            with suppress(InvalidState):
                pending.refuse(503, "The server has too much to do.\n")
            if not isinstance(failure, RuntimeError):
                raise
            self.logger.exception("no thread for a client, which gets 503")

    def _run(self, pending: _talkws.PendingConnection) -> None:
        try:
            connection = self._opener.open(pending, self)
            if connection is not None:
                self._serve(connection)
        except Exception:
            self.logger.exception("opening handshake failed")
            # Unless what failed came after the answer.
            with suppress(InvalidState):
                pending.refuse(500, FAILED)
        finally:
            with self._changed:
                self._threads.discard(threading.current_thread())
                self._ending.add(threading.current_thread())
                self._changed.notify_all()

    def _serve(self, connection: ServerConnection) -> None:
        with self._changed:
            closing = self._closing
            if closing is None:
                self._connections.add(connection)
        if closing is not None:
            connection.close(*closing)
            return
        try:
            with connection:
                self._handler(connection)
        except ConnectionClosedOK:
            connection.logger.debug("handler ended by the end of its connection")
        except ConnectionClosed as closed:
            connection.logger.info(
                "handler ended by the end of its connection: %s", closed
            )
        except Exception:
            connection.logger.exception("connection handler failed")
        finally:
            with self._changed:
                self._connections.discard(connection)

    @property
    def is_closing(self) -> bool:
        """Whether it closes its connections, and opens no more."""
        return self._closing is not None


def _close_all(connections: Iterable[ServerConnection], code: int, reason: str) -> None:
    """Close connections, all at once, since each waits for its peer."""
    closers = []
    for connection in connections:
        closer = threading.Thread(
            target=connection.close, args=(code, reason), name="talkws-closer"
        )
        try:
            closer.start()
        except RuntimeError:
            # There are no threads left: one after the other.
            connection.close(code, reason)
        else:
            closers.append(closer)
    for closer in closers:
        closer.join()


def serve(
    handler: Handler,
    host: str | None = None,
    port: int | None = None,
    *,
    sock: socket.socket | None = None,
    ssl: _talkws.ServerTLS | None = None,
    origins: Origins = "same-host",
    extensions: Sequence[Any] | None = None,
    subprotocols: Sequence[str] | None = None,
    select_subprotocol: SelectSubprotocol | None = None,
    compression: str | None = "deflate",
    process_request: ProcessRequest | None = None,
    process_response: ProcessResponse | None = None,
    server_header: str | None = SERVER,
    open_timeout: float | None = 10.0,
    ping_interval: float | None = 20.0,
    ping_timeout: float | None = 20.0,
    close_timeout: float | None = 5.0,
    max_size: MaxSize = 16_777_216,
    max_queue: MaxQueue = 16,
    logger: LoggerLike | None = None,
    create_connection: Callable[..., ServerConnection] | None = None,
    trusted_proxies: Sequence[str] | None = None,
    forwarding: Forwarding | None = None,
    **kwargs: Any,
) -> Server:
    """Make a server, which listens at once and serves with :meth:`Server.serve_forever`::

        def echo(ws):
            for message in ws:
                ws.send(message)

        with talkws.serve(echo, "localhost", 8080) as server:
            server.serve_forever()

    ``handler`` is called with each connection, in a thread of its own. When it returns the
    connection is closed with 1000, when it raises with 1011, and the exception is logged.

    Args:
        handler: What to do with a connection.
        host: Where to listen: a name or address, all addresses of which are listened at; ``None``
            for every interface.
        port: The port; ``0`` or ``None`` takes a free one, see :attr:`Server.port`.
        sock: A socket that listens already, instead of host and port. One that is connected is a
            client that has come, and the only one, as inetd has it: :meth:`~Server.serve_forever`
            returns, and ``shutdown(close_connections=False)`` waits for the handler.
        ssl: A :class:`ServerTLS`, to speak TLS with all clients.
        origins: From which web pages browsers may connect; others get 403. ``"same-host"``: those
            of this very server, and programs that are no browsers. A sequence: these origins,
            as ``str`` or compiled patterns, and with ``None`` in it those who name no origin.
            ``None``: all.
        subprotocols: Subprotocols to agree on, the preferred one first. Who offers none of them
            gets 400, unless ``select_subprotocol`` decides.
        select_subprotocol: Called with the connection and what the client offers; returns one of
            that, or ``None``, or raises :exc:`NegotiationError` to refuse with 400.
        extensions: A ``ServerPerMessageDeflateFactory`` of
            :mod:`talkws.extensions.permessage_deflate`, which says how to compress.
        compression: ``"deflate"`` compresses messages from 256 bytes on, with clients that offer
            it; ``None`` none, unless ``extensions`` say so.
        process_request: Called with the connection and each request, also with those that ask
            for no WebSocket. Returns a :class:`Response` to answer with, such as a page or a
            refusal, or ``None`` to go on. See :meth:`ServerConnection.respond`.
        process_response: Called with the connection, the request, and the response, whose
            headers it may change. Returns another response, or ``None``.
        server_header: What the server calls itself. ``None`` says nothing.
        open_timeout: Seconds that a client may take for its request.
        ping_interval: Seconds of silence after which a Ping is sent. ``None`` sends none.
        ping_timeout: Seconds of silence after that, until the connection is given up.
        close_timeout: Seconds that closing a connection waits for the peer.
        max_size: The largest message that may be received, in bytes. ``None`` for no limit.
        max_queue: As for :func:`connect`.
        logger: Where the news of this server and its connections go; ``talkws.server`` unless
            given.
        create_connection: What makes the connections, with the arguments of
            :class:`ServerConnection`: a subclass of it, say.
        trusted_proxies: As for :func:`listen`: proxies that are believed who their client is.
        forwarding: As for :func:`listen`: how they say it.
        kwargs: What else :func:`socket.create_server` takes: ``family``, ``backlog``,
            ``reuse_port``, ``dualstack_ipv6``.


    Raises:
        OSError: If the system does not allow it, or the address is in use.
        NotImplementedError: If something is asked for that cannot be had here.
    """
    deflate = deflate_of(compression, extensions, ServerPerMessageDeflateFactory)
    message_limit, queue_limit = max_size_of(max_size), max_queue_of(max_queue)
    tls = server_tls_of(ssl)
    logger = logging.getLogger("talkws.server") if logger is None else logger
    opener = Opener(
        origins=None if origins == "same-host" else origins,
        select_subprotocol=select_subprotocol,
        process_request=process_request,
        process_response=process_response,
        server_header=server_header,
        create_connection=create_connection or ServerConnection,
        logger=logger,
    )
    if sock is None:
        sockets = create_servers(host, port, **kwargs)
    elif host is not None or port is not None or kwargs:
        raise ValueError("serve: sock excludes host, port, and what makes a socket")
    elif isinstance(sock, ssl_module.SSLSocket):
        raise NotImplementedError(
            "sock: this is an SSLSocket; pass a plain one, and talkws.ServerTLS as ssl"
        )
    else:
        sockets = [sock]
    _talkws.listen_to_core()
    try:
        listener = _talkws.listen(
            "",
            tls=tls,
            descriptors=[listening.fileno() for listening in sockets],
            origins=origins if origins == "same-host" else None,
            # Whoever selects may also select none.
            subprotocols=subprotocols if select_subprotocol is None else None,
            require_subprotocol=bool(subprotocols) and select_subprotocol is None,
            plain_requests=True,
            unix_mode=None,
            trusted_proxies=trusted_proxies,
            forwarding=forwarding,
            systemd=None,
            open_timeout=open_timeout,
            close_timeout=close_timeout,
            keepalive=(ping_interval, ping_timeout),
            max_size=message_limit,
            max_queue=queue_limit,
            deflate=deflate,
        )
    except BaseException:
        # A socket that was given stays its giver's.
        if sock is None:
            for listening in sockets:
                listening.close()
        raise
    return Server(listener, sockets, handler, opener, logger)


def unix_serve(handler: Handler, path: PathLike | None = None, **kwargs: Any) -> Server:
    """Make a server that listens on a Unix socket.

    Args:
        handler: What to do with a connection.
        path: Where to put the socket in the file system. It must not exist, and stays there.
        kwargs: As for :func:`serve`.
    """
    sock = kwargs.pop("sock", None)
    if (path is None) == (sock is None):
        raise ValueError("unix_serve: expected either path or sock")
    if path is not None:
        return _serve_at(handler, os.fspath(path), **kwargs)
    return serve(handler, sock=sock, **kwargs)


def _serve_at(
    handler: Handler, path: str, *, backlog: int = 1024, **kwargs: Any
) -> Server:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(path)
        try:
            sock.listen(backlog)
            return serve(handler, sock=sock, **kwargs)
        except BaseException:
            os.unlink(path)
            raise
    except BaseException:
        sock.close()
        raise
