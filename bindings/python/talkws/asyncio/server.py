"""Serving, for asyncio: a task for each connection."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Optional, Union

from .. import _talkws, auth
from .. import server as blocking
from ..close import CloseCode
from ..connection import State
from ..exceptions import ConnectionClosed, ConnectionClosedOK, InvalidState
from ..handshake import Request, Response, response_to
from ..opening import FAILED, Opener
from ..options import MaxQueue, MaxSize
from ..server import SERVER, Origins
from ..typing import Forwarding, LoggerLike, PathLike, StatusLike
from .connection import Connection, WriteLimit

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Server", "ServerConnection", "basic_auth", "serve", "unix_serve"]


class ServerConnection(Connection):
    """The server's end of a connection. Made by :func:`serve`.

    Attributes:
        server: The server.
        username: Who it is, after :func:`basic_auth` has let them in.
    """

    server: Server
    username: str

    def __init__(
        self,
        opening: _talkws.PendingConnection,
        *,
        server: Server,
        max_queue: MaxQueue = 16,
        write_limit: WriteLimit = 32768,
        logger: LoggerLike | None = None,
    ) -> None:
        super().__init__(
            opening,
            max_queue=max_queue,
            write_limit=write_limit,
            logger=logger or logging.getLogger("talkws.server"),
        )
        self.server = server
        self._response: Response | None = None

    @property
    def response(self) -> Response | None:
        """The response that opened the connection."""
        return self._response

    def respond(self, status: StatusLike, text: str) -> Response:
        """Make a response in plain text, for ``process_request`` or ``process_response`` to
        return. Its headers may be changed before.

        Args:
            status: A status of HTTP, such as ``http.HTTPStatus.FORBIDDEN``.
            text: What it says.
        """
        return response_to(status, text)

    def _upgrade(self, subprotocol: str | None, headers: Any) -> None:
        self._ws._upgrade(subprotocol, headers)


Handler = Callable[[ServerConnection], Awaitable[object]]
ProcessRequest = Callable[
    [ServerConnection, Request],
    Union[Optional[Response], Awaitable[Optional[Response]]],
]
ProcessResponse = Callable[
    [ServerConnection, Request, Response],
    Union[Optional[Response], Awaitable[Optional[Response]]],
]
SelectSubprotocol = Callable[[ServerConnection, Sequence[str]], Optional[str]]


class Server:
    """A server that was made by :func:`serve`.

    ``await`` starts it. An asynchronous context manager, which starts it and closes it.

    Attributes:
        logger: Where its news go.
    """

    def __init__(
        self,
        handler: Handler,
        listen: Callable[[], blocking.Server],
        logger: LoggerLike,
        start_serving: bool,
    ) -> None:
        self.logger = logger
        self._handler = handler
        self._listen = listen
        self._starts = start_serving
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listening: blocking.Server | None = None
        self._accepting: threading.Thread | None = None
        self._is_serving = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._connections: set[ServerConnection] = set()
        self._closing: asyncio.Task[None] | None = None
        # These are done when nobody accepts any more, and when all is over.
        self._accepted_all: asyncio.Future[None] | None = None
        self._closed: asyncio.Future[None] | None = None
        self.is_closing = False

    @property
    def connections(self) -> set[ServerConnection]:
        """The connections that are open now."""
        return {one for one in self._connections if one.state is State.OPEN}

    @property
    def sockets(self) -> tuple[socket.socket, ...]:
        """What it listens on. For looking: :meth:`close` closes them."""
        return () if self._listening is None else self._listening.sockets

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return self._started().port

    @property
    def url(self) -> str:
        """A URL to connect to, with the actual port."""
        return self._started().url

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """The event loop that serves."""
        self._started()
        assert self._loop is not None
        return self._loop

    def is_serving(self) -> bool:
        """Whether it accepts connections."""
        return self._is_serving

    def reload_tls(self) -> None:
        """Read the files of certificates and keys anew: see :meth:`talkws.Listener.reload_tls`."""
        self._started().reload_tls()

    async def start_serving(self) -> None:
        """Begin to accept connections, if it does not: after ``serve(..., start_serving=False)``."""
        listening = self._started()
        if self._accepting is not None or self.is_closing or self._closing is not None:
            return
        self._is_serving = True
        self._accepting = threading.Thread(
            target=self._accept,
            args=(listening._listener,),
            name="talkws-accept",
            daemon=True,
        )
        self._accepting.start()
        for listened in listening.sockets:
            self.logger.info("server listening on %s", listened.getsockname())

    async def serve_forever(self) -> None:
        """Serve until :meth:`close` is called, or this is cancelled, which closes the server."""
        try:
            await self.start_serving()
            await self.wait_closed()
        except asyncio.CancelledError:
            self.close()
            await self.wait_closed()
            raise

    def close(
        self,
        close_connections: bool = True,
        code: CloseCode | int = CloseCode.GOING_AWAY,
        reason: str = "",
    ) -> None:
        """Begin to close: stop accepting, close the open connections, and let the handlers return.
        Calling it again does nothing. :meth:`wait_closed` waits for it.

        Args:
            close_connections: Whether to close the open connections, and to refuse who is about to
                open one with 503. Otherwise the handlers go on until they return.
            code: What to close them with.
            reason: Why, in words.

        Raises:
            ValueError: If no connection can be closed with ``code`` and ``reason``.
        """
        _talkws.check_close(int(code), reason)
        if self._closing is None:
            self._closing = self.get_loop().create_task(
                self._close(close_connections, int(code), reason)
            )
            # At once, so that nobody is let in until the task runs.
            self.is_closing = close_connections
            self._is_serving = False

    async def wait_closed(self) -> None:
        """Wait until the server is closed, and all handlers have returned."""
        self._started()
        assert self._closed is not None
        await asyncio.shield(self._closed)

    async def _close(self, close_connections: bool, code: int, reason: str) -> None:
        self.logger.info("server closing")
        listening = self._started()
        assert self._closed is not None and self._accepted_all is not None
        listening._listener.close()
        for listened in listening.sockets:
            listened.close()
        if self._accepting is not None:
            await self._accepted_all
            self._accepting.join()
        if close_connections:
            closing = [
                asyncio.ensure_future(one.close(code, reason))
                for one in self.connections
            ]
            if closing:
                await asyncio.wait(closing)
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._closed.set_result(None)
        self.logger.info("server closed")

    def _started(self) -> blocking.Server:
        if self._listening is None:
            raise InvalidState(
                "the server was not started: await it, or enter its block"
            )
        return self._listening

    async def _start(self) -> Self:
        if self._listening is None:
            self._loop = asyncio.get_running_loop()
            self._listening = self._listen()
            self._accepted_all = self._loop.create_future()
            self._closed = self._loop.create_future()
            if self._starts:
                await self.start_serving()
        return self

    def __await__(self) -> Generator[Any, None, Self]:
        return self._start().__await__()

    async def __aenter__(self) -> Self:
        return await self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
        await self.wait_closed()

    def __repr__(self) -> str:
        where = "not started" if self._listening is None else self._listening.url
        return f"<talkws.asyncio.Server {where}>"

    # Accepting, in a thread of its own.

    def _accept(self, listener: _talkws.Listener) -> None:
        loop = self.get_loop()
        try:
            while True:
                come = listener._accept_some()
                loop.call_soon_threadsafe(self._accepted, come)
                if not come:
                    return
        except RuntimeError:
            # The loop was closed, and the server was not.
            listener.close()

    def _accepted(self, come: list[_talkws.PendingConnection]) -> None:
        if not come and self._accepted_all is not None:
            self._accepted_all.set_result(None)
        for pending in come:
            task = self.get_loop().create_task(self._run(pending))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _run(self, pending: _talkws.PendingConnection) -> None:
        connection: ServerConnection | None = None
        try:
            connection = await self._open(pending)
        except Exception:
            self.logger.exception("opening handshake failed")
        finally:
            if connection is None:
                # Unless it was answered.
                with suppress(InvalidState):
                    pending.refuse(500, FAILED)
        if connection is None:
            return
        connection._start()
        self._connections.add(connection)
        try:
            async with connection:
                await self._handler(connection)
        except ConnectionClosedOK:
            connection.logger.debug("handler ended by the end of its connection")
        except ConnectionClosed as closed:
            connection.logger.info(
                "handler ended by the end of its connection: %s", closed
            )
        except Exception:
            connection.logger.exception("connection handler failed")
        finally:
            self._connections.discard(connection)
            # Unless its block has closed it: who cancels twice does not wait for that.
            connection._abort()

    async def _open(
        self, pending: _talkws.PendingConnection
    ) -> ServerConnection | None:
        """Answer a request; the program's functions may be coroutines."""
        opener: Opener = self._started()._opener
        steps = opener.steps(pending, self)
        answer: Any = None
        try:
            given = next(steps)
            while True:
                try:
                    answer = await given if isinstance(given, Awaitable) else given
                except Exception as error:  # noqa: BLE001
                    # The steps know what it means.
                    given = steps.throw(error)
                else:
                    given = steps.send(answer)
        except StopIteration as done:
            opened: ServerConnection | None = done.value
            return opened


