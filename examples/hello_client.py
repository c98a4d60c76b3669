"""Says hello to a WebSocket server and prints its answer.

python examples/hello_client.py [URL]
"""

from __future__ import annotations

import sys

import talkws


def talk(url: str) -> None:
    with talkws.connect(url) as ws:
        ws.send("Hello from client!")
        print("Received:", ws.recv())
        ws.close(1000, "bye")


def main() -> int:
    url = sys.argv[1] if len(sys.argv) > 1 else "ws://localhost:8080/talk-to-server"
    try:
        talk(url)
    except (talkws.WebSocketException, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
