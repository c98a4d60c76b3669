"""Connecting to servers."""

from __future__ import annotations

import logging
import os
import random
import socket
import ssl as ssl_module
import sys
import time
from collections.abc import Generator, Iterator, Sequence
from types import TracebackType
from typing import Any, Callable, Literal, overload
from urllib.parse import urlsplit

from . import _talkws
from .connection import Connection
from .exceptions import InvalidMessage, InvalidStatus
from .extensions.permessage_deflate import ClientPerMessageDeflateFactory
from .headers import Headers, HeadersLike
from .options import (
    MaxQueue,
    MaxSize,
    deflate_of,
    max_queue_of,
    max_size_of,
)
from .tls import ClientSSL, client_tls_of
from .typing import LoggerLike, PathLike

__all__ = [
    "USER_AGENT",
    "ClientConnection",
    "backoff",
    "connect",
    "process_exception",
    "reconnect",
    "unix_connect",
]

USER_AGENT = (
    f"Python/{sys.version_info[0]}.{sys.version_info[1]} talkws/{_talkws.__version__}"
)
"""What a client calls itself."""


class ClientConnection(Connection):
    """The client's end of a connection. Made by :func:`connect`."""

    def __init__(
        self,
        opening: _talkws.Dialled | _talkws.PendingConnection,
        *,
        logger: LoggerLike | None = None,
    ) -> None:
        super().__init__(opening, logger=logger or logging.getLogger("talkws.client"))


