"""A peer for the interoperability tests, made of the Python library websockets.

The contract that its command line and its routes keep is in README.md.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.http11 import Request, Response
from websockets.sync.client import ClientConnection, connect
from websockets.sync.connection import Connection
from websockets.sync.server import ServerConnection, serve
from websockets.typing import Subprotocol

TIMEOUT = int(os.environ.get("INTEROP_TIMEOUT", "10"))
NON_ASCII = "Grüße, 世界 🦀 مرحبا"
FRAGMENTED = "é世🦀 in pieces of three bytes, which split 🦀世é"
FRAGMENTED_BINARY = bytes([0, 0xFF, 0x80, 0xC3, 0x28, 0, 0xF0, 0x9F])
V1 = Subprotocol("talkws.v1")
V2 = Subprotocol("talkws.v2")


class Failure(Exception):
    """A check has not found what it should."""


def mebibyte() -> str:
    """Exactly 1 MiB of text with characters of one to four bytes."""
    text = "é世🦀." * (2**20 // 10)
    return text + "x" * (2**20 - len(text.encode()))


def pieces(
    payload: bytes, between: Callable[[], object] | None = None
) -> Iterator[bytes]:
    """Fragments of three bytes, an empty one, and a call after the first."""
    yield payload[:3]
    yield b""
    if between:
        between()
    for start in range(3, len(payload), 3):
        yield payload[start : start + 3]


def end_of(connection: Connection) -> tuple[int, str]:
    """The code and reason that the other end sent; 1005 for none, 1006 for no Close frame."""
    close = connection.protocol.close_rcvd
    return (close.code, close.reason) if close else (1006, "no Close frame")


def send_close_without_code(connection: Connection) -> None:
    """What `Connection.close` cannot do."""
    try:
        with connection.send_context():
            connection.protocol.send_close()
    except ConnectionClosed:
        pass


# The server


class Outcomes:
    """How each connection with an id ended."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.ends: dict[str, queue.Queue[str]] = {}

    def of(self, name: str) -> queue.Queue[str]:
        with self.lock:
            return self.ends.setdefault(name, queue.Queue())

    def put(self, name: str, connection: Connection) -> None:
        code, reason = end_of(connection)
        self.of(name).put(f"{code} {reason}")

    def take(self, name: str) -> str:
        try:
            return self.of(name).get(timeout=TIMEOUT)
        except queue.Empty:
            return "0 the connection did not end"


OUTCOMES = Outcomes()
ROUTES = {
    "/",
    "/close",
    "/outcome",
    "/ping",
    "/fragments",
    "/subprotocol",
    "/talk-to-server",
}


def refuse(connection: ServerConnection, request: Request) -> Response | None:
    path = urlsplit(request.path).path
    if path == "/refuse":
        return connection.respond(403, "no")
    return None if path in ROUTES else connection.respond(404, "no such route")


def choose(
    connection: ServerConnection, offered: Iterable[Subprotocol]
) -> Subprotocol | None:
    path = urlsplit(connection.request.path).path if connection.request else "/"
    return V2 if path == "/subprotocol" and V2 in offered else None


def discard(connection: Connection) -> None:
    for _ in connection:
        pass


def report_pong(
    connection: ServerConnection, pong: threading.Event, payload: str
) -> None:
    """Tell the client that its pong came; the event is set by one with that payload."""
    came = pong.wait(TIMEOUT)
    connection.send(f"pong {payload}" if came else "no such pong")
    discard(connection)


def talk(connection: ServerConnection) -> None:
    try:
        answer(connection)
    except ConnectionClosed:
        pass


def answer(connection: ServerConnection) -> None:
    assert connection.request
    url = urlsplit(connection.request.path)
    query = {name: values[0] for name, values in parse_qs(url.query).items()}
    match url.path:
        case "/":
            try:
                for message in connection:
                    connection.send(message)
            except ConnectionClosed:
                pass
            if "id" in query:
                OUTCOMES.put(query["id"], connection)
        case "/close":
            if "code" in query:
                connection.close(int(query["code"]), query.get("reason", ""))
            else:
                send_close_without_code(connection)
            OUTCOMES.put(query["id"], connection)
        case "/outcome":
            connection.send(OUTCOMES.take(query["id"]))
            discard(connection)
        case "/ping":
            report_pong(connection, connection.ping(query["payload"]), query["payload"])
        case "/fragments":
            pongs: list[threading.Event] = []
            connection.send(
                pieces(
                    FRAGMENTED.encode(),
                    lambda: pongs.append(connection.ping("between")),
                ),
                text=True,
            )
            connection.send(pieces(FRAGMENTED_BINARY))
            report_pong(connection, pongs[0], "between")
        case "/subprotocol":
            connection.send(
                ",".join(
                    name.strip()
                    for header in connection.request.headers.get_all(
                        "Sec-WebSocket-Protocol"
                    )
                    for name in header.split(",")
                )
            )
            discard(connection)
        case "/talk-to-server":
            print(f"Message: {connection.recv()!s}", flush=True)
            connection.send("Hello from server!")
            discard(connection)


