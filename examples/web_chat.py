"""A chat in the browser: the page and its WebSocket come from one port.

python examples/web_chat.py [PORT]
"""

from __future__ import annotations

import queue
import sys
import threading
from pathlib import Path
from urllib.parse import urlsplit

import talkws

PAGE = Path(__file__).parent / "web" / "index.html"
# So many messages wait for one who does not take them; at the next one he has to go.
PATIENCE = 100
# Codes from 4000 on are a program's own. After these the page does not connect again by itself.
LEFT, TOO_SLOW = 4000, 4001


class Member:
    """Somebody in the chat. A thread of its own sends, so that nobody waits for the slow."""

    def __init__(self, ws: talkws.ServerConnection) -> None:
        self._ws = ws
        self._unsent: queue.Queue[str | None] = queue.Queue(PATIENCE)
        threading.Thread(target=self._send_all, daemon=True).start()

    def tell(self, text: str | None) -> bool:
        """Whether it was not too much; None is the last that one is told."""
        try:
            self._unsent.put_nowait(text)
        except queue.Full:
            return False
        return True

    def drop(self) -> None:
        threading.Thread(target=self._ws.close, args=(TOO_SLOW, "Too slow")).start()

    def _send_all(self) -> None:
        try:
            while (text := self._unsent.get()) is not None:
                self._ws.send(text)
        except talkws.ConnectionClosed:
            pass


class Room:
    """Everybody who is there."""

    def __init__(self) -> None:
        self._members: set[Member] = set()
        self._lock = threading.Lock()

    def tell_all(self, text: str) -> None:
        with self._lock:
            slow = {member for member in self._members if not member.tell(text)}
            self._members -= slow
        for member in slow:
            member.drop()

    def chat(self, ws: talkws.ServerConnection) -> None:
        """Serve one browser. The first thing that it says is its user's name."""
        member, name = Member(ws), None
        try:
            name = ws.recv()
            with self._lock:
                self._members.add(member)
            self.tell_all(f"{name!s} is here.")
            for message in ws:
                if message == "/leave":
                    ws.close(LEFT, f"Goodbye, {name!s}!")
                else:
                    self.tell_all(f"{name!s}: {message!s}")
        except talkws.ConnectionClosed:
            pass
        finally:
            with self._lock:
                self._members.discard(member)
            member.tell(None)
            if name is not None:
                self.tell_all(f"{name!s} is gone.")


def answer(
    connection: talkws.ServerConnection, request: talkws.Request
) -> talkws.Response | None:
    """Requests for the page are answered here, and those for the chat are upgraded."""
    path = urlsplit(request.path).path
    if path == "/chat":
        return None
    if path != "/":
        return connection.respond(404, "There is only /.\n")
    response = connection.respond(200, PAGE.read_text(encoding="utf-8"))
    del response.headers["Content-Type"]
    response.headers["Content-Type"] = "text/html; charset=utf-8"
    return response


def main() -> int:
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8080
    try:
        with talkws.serve(
            Room().chat, "localhost", port, process_request=answer, max_size=4096
        ) as server:
            print(f"Listening on http://localhost:{server.port}/", flush=True)
            server.serve_forever()
    except OSError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
