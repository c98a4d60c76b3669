"""websocket-client, which uses wsaccel where it is installed: with_websocket_client.py client"""

from __future__ import annotations

import sys
from contextlib import ExitStack, closing

import websocket

from client import BlockingClient, Link, Message, converse


def connect(url: str, stack: ExitStack) -> Link:
    ws = stack.enter_context(closing(websocket.create_connection(url, timeout=30)))

    def send(message: Message) -> None:
        if isinstance(message, str):
            ws.send(message)
        else:
            ws.send_binary(message)

    return Link(send, ws.recv)


if __name__ == "__main__":
    sys.exit(converse(BlockingClient(connect)))
