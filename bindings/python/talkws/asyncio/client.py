"""Connecting to servers, for asyncio."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import AsyncIterator, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Callable, Literal
from urllib.parse import urlsplit

from .. import _talkws
from .. import client as blocking
from ..client import USER_AGENT, backoff, process_exception
from ..headers import HeadersLike
from ..options import MaxQueue, MaxSize
from ..tls import ClientSSL
from ..typing import LoggerLike, PathLike
from .connection import Connection, WriteLimit

__all__ = ["ClientConnection", "connect", "unix_connect"]

# How many dials of a process are under way at a time, each in a thread; others wait for their turn,
# within their timeout.
_DIALS = 64

_pool: ThreadPoolExecutor | None = None


def _threads() -> ThreadPoolExecutor:
    global _pool
    if _pool is None:
        _pool = ThreadPoolExecutor(_DIALS, thread_name_prefix="talkws-dial")
    return _pool


def _forget_threads() -> None:
    """They are those of the parent process."""
    global _pool
    _pool = None


os.register_at_fork(after_in_child=_forget_threads)


class ClientConnection(Connection):
    """The client's end of a connection. Made by :func:`connect`."""

    def __init__(
        self,
        opening: _talkws.Dialled,
        *,
        max_queue: MaxQueue = 16,
        write_limit: WriteLimit = 32768,
        logger: LoggerLike | None = None,
    ) -> None:
        super().__init__(
            opening,
            max_queue=max_queue,
            write_limit=write_limit,
            logger=logger or logging.getLogger("talkws.client"),
        )


# What `loop.create_connection` takes, and nobody can do here.
_ABSENT = {
    "all_errors",
    "family",
    "flags",
    "happy_eyeballs_delay",
    "interleave",
    "proto",
    "ssl_handshake_timeout",
    "ssl_shutdown_timeout",
}