@overload
def connect(uri: str, *, legacy: Literal[False], **kwargs: Any) -> reconnect: ...
@overload
def connect(
    uri: str,
    *,
    sock: socket.socket | None = ...,
    ssl: ClientSSL = ...,
    server_hostname: str | None = ...,
    origin: str | None = ...,
    extensions: Sequence[Any] | None = ...,
    subprotocols: Sequence[str] | None = ...,
    compression: str | None = ...,
    additional_headers: HeadersLike | None = ...,
    user_agent_header: str | None = ...,
    proxy: str | Literal[True] | None = ...,
    proxy_ssl: ClientSSL = ...,
    proxy_server_hostname: str | None = ...,
    max_redirects: int = ...,
    open_timeout: float | None = ...,
    ping_interval: float | None = ...,
    ping_timeout: float | None = ...,
    close_timeout: float | None = ...,
    max_size: MaxSize = ...,
    max_queue: MaxQueue = ...,
    logger: LoggerLike | None = ...,
    create_connection: Callable[..., ClientConnection] | None = ...,
    legacy: Literal[True] | None = ...,
    **kwargs: Any,
) -> ClientConnection: ...
def connect(
    uri: str,
    *,
    sock: socket.socket | None = None,
    ssl: ClientSSL = None,
    server_hostname: str | None = None,
    origin: str | None = None,
    extensions: Sequence[Any] | None = None,
    subprotocols: Sequence[str] | None = None,
    compression: str | None = "deflate",
    additional_headers: HeadersLike | None = None,
    user_agent_header: str | None = USER_AGENT,
    proxy: str | Literal[True] | None = True,
    proxy_ssl: ClientSSL = None,
    proxy_server_hostname: str | None = None,
    max_redirects: int = 10,
    open_timeout: float | None = 10.0,
    ping_interval: float | None = 20.0,
    ping_timeout: float | None = 20.0,
    close_timeout: float | None = 5.0,
    max_size: MaxSize = 16_777_216,
    max_queue: MaxQueue = 16,
    logger: LoggerLike | None = None,
    create_connection: Callable[..., ClientConnection] | None = None,
    legacy: bool | None = None,
    **kwargs: Any,
) -> ClientConnection | reconnect:
    """Connect to the WebSocket server at ``uri``, such as ``ws://localhost:8080/talk-to-server``.

    The connection is a context manager, which closes it::

        with talkws.connect("ws://localhost:8080/talk-to-server") as ws:
            ws.send("Hello from client!")
            print(ws.recv())

    Args:
        uri: Where to connect. ``ws+unix:///run/app.sock:/path`` is a Unix socket, and
            ``ws+unix:@name:/path`` an abstract one, on Linux. User and password, as in
            ``ws://user:password@host/``, are sent as basic authentication, and shown nowhere.
        sock: A socket that is connected already, which the connection takes over: it
            is closed here. ``uri`` is what the request asks for all the same.
        ssl: How to speak TLS with the server of a ``wss`` URI: a :class:`ClientTLS`; or what
            :func:`ssl.create_default_context` makes, of which the certificate authorities, the
            versions and whether the server is verified are taken over. A certificate that was
            loaded into a context cannot be read, and is not shown: pass a :class:`ClientTLS`.
        server_hostname: The name that the server's certificate must be valid for, if it is not
            the host of ``uri``.
        origin: Value of the ``Origin`` header, as a browser sends it.
        subprotocols: Subprotocols to offer, the preferred one first.
        extensions: A ``ClientPerMessageDeflateFactory`` of
            :mod:`talkws.extensions.permessage_deflate`, which says how to compress.
        compression: ``"deflate"`` compresses messages from 256 bytes on, if the server agrees;
            ``None`` none, unless ``extensions`` say so.
        additional_headers: Headers to add to the request.
        user_agent_header: What the client calls itself. ``None`` says nothing.
        proxy: ``True``: that of the environment, on every system: ``ws_proxy``, ``socks_proxy``,
            ``https_proxy``, ``http_proxy`` and ``all_proxy``, the first of them that is there (for
            ``wss`` the first is ``wss_proxy``, and ``http_proxy`` does not count), unless
            ``no_proxy`` excepts the host. ``None``: none. Or its URL, such as
            ``http://user:password@proxy.example:3128``, ``socks5://...``, or ``socks5h://...`` for one
            that resolves the host's name. Unix sockets and ``sock`` need none.
        proxy_ssl: As ``ssl``, for a proxy that is reached by TLS (``https://``).
        proxy_server_hostname: As ``server_hostname``, for such a proxy.
        max_redirects: How many redirects are followed, one after the other. To another origin go
            neither credentials of ``uri`` nor the headers ``Authorization`` and ``Cookie``. ``0``
            follows none: they raise :exc:`InvalidStatus`. A ``sock`` leads nowhere else.
        open_timeout: Seconds for all of it: resolving the name, connecting, and the handshake.
            ``None`` waits for ever.
        ping_interval: Seconds of silence after which a Ping is sent. ``None`` sends none.
        ping_timeout: Seconds of silence after that, until the connection is given up. ``None``
            never gives up.
        close_timeout: Seconds that closing waits for the peer. ``None`` waits for ever.
        max_size: The largest message that may be received, in bytes. ``None`` for no limit.
        max_queue: How many messages are kept for :meth:`~Connection.recv` while a Pong or the
            end is waited for. ``None`` for no limit.
        logger: Where the connection's own news go; ``talkws.client`` unless given.
        create_connection: What makes the connection, with the arguments of
            :class:`ClientConnection`: a subclass of it, say.
        legacy: ``False`` gives a :class:`reconnect` instead of a connection.
        kwargs: What else :func:`socket.create_connection` takes: ``source_address`` to connect
            from, ``address`` to connect to instead of the host and port of ``uri``.

    Raises:
        InvalidURI: If ``uri`` is not a URI of a WebSocket.
        InvalidStatus: If the server refuses; the exception holds its answer.
        InvalidHandshake: If the server's answer breaks the rules of the opening handshake.
        InvalidProxy: If ``proxy`` is not the URL of a proxy.
        ProxyError: If the proxy does not connect; :exc:`InvalidProxyStatus` holds its answer.
        SecurityError: If there are too many redirects, or one from ``wss`` to ``ws``.
        OSError: If the network fails. ``ssl.SSLError`` is one: if there is no TLS session, such
            as with a server whose certificate is not trusted.
        TimeoutError: If ``open_timeout`` passes.
        NotImplementedError: If something is asked for that cannot be had here.
    """
    if legacy is False:
        return reconnect(
            uri,
            sock=sock,
            ssl=ssl,
            server_hostname=server_hostname,
            origin=origin,
            extensions=extensions,
            subprotocols=subprotocols,
            compression=compression,
            additional_headers=additional_headers,
            user_agent_header=user_agent_header,
            proxy=proxy,
            proxy_ssl=proxy_ssl,
            proxy_server_hostname=proxy_server_hostname,
            max_redirects=max_redirects,
            open_timeout=open_timeout,
            ping_interval=ping_interval,
            ping_timeout=ping_timeout,
            close_timeout=close_timeout,
            max_size=max_size,
            max_queue=max_queue,
            logger=logger,
            create_connection=create_connection,
            **kwargs,
        )
    deflate = deflate_of(compression, extensions, ClientPerMessageDeflateFactory)
    headers = Headers(additional_headers or ())
    if user_agent_header is not None:
        headers.setdefault("User-Agent", user_agent_header)
    if isinstance(sock, ssl_module.SSLSocket):
        raise NotImplementedError(
            "sock: an SSLSocket has made its TLS session already; pass the socket below it, and"
            " a wss URI"
        )
    if isinstance(proxy, str) and (sock is not None or kwargs):
        given = "sock" if sock is not None else ", ".join(kwargs)
        raise ValueError(f"connect: {given} and a proxy exclude each other")
    message_limit, queue_limit = max_size_of(max_size), max_queue_of(max_queue)
    tls, proxy_tls = client_tls_of(ssl), client_tls_of(proxy_ssl, "proxy_ssl")
    _talkws.listen_to_core()
    started = time.monotonic()
    if sock is None and kwargs:
        sock = _open_socket(uri, open_timeout, kwargs)
    elif kwargs:
        raise TypeError(f"connect: {', '.join(kwargs)} and sock exclude each other")
    if open_timeout is not None:
        open_timeout -= time.monotonic() - started
    try:
        dialled = _talkws.dial(
            uri,
            descriptor=None if sock is None else sock.fileno(),
            tls=tls,
            server_hostname=server_hostname,
            origin=origin,
            subprotocols=subprotocols,
            headers=headers,
            proxy=proxy,
            proxy_tls=proxy_tls,
            proxy_server_hostname=proxy_server_hostname,
            max_redirects=max_redirects,
            open_timeout=open_timeout,
            close_timeout=close_timeout,
            keepalive=(ping_interval, ping_timeout),
            max_size=message_limit,
            max_queue=queue_limit,
            deflate=deflate,
        )
    finally:
        # The connection has a descriptor of its own.
        if sock is not None:
            sock.close()
    make = ClientConnection if create_connection is None else create_connection
    return make(dialled, logger=logger)


