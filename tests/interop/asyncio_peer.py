"""A peer made of the Python library websockets, as it is for asyncio."""

from __future__ import annotations

import asyncio
import queue
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any

from endpoint import (
    LOST,
    NO_CODE,
    TIMEOUT,
    Close,
    Ended,
    Endpoint,
    Failure,
    Message,
    Refused,
)
from eventloop import LOOP, wait_for
from role import play
from routes import choice, refusal, serve_client
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.connection import Connection
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol


class Client(ClientConnection):
    """A connection that remembers the pings that came."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.pings: queue.Queue[bytes] = queue.Queue()

    def process_event(self, event: Any) -> None:
        if getattr(event, "opcode", None) == 0x9:
            self.pings.put(bytes(event.data))
        super().process_event(event)


async def each(parts: Iterable[bytes]) -> AsyncIterator[bytes]:
    """The parts, each made in a thread, since making it may wait for the loop."""
    iterator = iter(parts)
    while (part := await asyncio.to_thread(next, iterator, None)) is not None:
        yield part


async def send_close_without_code(connection: Connection) -> None:
    """What `Connection.close` cannot do."""
    try:
        async with connection.send_context():
            connection.protocol.send_close()
    except ConnectionClosed:
        pass


class Adapter(Endpoint):
    def __init__(self, inner: Connection) -> None:
        self._inner = inner

    @property
    def subprotocol(self) -> str | None:
        return self._inner.subprotocol

    def send(self, message: Message) -> None:
        try:
            wait_for(self._inner.send(message))
        except ConnectionClosed:
            raise Ended from None

    def send_parts(self, parts: Iterable[bytes], is_text: bool) -> None:
        wait_for(self._inner.send(each(parts), text=is_text))

    def receive(self) -> Message:
        try:
            return wait_for(self._inner.recv())
        except ConnectionClosed:
            raise Ended from None

    def ping(self, payload: bytes) -> Callable[[], bool]:
        pong = wait_for(self._inner.ping(payload))

        async def came() -> bool:
            await pong
            return True

        return lambda: wait_for(came())

    def close(self, code: int, reason: str = "") -> None:
        if code == NO_CODE:
            wait_for(send_close_without_code(self._inner))
        else:
            wait_for(self._inner.close(code, reason))

    def end(self) -> Close:
        wait_for(self._inner.wait_closed())
        close = self._inner.protocol.close_rcvd
        return (close.code, close.reason) if close else (LOST, "no Close frame")

    def next_ping(self) -> bytes | None:
        assert isinstance(self._inner, Client)
        try:
            return self._inner.pings.get(timeout=TIMEOUT)
        except queue.Empty:
            raise Failure("no ping") from None


def dial(url: str, subprotocols: Sequence[str]) -> Adapter:
    async def opened() -> Connection:
        return await connect(
            url,
            subprotocols=[Subprotocol(name) for name in subprotocols] or None,
            create_connection=Client,
            open_timeout=TIMEOUT,
            close_timeout=TIMEOUT,
            proxy=None,
        )

    try:
        return Adapter(wait_for(opened()))
    except InvalidStatus as refused:
        raise Refused(refused.response.status_code) from None


def refuse(connection: ServerConnection, request: Request) -> Response | None:
    status = refusal(request.path)
    return None if status is None else connection.respond(status, "no")


def choose(
    connection: ServerConnection, offered: Sequence[Subprotocol]
) -> Subprotocol | None:
    assert connection.request
    chosen = choice(connection.request.path, offered)
    return None if chosen is None else Subprotocol(chosen)


async def answer(connection: ServerConnection) -> None:
    request = connection.request
    assert request
    headers = request.headers.get_all("Sec-WebSocket-Protocol")
    offered = [name.strip() for header in headers for name in header.split(",")]
    await asyncio.to_thread(serve_client, Adapter(connection), request.path, offered)


def start_server() -> int:
    async def started() -> int:
        server = await serve(
            answer,
            "127.0.0.1",
            0,
            select_subprotocol=choose,
            process_request=refuse,
            close_timeout=TIMEOUT,
        )
        port: int = next(iter(server.sockets)).getsockname()[1]
        # Kept by the loop for as long as this program runs.
        LOOP.create_task(server.serve_forever())
        return port

    return wait_for(started())


if __name__ == "__main__":
    sys.exit(play(dial, start_server))