def serve(
    handler: Handler,
    host: str | None = None,
    port: int | None = None,
    *,
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
    write_limit: WriteLimit = 32768,
    logger: LoggerLike | None = None,
    create_connection: Callable[..., ServerConnection] | None = None,
    ssl: _talkws.ServerTLS | None = None,
    sock: socket.socket | None = None,
    trusted_proxies: Sequence[str] | None = None,
    forwarding: Forwarding | None = None,
    start_serving: bool = True,
    **kwargs: Any,
) -> Server:
    """Make a server, which listens and serves when it is awaited or its block is entered::

        async def echo(ws):
            async for message in ws:
                await ws.send(message)

        async with serve(echo, "localhost", 8080) as server:
            await server.serve_forever()

    ``handler`` is called with each connection, in a task of its own. When it returns the connection is
    closed with 1000, when it raises with 1011, and the exception is logged.

    One thread waits for requests, however many are under way; everything else is done in the event loop.

    Args:
        handler: What to do with a connection.
        host: As for :func:`talkws.serve`, and so are those that do not stand here.
        process_request: As for :func:`talkws.serve`; may be a coroutine function.
        process_response: As for :func:`talkws.serve`; may be a coroutine function.
        max_queue: As for :func:`connect`.
        write_limit: As for :func:`connect`.
        create_connection: What makes the connections, with the arguments of
            :class:`ServerConnection`: a subclass of it, say.
        start_serving: Whether clients are accepted at once, and not only after
            :meth:`Server.start_serving`.
    """
    logger = logging.getLogger("talkws.server") if logger is None else logger
    make = ServerConnection if create_connection is None else create_connection
    options: dict[str, Any] = dict(
        kwargs,
        sock=sock,
        ssl=ssl,
        origins=origins,
        extensions=extensions,
        subprotocols=subprotocols,
        select_subprotocol=select_subprotocol,
        compression=compression,
        process_request=process_request,
        process_response=process_response,
        server_header=server_header,
        open_timeout=open_timeout,
        ping_interval=ping_interval,
        ping_timeout=ping_timeout,
        close_timeout=close_timeout,
        max_size=max_size,
        logger=logger,
        create_connection=partial(make, max_queue=max_queue, write_limit=write_limit),
        trusted_proxies=trusted_proxies,
        forwarding=forwarding,
    )
    path = options.pop("path", None)
    if path is None:
        listen = partial(blocking.serve, _handled_by_tasks, host, port, **options)
    else:
        listen = partial(blocking.unix_serve, _handled_by_tasks, path, **options)
    return Server(handler, listen, logger, start_serving)


