"""Sends every message back, compressed: websockets, its blocking face."""

from __future__ import annotations

from websockets.sync.server import ServerConnection, serve


def echo(ws: ServerConnection) -> None:
    for message in ws:
        ws.send(message)


if __name__ == "__main__":
    with serve(echo, "127.0.0.1", 0, ping_interval=None) as server:
        port = server.socket.getsockname()[1]
        print(f"Listening on ws://127.0.0.1:{port}", flush=True)
        server.serve_forever()