def _open_socket(
    uri: str, timeout: float | None, kwargs: dict[str, Any]
) -> socket.socket | None:
    """A socket that is connected as `kwargs` say; none when `uri` cannot be dialled anyway."""
    try:
        parts = urlsplit(uri)
        default = 443 if parts.scheme == "wss" else 80
        host, port = parts.hostname, parts.port or default
    except ValueError:
        return None
    if parts.scheme not in {"ws", "wss"} or host is None:
        return None
    kwargs.setdefault("address", (host, port))
    kwargs.setdefault("timeout", timeout)
    try:
        return socket.create_connection(**kwargs)
    # Before Python 3.10 it was no TimeoutError.
    except socket.timeout as error:
        raise TimeoutError(f"dial {uri}: no connection in time") from error


def unix_connect(
    path: PathLike | None = None,
    uri: str | None = None,
    *,
    legacy: bool | None = None,
    **kwargs: Any,
) -> ClientConnection:
    """Connect to a WebSocket server that listens on a Unix socket.

    Args:
        path: Where the socket is in the file system.
        uri: What the request asks for; ``ws://localhost/`` unless given.
        legacy: Not ``False``: it connects once.
        kwargs: As for :func:`connect`.
    """
    sock = kwargs.pop("sock", None)
    if (path is None) == (sock is None):
        raise ValueError("unix_connect: expected either path or sock")
    if legacy is False:
        raise ValueError(
            "unix_connect: connects once; write a loop around it to reconnect"
        )
    uri = uri or "ws://localhost/"
    if path is None:
        return connect(uri, sock=sock, legacy=True, **kwargs)
    timeout: float | None = kwargs.get("open_timeout", 10.0)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(timeout)
        try:
            sock.connect(os.fspath(path))
        # Before Python 3.10 it was no TimeoutError.
        except socket.timeout as error:
            raise TimeoutError(f"dial {path}: no connection in time") from error
        return connect(uri, sock=sock, legacy=True, **kwargs)