class connect:
    """Connect to the WebSocket server at ``uri``.

    A connection::

        async with connect("ws://localhost:8080/talk-to-server") as ws:
            await ws.send("Hello from client!")
            print(await ws.recv())

    Or ``ws = await connect(...)``, which the program closes by itself. Or one after the other, for
    ever, each of which is closed when the next is asked for::

        async for ws in connect("ws://localhost:8080/talk-to-server"):
            try:
                async for message in ws:
                    print(message)
            except talkws.ConnectionClosed:
                continue

    A failure to connect that may pass is waited out then, with longer and longer delays.

    Names are resolved, and handshakes made, in a few threads that are kept for this. Cancelling ends
    that too.

    Args:
        uri: As for :func:`talkws.connect`, and so are those that do not stand here.
        process_exception: Tells whether it is worth trying again after an exception: ``None`` means
            yes, an exception is raised. See :func:`talkws.client.process_exception`.
        reconnect_delays: What makes the delays between attempts, in seconds. See
            :func:`talkws.client.backoff`. When they end, so do the attempts: the last exception is
            raised.
        max_queue: How many messages that have come wait to be received, before nothing more is
            received from the peer. A pair is that and how many are left when it goes on; a quarter of
            it unless given. ``None`` for no limit.
        write_limit: How many bytes may wait to be sent before :meth:`~Connection.send` waits. A pair is
            that and at how many it goes on.
        create_connection: What makes the connection, with the arguments of :class:`ClientConnection`: a
            subclass of it, say.
        kwargs: ``host`` and ``port`` to connect to instead of those of ``uri``; ``local_addr`` to
            connect from; and what :func:`talkws.connect` takes besides.

    Raises:
        OSError: And so on: see :func:`talkws.connect`.
    """

    def __init__(
        self,
        uri: str,
        *,
        origin: str | None = None,
        extensions: Sequence[Any] | None = None,
        subprotocols: Sequence[str] | None = None,
        compression: str | None = "deflate",
        additional_headers: HeadersLike | None = None,
        user_agent_header: str | None = USER_AGENT,
        proxy: str | Literal[True] | None = True,
        process_exception: Callable[[Exception], Exception | None] = process_exception,
        open_timeout: float | None = 10.0,
        ping_interval: float | None = 20.0,
        ping_timeout: float | None = 20.0,
        close_timeout: float | None = 5.0,
        reconnect_delays: Callable[[], Iterator[float]] = backoff,
        max_size: MaxSize = 16_777_216,
        max_queue: MaxQueue = 16,
        write_limit: WriteLimit = 32768,
        logger: LoggerLike | None = None,
        create_connection: Callable[..., ClientConnection] | None = None,
        ssl: ClientSSL | Literal[True] = None,
        **kwargs: Any,
    ) -> None:
        self.uri = uri
        self.process_exception = process_exception
        self.open_timeout = open_timeout
        self.reconnect_delays = reconnect_delays
        self.logger = logging.getLogger("talkws.client") if logger is None else logger
        self.connection: ClientConnection | None = None
        self._make = (
            ClientConnection if create_connection is None else create_connection
        )
        self._max_queue = max_queue
        self._write_limit = write_limit
        self._kwargs = {
            "origin": origin,
            "extensions": extensions,
            "subprotocols": subprotocols,
            "compression": compression,
            "additional_headers": additional_headers,
            "user_agent_header": user_agent_header,
            "proxy": proxy,
            "ping_interval": ping_interval,
            "ping_timeout": ping_timeout,
            "close_timeout": close_timeout,
            "max_size": max_size,
            # That of wss, as it is unless something else is given.
            "ssl": None if ssl is True else ssl,
            **_of_a_socket(uri, kwargs),
        }
        self._path: str | None = None

    async def _connect(self) -> ClientConnection:
        canceller = _talkws.Canceller()
        started = time.monotonic()

        def dial() -> Any:
            return canceller.run(lambda: self._dial(started))

        try:
            dialled = await asyncio.get_running_loop().run_in_executor(_threads(), dial)
        except asyncio.CancelledError:
            canceller.cancel()
            raise
        connection = self._make(
            dialled,
            max_queue=self._max_queue,
            write_limit=self._write_limit,
            logger=self.logger,
        )
        connection._start()
        return connection

    def _dial(self, started: float) -> Any:
        """Dial, in a thread that may wait."""
        kwargs = self._kwargs
        if self.open_timeout is not None:
            waited = time.monotonic() - started
            kwargs = {**kwargs, "open_timeout": self.open_timeout - waited}
        else:
            kwargs = {**kwargs, "open_timeout": None}
        kwargs["create_connection"] = _as_it_is
        if self._path is None:
            return blocking.connect(self.uri, legacy=True, **kwargs)
        return blocking.unix_connect(self._path, self.uri, **kwargs)

    def __await__(self) -> Generator[Any, None, ClientConnection]:
        return self._connect().__await__()

    async def __aenter__(self) -> ClientConnection:
        if self.connection is not None:
            raise RuntimeError("connect: its block was entered already")
        self.connection = await self._connect()
        return self.connection

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        connection, self.connection = self.connection, None
        if connection is not None:
            await connection.__aexit__(exc_type, exc_value, traceback)

    async def __aiter__(self) -> AsyncIterator[ClientConnection]:
        if self._kwargs.get("sock") is not None:
            raise ValueError("connect: one sock makes one connection; await it")
        delays: Iterator[float] | None = None
        while True:
            try:
                connection = await self._connect()
            except Exception as exception:
                verdict = self.process_exception(exception)
                if verdict is exception:
                    raise
                if verdict is not None:
                    raise verdict from exception
                delays = self.reconnect_delays() if delays is None else delays
                delay = next(delays, None)
                if delay is None:
                    # As often as the delays say, and no more.
                    raise
                self.logger.info(
                    "connect failed; trying again in %.1f seconds: %s", delay, exception
                )
                await asyncio.sleep(delay)
                continue
            delays = None
            try:
                yield connection
            finally:
                # A loop that is left is no failure, so not 1011.
                await connection.close()


def _as_it_is(dialled: _talkws.Dialled, *, logger: Any) -> Any:
    """Leaves the connection for the loop to make."""
    return dialled


def _of_a_socket(uri: str, kwargs: dict[str, Any]) -> dict[str, Any]:
    """Keywords of `loop.create_connection` as those of `socket.create_connection`."""
    absent = _ABSENT.intersection(kwargs)
    if absent:
        raise NotImplementedError(
            f"connect: {', '.join(sorted(absent))}: not here; pass a sock that is connected"
        )
    kwargs = dict(kwargs)
    host, port = kwargs.pop("host", None), kwargs.pop("port", None)
    if host is not None or port is not None:
        parts = urlsplit(uri)
        default = 443 if parts.scheme == "wss" else 80
        kwargs["address"] = (
            parts.hostname if host is None else host,
            (parts.port or default) if port is None else port,
        )
    source = kwargs.pop("local_addr", None)
    if source is not None:
        kwargs["source_address"] = source
    return kwargs


def unix_connect(
    path: PathLike | None = None, uri: str | None = None, **kwargs: Any
) -> connect:
    """Connect to a WebSocket server that listens on a Unix socket.

    Args:
        path: Where the socket is in the file system.
        uri: What the request asks for; ``ws://localhost/`` unless given, and with ``ssl``
            ``wss://localhost/``.
        kwargs: As for :func:`connect`.
    """
    sock: socket.socket | None = kwargs.get("sock")
    if (path is None) == (sock is None):
        raise ValueError("unix_connect: expected either path or sock")
    if uri is None:
        uri = "ws://localhost/" if kwargs.get("ssl") is None else "wss://localhost/"
    made = connect(uri, **kwargs)
    if path is not None:
        made._path = os.fspath(path)
    return made
