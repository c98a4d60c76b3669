"""A peer made of the Python library aiohttp. It cannot send messages in several frames."""

from __future__ import annotations

import asyncio
import atexit
import sys
from collections.abc import Iterable, Sequence
from functools import cache

from aiohttp import (
    ClientSession,
    ClientTimeout,
    ClientWebSocketResponse,
    ClientWSTimeout,
    WSMsgType,
    WSServerHandshakeError,
    web,
)
from endpoint import NO_CODE, TIMEOUT, Ended, Kind, Message, PulledEndpoint, Refused
from eventloop import wait_for
from role import play
from routes import choice, refusal, serve_client

Inner = ClientWebSocketResponse | web.WebSocketResponse
MAX_SIZE = 16 << 20


class Adapter(PulledEndpoint):
    """Answers pings and Closes itself: otherwise aiohttp does not tell of pongs and codes."""

    def __init__(self, inner: Inner) -> None:
        super().__init__()
        self._inner = inner
        self._has_sent_close = False

    @property
    def subprotocol(self) -> str | None:
        if isinstance(self._inner, ClientWebSocketResponse):
            return self._inner.protocol
        return self._inner.ws_protocol

    def send(self, message: Message) -> None:
        try:
            if isinstance(message, str):
                wait_for(self._inner.send_str(message))
            else:
                wait_for(self._inner.send_bytes(message))
        except ConnectionError:
            raise Ended from None

    def send_parts(self, parts: Iterable[bytes], is_text: bool) -> None:
        raise NotImplementedError("aiohttp sends every message in one frame")

    def send_ping(self, payload: bytes) -> None:
        wait_for(self._inner.ping(payload))

    def close(self, code: int, reason: str = "") -> None:
        if self._end is not None or self._inner.closed:
            return
        if code == NO_CODE:
            self._send_close_without_code()
            return
        wait_for(self._inner.close(code=code, message=reason.encode()))
        # Of the answer aiohttp keeps the code only.
        self._end = self._inner.close_code or NO_CODE, ""

    def pull(self) -> tuple[Kind, bytes]:
        frame = wait_for(self._inner.receive())
        match frame.type:
            case WSMsgType.TEXT:
                return "text", frame.data.encode()
            case WSMsgType.BINARY:
                return "binary", bytes(frame.data)
            case WSMsgType.PING:
                wait_for(self._inner.pong(frame.data))
                return "ping", bytes(frame.data)
            case WSMsgType.PONG:
                return "pong", bytes(frame.data)
            case WSMsgType.CLOSE:
                return "close", self._answer_close(frame.data, frame.extra or "")
        return "lost", b""

    def _answer_close(self, code: int, reason: str) -> bytes:
        if code:
            wait_for(self._inner.close(code=code))
            return code.to_bytes(2, "big") + reason.encode()
        if not self._has_sent_close:
            self._send_close_without_code()
        return b""

    def _send_close_without_code(self) -> None:
        self._has_sent_close = True
        wait_for(self._inner.send_frame(b"", WSMsgType.CLOSE))


async def open_session() -> ClientSession:
    return ClientSession(timeout=ClientTimeout(total=TIMEOUT))


@cache
def the_session() -> ClientSession:
    """One for all connections, and closed when the program ends."""
    session = wait_for(open_session())
    atexit.register(lambda: wait_for(session.close()))
    return session


async def connect(
    session: ClientSession, url: str, subprotocols: Sequence[str]
) -> ClientWebSocketResponse:
    try:
        return await session.ws_connect(
            url,
            protocols=subprotocols,
            autoping=False,
            autoclose=False,
            max_msg_size=MAX_SIZE,
            timeout=ClientWSTimeout(ws_close=TIMEOUT),
        )
    except WSServerHandshakeError as refused:
        raise Refused(refused.status) from None


def dial(url: str, subprotocols: Sequence[str]) -> Adapter:
    return Adapter(wait_for(connect(the_session(), url, subprotocols)))


async def answer(request: web.Request) -> web.StreamResponse:
    target = str(request.rel_url)
    if (status := refusal(target)) is not None:
        return web.Response(status=status, text="no")
    header = request.headers.get("Sec-WebSocket-Protocol", "")
    offered = [name.strip() for name in header.split(",") if name]
    chosen = choice(target, offered)
    inner = web.WebSocketResponse(
        protocols=[chosen] if chosen else [],
        autoping=False,
        autoclose=False,
        max_msg_size=MAX_SIZE,
        timeout=TIMEOUT,
    )
    await inner.prepare(request)
    await asyncio.to_thread(serve_client, Adapter(inner), target, offered)
    return inner


def start_server() -> int:
    async def started() -> int:
        application = web.Application()
        application.router.add_get("/{path:.*}", answer)
        runner = web.AppRunner(application)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port: int = runner.addresses[0][1]
        return port

    return wait_for(started())


if __name__ == "__main__":
    sys.exit(play(dial, start_server))
