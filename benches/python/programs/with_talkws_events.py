"""talkws, serving by events: with_talkws_events.py server"""

from __future__ import annotations

import sys

import talkws

from client import Message
from server import announce


class Echo(talkws.EventHandler):
    def on_message(self, ws: talkws.ServerConnection, message: Message) -> None:
        ws.send(message)


def main(_role: str) -> int:
    with talkws.serve_events(
        Echo(), "127.0.0.1", 0, compression=None, ping_interval=None, max_size=None
    ) as server:
        announce(server.port)
        server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
