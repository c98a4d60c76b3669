"""The server's part of the contract in README.md, for any Python library."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable
from urllib.parse import parse_qs, urlsplit

from endpoint import NO_CODE, TIMEOUT, Ended, Endpoint
from payloads import FRAGMENTED, FRAGMENTED_BINARY, SERVER_HELLO, V2, pieces

ROUTES = {
    "/",
    "/close",
    "/outcome",
    "/ping",
    "/fragments",
    "/subprotocol",
    "/talk-to-server",
}


class Outcomes:
    """How each connection with an id ended."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ends: dict[str, queue.Queue[str]] = {}

    def put(self, name: str, connection: Endpoint) -> None:
        code, reason = connection.end()
        self._of(name).put(f"{code} {reason}")

    def take(self, name: str) -> str:
        try:
            return self._of(name).get(timeout=TIMEOUT)
        except queue.Empty:
            return "0 the connection did not end"

    def _of(self, name: str) -> queue.Queue[str]:
        with self._lock:
            return self._ends.setdefault(name, queue.Queue())


OUTCOMES = Outcomes()


def refusal(target: str) -> int | None:
    """The status with which a request is refused."""
    path = urlsplit(target).path
    if path == "/refuse":
        return 403
    return None if path in ROUTES else 404


def choice(target: str, offered: Iterable[str]) -> str | None:
    """The subprotocol to speak."""
    return V2 if urlsplit(target).path == "/subprotocol" and V2 in offered else None


def answer(connection: Endpoint, target: str, offered: Iterable[str]) -> None:
    """Talk with a client to the end."""
    url = urlsplit(target)
    query = {name: values[0] for name, values in parse_qs(url.query).items()}
    match url.path:
        case "/":
            for message in connection:
                connection.send(message)
            if "id" in query:
                OUTCOMES.put(query["id"], connection)
        case "/close":
            code = int(query.get("code", NO_CODE))
            connection.close(code, query.get("reason", ""))
            OUTCOMES.put(query["id"], connection)
        case "/outcome":
            connection.send(OUTCOMES.take(query["id"]))
        case "/ping":
            came = connection.ping(query["payload"].encode())()
            connection.send(f"pong {query['payload']}" if came else "no such pong")
        case "/fragments":
            send_fragments(connection)
        case "/subprotocol":
            connection.send(",".join(offered))
        case "/talk-to-server":
            print(f"Message: {connection.receive()!s}", flush=True)
            connection.send(SERVER_HELLO)
    for _ in connection:
        pass


def send_fragments(connection: Endpoint) -> None:
    pongs = []

    def ping() -> None:
        pongs.append(connection.ping(b"between"))

    connection.send_parts(pieces(FRAGMENTED.encode(), ping), is_text=True)
    connection.send_parts(pieces(FRAGMENTED_BINARY), is_text=False)
    connection.send("pong between" if pongs[0]() else "no such pong")


def serve_client(connection: Endpoint, target: str, offered: Iterable[str]) -> None:
    """`answer`, for a client who may go at any time."""
    try:
        answer(connection, target, offered)
    except Ended:
        pass
    finally:
        connection.close(1000)
