"""websockets, its blocking face: with_websockets_sync.py client|server"""

from __future__ import annotations

import sys
from contextlib import ExitStack

import websockets.sync.client
import websockets.sync.server

from client import BlockingClient, Link, converse
from server import announce


def connect(url: str, stack: ExitStack) -> Link:
    ws = stack.enter_context(
        websockets.sync.client.connect(
            url, compression=None, ping_interval=None, max_size=None
        )
    )
    return Link(ws.send, ws.recv)


def echo(ws: websockets.sync.server.ServerConnection) -> None:
    for message in ws:
        ws.send(message)


def serve() -> int:
    with websockets.sync.server.serve(
        echo, "127.0.0.1", 0, compression=None, ping_interval=None, max_size=None
    ) as server:
        announce(server.socket.getsockname()[1])
        server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(
        serve()
        if sys.argv[1] == "server"
        else converse(BlockingClient(connect, threads_from=1 << 20))
    )
