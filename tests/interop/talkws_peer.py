"""This library's Python package as a peer."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import talkws
from endpoint import (
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
from talkws.extensions.permessage_deflate import (
    ClientPerMessageDeflateFactory,
    ServerPerMessageDeflateFactory,
)


class Adapter(Endpoint):
    def __init__(self, inner: talkws.Connection) -> None:
        if deflate_parameters() is not None and inner.deflate_parameters is None:
            raise Failure("the other end did not agree to compress")
        self._inner = inner

    @property
    def subprotocol(self) -> str | None:
        return self._inner.subprotocol

    def send(self, message: Message) -> None:
        try:
            self._inner.send(message)
        except talkws.ConnectionClosed:
            raise Ended from None

    def send_parts(self, parts: Iterable[bytes], is_text: bool) -> None:
        self._inner.send(parts, text=is_text)

    def receive(self) -> Message:
        try:
            return self._inner.recv(TIMEOUT)
        except talkws.ConnectionClosed:
            raise Ended from None

    def ping(self, payload: bytes) -> Callable[[], bool]:
        pong = self._inner.ping(payload)
        return lambda: pong.wait(TIMEOUT)

    def close(self, code: int, reason: str = "") -> None:
        self._inner.close(code, reason)

    def end(self) -> Close:
        try:
            while True:
                self._inner.recv(TIMEOUT)
        except talkws.ConnectionClosed as closed:
            return closed.code, closed.reason


def extensions(factory: Callable[..., Any]) -> list[Any] | None:
    parameters = deflate_parameters()
    return None if parameters is None else [factory(**parameters, threshold=0)]


def dial(url: str, subprotocols: Sequence[str]) -> Adapter:
    try:
        connection = talkws.connect(
            url,
            subprotocols=subprotocols,
            open_timeout=TIMEOUT,
            close_timeout=TIMEOUT,
            extensions=extensions(ClientPerMessageDeflateFactory),
        )
    except talkws.InvalidStatus as refused:
        raise Refused(refused.response.status_code) from None
    return Adapter(connection)


def refuse(
    connection: talkws.ServerConnection, request: talkws.Request
) -> talkws.Response | None:
    status = refusal(request.path)
    return None if status is None else connection.respond(status, "no")


def choose(connection: talkws.ServerConnection, offered: Sequence[str]) -> str | None:
    return choice(connection.request.path, offered)


def answer(connection: talkws.ServerConnection) -> None:
    headers = connection.request.headers.get_all("Sec-WebSocket-Protocol")
    offered = [name.strip() for header in headers for name in header.split(",")]
    serve_client(Adapter(connection), connection.request.path, offered)


def start_server() -> int:
    server = talkws.serve(
        answer,
        "127.0.0.1",
        0,
        select_subprotocol=choose,
        process_request=refuse,
        close_timeout=TIMEOUT,
        extensions=extensions(ServerPerMessageDeflateFactory),
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.port


if __name__ == "__main__":
    sys.exit(play(dial, start_server))
