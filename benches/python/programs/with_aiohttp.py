"""aiohttp on uvloop: with_aiohttp.py client|server"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

import uvloop  # type: ignore[import-not-found,unused-ignore]
from aiohttp import (
    ClientSession,
    TCPConnector,
    WSMsgType,
    web,
)

from client import AsyncioClient, Message, converse
from server import announce


class AiohttpClient(AsyncioClient):
    async def open_session(self) -> None:
        self._session = ClientSession(connector=TCPConnector(limit=0))

    async def connect(self, url: str) -> Any:
        return await self._session.ws_connect(url, compress=0, max_msg_size=0)

    async def exchange(
        self, connection: Any, message: Message, until: float
    ) -> tuple[int, Message]:
        count = 0
        is_text = isinstance(message, str)
        send = connection.send_str if is_text else connection.send_bytes
        receive = connection.receive_str if is_text else connection.receive_bytes
        while True:
            await send(message)
            answer = await receive()
            count += 1
            if time.perf_counter() >= until:
                return count, answer

    async def disconnect(self, connection: Any) -> None:
        await connection.close()

    async def close_session(self) -> None:
        await self._session.close()


async def echo(request: web.Request) -> web.WebSocketResponse:
    ws = web.WebSocketResponse(compress=False, max_msg_size=0)
    await ws.prepare(request)
    async for message in ws:
        if message.type is WSMsgType.TEXT:
            await ws.send_str(message.data)
        else:
            await ws.send_bytes(message.data)
    return ws


async def serve() -> None:
    app = web.Application()
    app.router.add_get("/", echo)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    announce(runner.addresses[0][1])
    await asyncio.Event().wait()


def main(role: str) -> int:
    if role == "server":
        uvloop.new_event_loop().run_until_complete(serve())
        return 0
    return converse(AiohttpClient(uvloop.new_event_loop))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