def process_exception(exception: Exception) -> Exception | None:
    """Tell whether it is worth trying again after a failure to connect.

    It is when the network fails, when time is up, when the server ends the connection before it
    answers, and when it answers 500, 502, 503 or 504.

    Returns:
        ``None`` to try again, or the exception to raise.
    """
    if isinstance(exception, OSError):
        return None
    if isinstance(exception, InvalidMessage) and isinstance(
        exception.__cause__, EOFError
    ):
        return None
    if isinstance(exception, InvalidStatus) and exception.response.status_code in {
        500,
        502,
        503,
        504,
    }:
        return None
    return exception


def backoff(
    first: float = 5.0,
    shortest: float = 3.0,
    factor: float = 1.6,
    longest: float = 60.0,
) -> Generator[float]:
    """Delays between attempts, in seconds: the first anywhere up to ``first``, so that the
    clients of a server that went away do not come back all at once, then longer and longer."""
    yield random.uniform(0, first)
    delay = shortest
    while True:
        yield delay
        delay = min(delay * factor, longest)


class reconnect:
    """Connect, again and again.

    An endless iterator of connections, each of which is closed when the next is asked for::

        for ws in talkws.reconnect("ws://localhost:8080/talk-to-server"):
            try:
                for message in ws:
                    print(message)
            except talkws.ConnectionClosed:
                continue

    A failure to connect that may pass is waited out, with longer and longer delays. Also a context
    manager, which connects once.

    Args:
        uri: Where to connect.
        process_exception: Tells whether it is worth trying again after an exception: ``None``
            means yes, an exception is raised. See :func:`process_exception`.
        reconnect_delays: What makes the delays between attempts. See :func:`backoff`. When they
            end, so do the attempts: the last exception is raised.
        kwargs: As for :func:`connect`.
    """

    def __init__(
        self,
        uri: str,
        *,
        process_exception: Callable[[Exception], Exception | None] = process_exception,
        reconnect_delays: Callable[[], Iterator[float]] = backoff,
        **kwargs: Any,
    ) -> None:
        if kwargs.get("sock") is not None:
            raise ValueError("reconnect: one sock makes one connection; use connect")
        self._uri = uri
        self._process_exception = process_exception
        self._delays = reconnect_delays
        self._kwargs = kwargs
        self._logger: LoggerLike = kwargs.get("logger") or logging.getLogger(
            "talkws.client"
        )
        self._connection: ClientConnection | None = None

    def __enter__(self) -> ClientConnection:
        if self._connection is not None:
            raise RuntimeError("reconnect: its block was entered already")
        self._connection = connect(self._uri, legacy=True, **self._kwargs)
        return self._connection

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.__exit__(exc_type, exc_value, traceback)

    def __iter__(self) -> Iterator[ClientConnection]:
        delays: Iterator[float] | None = None
        while True:
            try:
                connection = connect(self._uri, legacy=True, **self._kwargs)
            except Exception as exception:
                verdict = self._process_exception(exception)
                if verdict is exception:
                    raise
                if verdict is not None:
                    raise verdict from exception
                delays = self._delays() if delays is None else delays
                delay = next(delays, None)
                if delay is None:
                    # As often as the delays say, and no more.
                    raise
                self._logger.info(
                    "connect failed; trying again in %.1f seconds: %s", delay, exception
                )
                time.sleep(delay)
                continue
            delays = None
            try:
                yield connection
            finally:
                # A loop that is left is no failure, so not 1011.
                connection.close()
