"""Sends every message back, compressed: talkws for Python."""

from __future__ import annotations

import talkws


def echo(ws: talkws.ServerConnection) -> None:
    for message in ws:
        ws.send(message)


if __name__ == "__main__":
    with talkws.serve(echo, "127.0.0.1", 0, ping_interval=None) as server:
        print("Listening on", server.url, flush=True)
        server.serve_forever()