def run_server() -> None:
    with serve(
        talk,
        "127.0.0.1",
        0,
        select_subprotocol=choose,
        process_request=refuse,
        close_timeout=TIMEOUT,
    ) as server:
        print(
            f"Listening on ws://127.0.0.1:{server.socket.getsockname()[1]}", flush=True
        )
        threading.Thread(target=server.serve_forever, daemon=True).start()
        sys.stdin.read()
        os._exit(0)


# The client


class Client(ClientConnection):
    """A connection that remembers the pings that came."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.pings: queue.Queue[bytes] = queue.Queue()

    def process_event(self, event: Any) -> None:
        if getattr(event, "opcode", None) == 0x9:
            self.pings.put(bytes(event.data))
        super().process_event(event)

    def expect(self, want: str | bytes) -> None:
        got = self.recv(timeout=TIMEOUT)
        if type(got) is not type(want):
            raise Failure(
                f"message of type {type(got).__name__}, not {type(want).__name__}"
            )
        if got != want:
            raise Failure(f"wrong payload: {got[:60]!r}, not {want[:60]!r}")

    def expect_ping(self, want: bytes) -> None:
        try:
            got = self.pings.get(timeout=TIMEOUT)
        except queue.Empty:
            raise Failure("no ping") from None
        if got != want:
            raise Failure(f"ping with {got!r}, not {want!r}")

    def expect_end(self, code: int, reason: str | None = None) -> None:
        if not self.wait_closed(TIMEOUT):
            raise Failure("not closed")
        got = end_of(self)
        if got[0] != code:
            raise Failure(f"closed with {got}, not {code}")
        if reason is not None and got[1] != reason:
            raise Failure(f"closed with the reason {got[1]!r}, not {reason!r}")


@contextmanager
def dial(url: str, subprotocols: list[Subprotocol] | None = None) -> Iterator[Client]:
    """A connection that is closed in good order, unless the check has closed it."""
    with connect(
        url,
        subprotocols=subprotocols or None,
        create_connection=Client,
        open_timeout=TIMEOUT,
        close_timeout=TIMEOUT,
        proxy=None,
    ) as connection:
        assert isinstance(connection, Client)
        yield connection
        if (
            connection.protocol.close_sent is None
            and connection.protocol.close_rcvd is None
        ):
            connection.close()
            connection.expect_end(1000)


class Checks:
    """Every check, on a connection of its own."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.last_id = 0

    def echo(self, *payloads: str | bytes) -> None:
        with dial(self.base) as connection:
            for payload in payloads:
                connection.send(payload)
            for payload in payloads:
                connection.expect(payload)

    def fragmented_text(self) -> None:
        with dial(self.base) as connection:
            connection.send(pieces(FRAGMENTED.encode()), text=True)
            connection.expect(FRAGMENTED)

    def fragmented_binary(self) -> None:
        with dial(self.base) as connection:
            connection.send(pieces(FRAGMENTED_BINARY))
            connection.expect(FRAGMENTED_BINARY)

    def ping_between_fragments(self) -> None:
        pongs: list[threading.Event] = []
        with dial(self.base) as connection:
            connection.send(
                pieces(
                    FRAGMENTED.encode(),
                    lambda: pongs.append(connection.ping("between")),
                ),
                text=True,
            )
            connection.expect(FRAGMENTED)
            if not pongs[0].wait(TIMEOUT):
                raise Failure("no pong with the payload of the ping")

    def fragments_from_server(self) -> None:
        with dial(self.base + "/fragments") as connection:
            connection.expect(FRAGMENTED)
            connection.expect_ping(b"between")
            connection.expect(FRAGMENTED_BINARY)
            connection.expect("pong between")

    def ping(self) -> None:
        with dial(self.base) as connection:
            for payload in (b"ping", b"", b"p" * 125):
                if not connection.ping(payload).wait(TIMEOUT):
                    raise Failure(f"no pong with {payload!r}")

    def ping_from_server(self) -> None:
        with dial(self.base + "/ping?payload=are+you+there") as connection:
            connection.expect_ping(b"are you there")
            connection.expect("pong are you there")

    def next_id(self) -> str:
        self.last_id += 1
        return f"websockets-{self.last_id}"

    def expect_outcome(self, name: str, code: int, reason: str | None = None) -> None:
        """Ask the server how the connection with that id ended."""
        with dial(f"{self.base}/outcome?id={name}") as connection:
            got_code, _, got_reason = str(connection.recv(timeout=TIMEOUT)).partition(
                " "
            )
        if got_code != str(code) or reason not in (None, got_reason):
            raise Failure(
                f"the server saw {got_code} {got_reason!r}, not {code} {reason!r}"
            )

    def close(self, code: int, reason: str = "") -> None:
        name = self.next_id()
        with dial(f"{self.base}/?id={name}") as connection:
            if code == 1005:
                send_close_without_code(connection)
            else:
                connection.close(code, reason)
            connection.expect_end(code)
        self.expect_outcome(name, code, reason)

    def closed(self, code: int, reason: str = "") -> None:
        name = self.next_id()
        query = (
            {"id": name}
            if code == 1005
            else {"id": name, "code": code, "reason": reason}
        )
        with dial(f"{self.base}/close?{urlencode(query)}") as connection:
            connection.expect_end(code, reason)
        self.expect_outcome(name, code)

    def subprotocol(
        self, offered: list[Subprotocol], chosen: Subprotocol | None
    ) -> None:
        with dial(self.base + "/subprotocol", offered) as connection:
            if connection.subprotocol != chosen:
                raise Failure(
                    f"the server chose {connection.subprotocol}, not {chosen}"
                )
            connection.expect(",".join(offered))

    def refused(self, path: str, status: int) -> None:
        try:
            with dial(self.base + path):
                raise Failure("not refused")
        except InvalidStatus as refusal:
            if refusal.response.status_code != status:
                raise Failure(
                    f"refused with {refusal.response.status_code}, not {status}"
                ) from None

    def all(self) -> dict[str, Callable[[], None]]:
        return {
            "text": lambda: self.echo("Hello"),
            "empty text": lambda: self.echo(""),
            "non-ASCII text": lambda: self.echo(NON_ASCII),
            "1 MiB text": lambda: self.echo(mebibyte()),
            "binary": lambda: self.echo(bytes([0, 1, 0x80, 0xFE, 0xFF])),
            "empty binary": lambda: self.echo(b""),
            "1 MiB binary": lambda: self.echo(bytes([0xFF, 0, 0x80, 7]) * 2**18),
            "frame length boundaries": lambda: self.echo(
                *(b"l" * length for length in (1, 125, 126, 127, 65535, 65536))
            ),
            "many messages in order": lambda: self.echo(
                *(f"message {i}" for i in range(100))
            ),
            "fragmented text": self.fragmented_text,
            "fragmented binary": self.fragmented_binary,
            "ping between fragments": self.ping_between_fragments,
            "fragments from the server": self.fragments_from_server,
            "ping": self.ping,
            "ping from the server": self.ping_from_server,
            "close with 1000": lambda: self.close(1000),
            "close with 4001": lambda: self.close(4001, "some reason ✓"),
            "close without a code": lambda: self.close(1005),
            "closed by the server with 1000": lambda: self.closed(1000),
            "closed by the server with 4001": lambda: self.closed(
                4001, "some reason ✓"
            ),
            "closed by the server without a code": lambda: self.closed(1005),
            "subprotocol chosen": lambda: self.subprotocol([V1, V2], V2),
            "subprotocol declined": lambda: self.subprotocol([V1], None),
            "no subprotocol offered": lambda: self.subprotocol([], None),
            "refused with 403": lambda: self.refused("/refuse", 403),
            "refused with 404": lambda: self.refused("/nothing-here", 404),
        }


def run_checks(base: str) -> int:
    failed = 0
    for name, check in Checks(base).all().items():
        try:
            check()
        except (Failure, WebSocketException, OSError) as error:
            print(f"not ok {name}: {error!r}", flush=True)
            failed = 1
        else:
            print(f"ok {name}", flush=True)
    return failed


def hello(url: str) -> None:
    """The exchange that this library was born from."""
    with dial(url) as connection:
        connection.send("Hello from client!")
        print(f"Received: {connection.recv(timeout=TIMEOUT)!s}")


def main() -> int:
    match sys.argv[1:]:
        case ["server"]:
            run_server()
        case ["client", url]:
            return run_checks(url)
        case ["hello", url]:
            hello(url)
        case _:
            print(
                "usage: websockets_peer.py server | client URL | hello URL",
                file=sys.stderr,
            )
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
