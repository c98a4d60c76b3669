"""websockets on asyncio: with_websockets_asyncio.py client|server asyncio|uvloop"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable

import websockets.asyncio.client
import websockets.asyncio.server

from client import AsyncioClient, Message, converse
from server import announce


class WebsocketsClient(AsyncioClient):
    async def connect(self, url: str) -> websockets.asyncio.client.ClientConnection:
        return await websockets.asyncio.client.connect(
            url, compression=None, ping_interval=None, max_size=None
        )

    async def exchange(
        self,
        connection: websockets.asyncio.client.ClientConnection,
        message: Message,
        until: float,
    ) -> tuple[int, Message]:
        count = 0
        while True:
            await connection.send(message)
            answer = await connection.recv()
            count += 1
            if time.perf_counter() >= until:
                return count, answer

    async def disconnect(
        self, connection: websockets.asyncio.client.ClientConnection
    ) -> None:
        await connection.close()


async def echo(ws: websockets.asyncio.server.ServerConnection) -> None:
    async for message in ws:
        await ws.send(message)


async def serve() -> None:
    async with websockets.asyncio.server.serve(
        echo, "127.0.0.1", 0, compression=None, ping_interval=None, max_size=None
    ) as server:
        announce(next(iter(server.sockets)).getsockname()[1])
        await server.serve_forever()


def event_loop(name: str) -> Callable[[], asyncio.AbstractEventLoop]:
    if name == "asyncio":
        return asyncio.new_event_loop
    import uvloop  # type: ignore[import-not-found,unused-ignore]

    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def main(role: str, loop: str) -> int:
    new_event_loop = event_loop(loop)
    if role == "server":
        new_event_loop().run_until_complete(serve())
        return 0
    return converse(WebsocketsClient(new_event_loop))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
