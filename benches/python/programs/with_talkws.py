"""talkws: with_talkws.py client|server"""

from __future__ import annotations

import sys
from contextlib import ExitStack

import talkws

from client import BlockingClient, Link, converse
from server import announce


def connect(url: str, stack: ExitStack) -> Link:
    ws = stack.enter_context(
        talkws.connect(url, compression=None, ping_interval=None, max_size=None)
    )
    return Link(ws.send, ws.recv)


def echo(ws: talkws.ServerConnection) -> None:
    for message in ws:
        ws.send(message)


def serve() -> int:
    with talkws.serve(
        echo, "127.0.0.1", 0, compression=None, ping_interval=None, max_size=None
    ) as server:
        announce(server.port)
        server.serve_forever()
    return 0


def main(role: str) -> int:
    if role == "server":
        return serve()
    return converse(BlockingClient(connect, threads_from=1 << 20))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
