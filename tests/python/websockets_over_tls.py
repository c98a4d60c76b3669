"""websockets at the other end of wss. Run by test_tls.py, in a process of its own: asyncio's TLS leaves
things behind in Pythons before 3.11.

python tests/python/websockets_over_tls.py client URI CA         has a message sent back, prints its size
python tests/python/websockets_over_tls.py server CHAIN KEY      prints its port; serves one client

By asyncio, since in its threads websockets receives while it sends, which the ssl module does not bear:
now and then it never gets an answer, from itself neither.
"""

from __future__ import annotations

import asyncio
import ssl
import sys

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve


async def client(uri: str, ca: str) -> None:
    async with connect(uri, ssl=ssl.create_default_context(cafile=ca)) as ws:
        await ws.send("x" * 100_000)
        print(len(await ws.recv()))


async def server(chain: str, key: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    is_over = asyncio.Event()

    async def send_back(ws: ServerConnection) -> None:
        async for message in ws:
            await ws.send(message)
        is_over.set()

    async with serve(send_back, "127.0.0.1", 0, ssl=context) as listening:
        print(next(iter(listening.sockets)).getsockname()[1], flush=True)
        await is_over.wait()


if __name__ == "__main__":
    asyncio.run({"client": client, "server": server}[sys.argv[1]](*sys.argv[2:]))
