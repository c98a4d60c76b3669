"""talkws: with_talkws.py client|server"""

from __future__ import annotations

import sys
import threading
from contextlib import ExitStack

import talkws

from client import BlockingClient, Link, converse
from server import announce


def connect(url: str, stack: ExitStack) -> Link:
    ws = stack.enter_context(talkws.connect(url, max_size=None))
    return Link(ws.send, ws.recv)


def echo(pending: talkws.PendingConnection) -> None:
    with pending.upgrade() as ws:
        for message in ws:
            ws.send(message)


def serve() -> int:
    with talkws.listen("ws://127.0.0.1:0", max_size=None) as listener:
        announce(listener.port)
        for pending in listener:
            threading.Thread(target=echo, args=(pending,), daemon=True).start()
    return 0


if __name__ == "__main__":
    sys.exit(serve() if sys.argv[1] == "server" else converse(BlockingClient(connect)))
