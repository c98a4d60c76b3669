"""Answers every client's hello, with a thread for each connection.

python examples/hello_server.py [URL]
"""

from __future__ import annotations

import sys
import threading

import talkws


def answer(pending: talkws.PendingConnection) -> None:
    try:
        with pending.upgrade() as ws:
            for message in ws:
                print("Message:", message, flush=True)
                ws.send("Hello from server!")
    except (talkws.WebSocketException, OSError) as error:
        print(error, file=sys.stderr)


def serve(url: str) -> None:
    with talkws.listen(url) as listener:
        print("Listening on", listener.url, flush=True)
        for pending in listener:
            threading.Thread(target=answer, args=(pending,), daemon=True).start()


def main() -> int:
    url = sys.argv[1] if len(sys.argv) > 1 else "ws://localhost:8080/talk-to-server"
    try:
        serve(url)
    except (talkws.WebSocketException, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
