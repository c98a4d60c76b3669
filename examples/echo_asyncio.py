"""Sends every message back, on asyncio, as a server or as a client of a conformance suite's server.

python examples/echo_asyncio.py [PORT]                         port 0 takes a free one
python examples/echo_asyncio.py ws://127.0.0.1:9001 AGENT
"""

from __future__ import annotations

import asyncio
import sys

import talkws
from talkws.asyncio import Connection, connect, serve

MAX_MESSAGE = 64 << 20


async def echo(ws: Connection) -> None:
    async for message in ws:
        await ws.send(message)


async def run_server(port: int) -> None:
    async with serve(echo, "127.0.0.1", port, max_size=MAX_MESSAGE) as server:
        print("Listening on", server.url, flush=True)
        await server.serve_forever()


async def ask(url: str) -> str | bytes:
    """The one message that the suite has to say there; empty when it says only goodbye."""
    async with connect(url) as ws:
        async for message in ws:
            return message
    return ""


async def run_cases(base: str, agent: str) -> None:
    for case in range(1, int(await ask(f"{base}/getCaseCount")) + 1):
        url = f"{base}/runCase?case={case}&agent={agent}"
        try:
            async with connect(url, max_size=MAX_MESSAGE) as ws:
                await echo(ws)
        except talkws.ConnectionClosed:
            # How a case ends is for the suite to judge.
            pass
    await ask(f"{base}/updateReports?agent={agent}")


def main(where: str = "8080", agent: str = "") -> int:
    try:
        asyncio.run(run_cases(where, agent) if agent else run_server(int(where)))
    except (talkws.WebSocketException, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
