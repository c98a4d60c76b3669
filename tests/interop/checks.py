"""The client's part of the contract in README.md, for any Python library."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from urllib.parse import urlencode

from endpoint import NO_CODE, Declined, Ended, Endpoint, Failure, Message, Refused
from payloads import (
    CLIENT_HELLO,
    FRAGMENTED,
    FRAGMENTED_BINARY,
    NON_ASCII,
    REASON,
    V1,
    V2,
    mebibyte,
    pieces,
)

Dial = Callable[[str, Sequence[str]], Endpoint]


def expect(connection: Endpoint, want: Message) -> None:
    try:
        got = connection.receive()
    except Ended:
        raise Failure(f"the end, {connection.end()}, instead of a message") from None
    if type(got) is not type(want):
        raise Failure(
            f"message of type {type(got).__name__}, not {type(want).__name__}"
        )
    if got != want:
        raise Failure(f"wrong payload: {got[:60]!r}, not {want[:60]!r}")


def expect_ping(connection: Endpoint, want: bytes) -> None:
    got = connection.next_ping()
    if got not in (None, want):
        raise Failure(f"ping with {got!r}, not {want!r}")


def expect_end(connection: Endpoint, code: int, reason: str | None = None) -> None:
    got = connection.end()
    if got[0] != code:
        raise Failure(f"closed with {got}, not {code}")
    if reason is not None and got[1] != reason:
        raise Failure(f"closed with the reason {got[1]!r}, not {reason!r}")


@contextmanager
def closed_in_order(connection: Endpoint) -> Iterator[Endpoint]:
    """A connection that is closed at the end of a check, and answered by the server."""
    try:
        yield connection
        connection.close(1000)
        expect_end(connection, 1000)
    except BaseException:
        connection.close(1000)
        raise


class Checks:
    """Every check, on a connection of its own."""

    def __init__(self, dial: Dial, base: str) -> None:
        self._dial = dial
        self._base = base
        self._last_id = 0

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
            "close with 4001": lambda: self.close(4001, REASON),
            "close without a code": lambda: self.close(NO_CODE),
            "closed by the server with 1000": lambda: self.closed(1000),
            "closed by the server with 4001": lambda: self.closed(4001, REASON),
            "closed by the server without a code": lambda: self.closed(NO_CODE),
            "subprotocol chosen": lambda: self.subprotocol([V1, V2], V2),
            "subprotocol declined": lambda: self.subprotocol([V1], None),
            "no subprotocol offered": lambda: self.subprotocol([], None),
            "refused with 403": lambda: self.refused("/refuse", 403),
            "refused with 404": lambda: self.refused("/nothing-here", 404),
        }

    def dialled(self, path: str = "/") -> AbstractContextManager[Endpoint]:
        return closed_in_order(self._dial(self._base + path, ()))

    def echo(self, *payloads: Message) -> None:
        with self.dialled() as connection:
            for payload in payloads:
                connection.send(payload)
            for payload in payloads:
                expect(connection, payload)

    def fragmented_text(self) -> None:
        with self.dialled() as connection:
            connection.send_parts(pieces(FRAGMENTED.encode()), is_text=True)
            expect(connection, FRAGMENTED)

    def fragmented_binary(self) -> None:
        with self.dialled() as connection:
            connection.send_parts(pieces(FRAGMENTED_BINARY), is_text=False)
            expect(connection, FRAGMENTED_BINARY)

    def ping_between_fragments(self) -> None:
        pongs = []
        with self.dialled() as connection:

            def ping() -> None:
                pongs.append(connection.ping(b"between"))

            connection.send_parts(pieces(FRAGMENTED.encode(), ping), is_text=True)
            expect(connection, FRAGMENTED)
            if not pongs[0]():
                raise Failure("no pong with the payload of the ping")

    def fragments_from_server(self) -> None:
        with self.dialled("/fragments") as connection:
            expect(connection, FRAGMENTED)
            expect_ping(connection, b"between")
            expect(connection, FRAGMENTED_BINARY)
            expect(connection, "pong between")

    def ping(self) -> None:
        with self.dialled() as connection:
            for payload in (b"ping", b"", b"p" * 125):
                if not connection.ping(payload)():
                    raise Failure(f"no pong with {payload!r}")

    def ping_from_server(self) -> None:
        with self.dialled("/ping?payload=are+you+there") as connection:
            expect_ping(connection, b"are you there")
            expect(connection, "pong are you there")

    def close(self, code: int, reason: str = "") -> None:
        name = self.next_id()
        connection = self._dial(f"{self._base}/?id={name}", ())
        connection.close(code, reason)
        expect_end(connection, code)
        self.expect_outcome(name, code, reason)

    def closed(self, code: int, reason: str = "") -> None:
        name = self.next_id()
        query = {"id": name}
        if code != NO_CODE:
            query |= {"code": str(code), "reason": reason}
        connection = self._dial(f"{self._base}/close?{urlencode(query)}", ())
        expect_end(connection, code, reason)
        connection.close(1000)
        self.expect_outcome(name, code if connection.echoes_close_codes else 1000)

    def next_id(self) -> str:
        self._last_id += 1
        return f"python-{self._last_id}"

    def expect_outcome(self, name: str, code: int, reason: str | None = None) -> None:
        """Ask the server how the connection with that id ended."""
        with self.dialled(f"/outcome?id={name}") as connection:
            got_code, _, got_reason = str(connection.receive()).partition(" ")
        if got_code != str(code) or reason not in (None, got_reason):
            raise Failure(
                f"the server saw {got_code} {got_reason!r}, not {code} {reason!r}"
            )

    def subprotocol(self, offered: list[str], chosen: str | None) -> None:
        try:
            connection = self._dial(f"{self._base}/subprotocol", offered)
        except Declined:
            if chosen is None:
                return
            raise
        with closed_in_order(connection):
            if connection.subprotocol != chosen:
                got = connection.subprotocol
                raise Failure(f"the server chose {got}, not {chosen}")
            expect(connection, ",".join(offered))

    def refused(self, path: str, status: int) -> None:
        try:
            with self.dialled(path):
                raise Failure("not refused")
        except Refused as refusal:
            if refusal.status != status:
                raise Failure(f"{refusal}, not {status}") from None


def run_checks(dial: Dial, base: str, names: Sequence[str]) -> int:
    """Make these checks, or all, and say how each went."""
    failed = 0
    checks = Checks(dial, base).all()
    for name in names or checks:
        try:
            checks[name]()
        # Each library has errors of its own, and each is a reason to fail.
        except Exception as error:  # noqa: BLE001
            print(f"not ok {name}: {error!r}", flush=True)
            failed = 1
        else:
            print(f"ok {name}", flush=True)
    return failed


def hello(dial: Dial, url: str) -> int:
    """The exchange that this library was born from."""
    connection = dial(url, ())
    connection.send(CLIENT_HELLO)
    print(f"Received: {connection.receive()!s}")
    connection.close(1000)
    expect_end(connection, 1000)
    return 0