def _handled_by_tasks(ws: blocking.ServerConnection) -> None:
    raise InvalidState("this connection is served by asyncio")


def unix_serve(handler: Handler, path: PathLike | None = None, **kwargs: Any) -> Server:
    """Make a server that listens on a Unix socket.

    Args:
        handler: What to do with a connection.
        path: Where to put the socket in the file system. It must not exist, and stays there.
        kwargs: As for :func:`serve`.
    """
    if (path is None) == (kwargs.get("sock") is None):
        raise ValueError("unix_serve: expected either path or sock")
    return serve(handler, path=path, **kwargs)


def basic_auth(
    realm: str = "",
    credentials: auth.Credentials | None = None,
    check_credentials: Callable[[str, str], bool | Awaitable[bool]] | None = None,
) -> ProcessRequest:
    """Make a ``process_request`` for :func:`serve` that asks for a name and a password: see
    :func:`talkws.basic_auth`.

    Args:
        realm: What the name and password are for, in ASCII.
        credentials: A name and its password, or several such pairs.
        check_credentials: Called with a name and a password, says whether they are right; may be a
            coroutine function.
    """
    challenge = auth.challenge_of(realm)
    check = auth.check_of(credentials, check_credentials)

    async def process_request(
        connection: ServerConnection, request: Request
    ) -> Response | None:
        given = auth.given_in(request)
        if given is not None:
            is_right = check(*given)
            if isinstance(is_right, Awaitable):
                is_right = await is_right
            if is_right:
                connection.username = given[0]
                return None
        return auth.refusal(given, challenge)

    return process_request
