"""WebSocket clients and servers for asyncio.

A client::

    from talkws.asyncio import connect

    async with connect("ws://localhost:8080/talk-to-server") as ws:
        await ws.send("Hello from client!")
        print("Received:", await ws.recv())

A server, with a task for each client::

    from talkws.asyncio import serve

    async def answer(ws):
        async for message in ws:
            await ws.send("Hello from server!")

    async with serve(answer, "localhost", 8080) as server:
        await server.serve_forever()

Names are those of ``websockets.asyncio`` wherever the meaning is the same. Any event loop will do that
has ``add_reader``, such as that of uvloop. Cancelling is safe: a cancelled ``recv()`` loses no message.

Exceptions, :class:`~talkws.Prepared`, :class:`~talkws.ClientTLS` and so on are those of :mod:`talkws`.
"""

from __future__ import annotations

from .client import ClientConnection, connect, unix_connect
from .connection import Connection, broadcast
from .server import Server, ServerConnection, basic_auth, serve, unix_serve

__all__ = [
    "ClientConnection",
    "Connection",
    "Server",
    "ServerConnection",
    "basic_auth",
    "broadcast",
    "connect",
    "serve",
    "unix_connect",
    "unix_serve",
]
