"""A peer made of the Python library websockets, as it is for threads."""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
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
    deflate_parameters,
)
from role import play
from routes import choice, refusal, serve_client
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.extensions.permessage_deflate import (
    ClientPerMessageDeflateFactory,
    ServerPerMessageDeflateFactory,
)
from websockets.http11 import Request, Response
from websockets.sync.client import ClientConnection, connect
from websockets.sync.connection import Connection
from websockets.sync.server import ServerConnection, serve
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


class Adapter(Endpoint):
    def __init__(self, inner: Connection) -> None:
        self._inner = inner

    @property
    def subprotocol(self) -> str | None:
        return self._inner.subprotocol

    def send(self, message: Message) -> None:
        try:
            self._inner.send(message)
        except ConnectionClosed:
            raise Ended from None

    def send_parts(self, parts: Iterable[bytes], is_text: bool) -> None:
        self._inner.send(parts, text=is_text)

    def receive(self) -> Message:
        try:
            return self._inner.recv(timeout=TIMEOUT)
        except ConnectionClosed:
            raise Ended from None

    def ping(self, payload: bytes) -> Callable[[], bool]:
        pong = self._inner.ping(payload)
        return lambda: pong.wait(TIMEOUT)

    def close(self, code: int, reason: str = "") -> None:
        if code != NO_CODE:
            self._inner.close(code, reason)
            return
        # What `Connection.close` cannot do.
        try:
            with self._inner.send_context():
                self._inner.protocol.send_close()
        except ConnectionClosed:
            pass

    def end(self) -> Close:
        try:
            while True:
                self._inner.recv(timeout=TIMEOUT)
        except ConnectionClosed:
            close = self._inner.protocol.close_rcvd
        return (close.code, close.reason) if close else (LOST, "no Close frame")

    def next_ping(self) -> bytes | None:
        assert isinstance(self._inner, Client)
        try:
            return self._inner.pings.get(timeout=TIMEOUT)
        except queue.Empty:
            raise Failure("no ping") from None


def extensions(factory: Callable[..., Any]) -> list[Any] | None:
    parameters = deflate_parameters()
    return None if parameters is None else [factory(**parameters)]


def dial(url: str, subprotocols: Sequence[str]) -> Adapter:
    try:
        connection = connect(
            url,
            subprotocols=[Subprotocol(name) for name in subprotocols] or None,
            create_connection=Client,
            open_timeout=TIMEOUT,
            close_timeout=TIMEOUT,
            extensions=extensions(ClientPerMessageDeflateFactory),
            proxy=None,
            legacy=True,
        )
    except InvalidStatus as refused:
        raise Refused(refused.response.status_code) from None
    return Adapter(connection)


def refuse(connection: ServerConnection, request: Request) -> Response | None:
    status = refusal(request.path)
    return None if status is None else connection.respond(status, "no")


def choose(
    connection: ServerConnection, offered: Sequence[Subprotocol]
) -> Subprotocol | None:
    assert connection.request
    chosen = choice(connection.request.path, offered)
    return None if chosen is None else Subprotocol(chosen)


def answer(connection: ServerConnection) -> None:
    request = connection.request
    assert request
    headers = request.headers.get_all("Sec-WebSocket-Protocol")
    offered = [name.strip() for header in headers for name in header.split(",")]
    serve_client(Adapter(connection), request.path, offered)


def start_server() -> int:
    server = serve(
        answer,
        "127.0.0.1",
        0,
        select_subprotocol=choose,
        process_request=refuse,
        close_timeout=TIMEOUT,
        extensions=extensions(ServerPerMessageDeflateFactory),
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port: int = server.socket.getsockname()[1]
    return port


if __name__ == "__main__":
    sys.exit(play(dial, start_server))
