"""Sends every message back, with a thread for each connection.

python examples/echo_server.py [PORT]
"""

from __future__ import annotations

import os
import sys
import threading

import talkws


def echo(pending: talkws.PendingConnection) -> None:
    try:
        with pending.upgrade() as ws:
            for message in ws:
                ws.send(message)
    except (talkws.WebSocketException, OSError) as error:
        # What a peer did wrong was told to the peer; here it is worth a line when asked for.
        if "ECHO_VERBOSE" in os.environ:
            print(error, file=sys.stderr)


def serve(url: str) -> None:
    with talkws.listen(url) as listener:
        print("Listening on", listener.url, flush=True)
        for pending in listener:
            threading.Thread(target=echo, args=(pending,), daemon=True).start()


def main() -> int:
    port = sys.argv[1] if len(sys.argv) > 1 else "9001"
    try:
        serve(f"ws://127.0.0.1:{port}")
    except (talkws.WebSocketException, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
