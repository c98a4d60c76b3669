"""picows on uvloop: with_picows.py client|server

Its natural form is a callback for each frame, in which the client sends its next message.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any

import uvloop  # type: ignore[import-not-found,unused-ignore]
from picows import (  # type: ignore[import-not-found]
    WSListener,
    WSMsgType,
    ws_connect,
    ws_create_server,
)

from client import AsyncioClient, Message, converse
from server import announce

LARGEST = 4 << 20


def payload(frame: Any) -> Message:
    """What people take out of a frame to keep it: `str` or `bytes`."""
    answer: Message
    if frame.msg_type == WSMsgType.TEXT:
        answer = frame.get_payload_as_utf8_text()
    else:
        answer = frame.get_payload_as_bytes()
    return answer


def send(transport: Any, message: Message) -> None:
    if isinstance(message, str):
        transport.send(WSMsgType.TEXT, message.encode())
    else:
        transport.send(WSMsgType.BINARY, message)


class PingPong(WSListener):  # type: ignore[misc]
    def start(
        self, transport: Any, message: Message, until: float
    ) -> asyncio.Future[tuple[int, Message]]:
        self._message, self._until, self._count = message, until, 0
        self._done: asyncio.Future[tuple[int, Message]] = (
            asyncio.get_running_loop().create_future()
        )
        send(transport, message)
        return self._done

    def on_ws_frame(self, transport: Any, frame: Any) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()
            return
        answer = payload(frame)
        self._count += 1
        if time.perf_counter() < self._until:
            send(transport, self._message)
        else:
            self._done.set_result((self._count, answer))

    def on_ws_disconnected(self, transport: Any) -> None:
        if hasattr(self, "_done") and not self._done.done():
            self._done.set_exception(ConnectionError("the server is gone"))


class Echo(WSListener):  # type: ignore[misc]
    def on_ws_frame(self, transport: Any, frame: Any) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code(), frame.get_close_message())
            transport.disconnect()
        else:
            send(transport, payload(frame))


class PicowsClient(AsyncioClient):
    async def connect(self, url: str) -> tuple[Any, PingPong]:
        transport, listener = await ws_connect(PingPong, url, max_frame_size=LARGEST)
        return transport, listener

    async def exchange(
        self, connection: tuple[Any, PingPong], message: Message, until: float
    ) -> tuple[int, Message]:
        transport, listener = connection
        return await listener.start(transport, message, until)

    async def disconnect(self, connection: tuple[Any, PingPong]) -> None:
        connection[0].send_close()
        connection[0].disconnect()
        await connection[0].wait_disconnected()


async def serve() -> None:
    server = await ws_create_server(
        lambda request: Echo(), "127.0.0.1", 0, max_frame_size=LARGEST
    )
    announce(server.sockets[0].getsockname()[1])
    await server.serve_forever()


def main(role: str) -> int:
    if role == "server":
        uvloop.new_event_loop().run_until_complete(serve())
        return 0
    return converse(PicowsClient(uvloop.new_event_loop))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
