"""Sends every message back to who sent it: one thread for any number of clients.

python examples/echo_events.py [PORT]      port 0 takes a free one
"""

from __future__ import annotations

import sys

import talkws


class Echo(talkws.EventHandler):
    def on_message(self, ws: talkws.ServerConnection, message: str | bytes) -> None:
        ws.send(message)


def main(port: str = "8080") -> None:
    with talkws.serve_events(Echo(), "localhost", int(port)) as server:
        print("Listening on", server.url, flush=True)
        server.serve_forever()


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except KeyboardInterrupt:
        pass
