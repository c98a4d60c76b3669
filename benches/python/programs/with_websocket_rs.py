"""websocket-rs, its blocking client and its client on uvloop: with_websocket_rs.py client sync|uvloop"""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from typing import Any

import websocket_rs  # type: ignore[import-not-found]

from client import AsyncioClient, BlockingClient, Link, Message, converse


def connect(url: str, stack: ExitStack) -> Link:
    ws = stack.enter_context(websocket_rs.sync.client.connect(url))
    return Link(ws.send, ws.recv)


class WebsocketRsClient(AsyncioClient):
    async def connect(self, url: str) -> Any:
        return await websocket_rs.connect(url)

    async def exchange(
        self, connection: Any, message: Message, until: float
    ) -> tuple[int, Message]:
        count = 0
        is_text = isinstance(message, str)
        while True:
            connection.send(message)
            # It gives views, whose bytes nobody has checked; people have to make text of them.
            answer = bytes(await connection.recv())
            text = answer.decode() if is_text else answer
            count += 1
            if time.perf_counter() >= until:
                return count, text

    async def disconnect(self, connection: Any) -> None:
        connection.close()


def main(face: str) -> int:
    if face == "sync":
        return converse(BlockingClient(connect, threads_from=1 << 20))
    import uvloop  # type: ignore[import-not-found,unused-ignore]

    return converse(WebsocketRsClient(uvloop.new_event_loop))


if __name__ == "__main__":
    sys.exit(main(sys.argv[2]))
