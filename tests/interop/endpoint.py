"""What the checks and the routes need of a connection's end; each library's is made into one.

Nothing here waits longer than `TIMEOUT` seconds for the other end.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Literal

TIMEOUT = int(os.environ.get("INTEROP_TIMEOUT", "10"))
NO_CODE, LOST = 1005, 1006

Message = str | bytes
# The code and the reason of the other end's Close.
Close = tuple[int, str]


def deflate_parameters() -> dict[str, int | bool] | None:
    """How messages are to be compressed, if that was said: the parameters of RFC 7692."""
    said = os.environ.get("INTEROP_DEFLATE")
    if said is None:
        return None
    parameters: dict[str, int | bool] = {}
    for parameter in filter(None, said.split(",")):
        name, _, bits = parameter.partition("=")
        parameters[name] = int(bits) if bits else True
    return parameters


class Failure(Exception):
    """A check has not found what it should."""


class Ended(Exception):
    """The other end has closed, or was lost, and no more messages come."""


class Refused(Exception):
    """The server did not upgrade the connection, but answered with this status."""

    def __init__(self, status: int) -> None:
        super().__init__(f"refused with {status}")
        self.status = status


class Declined(Exception):
    """The library gave up a connection, since the server speaks nothing that was offered."""


class Endpoint(ABC):
    """One end of a connection, in either role."""

    # Whether it answers a Close with the code that came, as most do, or always with 1000.
    echoes_close_codes = True

    @property
    @abstractmethod
    def subprotocol(self) -> str | None:
        """What the two ends have agreed on."""

    @abstractmethod
    def send(self, message: Message) -> None:
        """Send a whole message."""

    @abstractmethod
    def send_parts(self, parts: Iterable[bytes], is_text: bool) -> None:
        """Send a message with a frame for each part."""

    @abstractmethod
    def receive(self) -> Message:
        """The next message; raises `Ended` if none comes any more."""

    @abstractmethod
    def ping(self, payload: bytes) -> Callable[[], bool]:
        """Send a ping; the result says whether the pong with that payload comes."""

    @abstractmethod
    def close(self, code: int, reason: str = "") -> None:
        """Close, with `NO_CODE` without a code; harmless if it is closed already."""

    @abstractmethod
    def end(self) -> Close:
        """Wait for the other end's Close: what it says; `LOST` if none comes."""

    def next_ping(self) -> bytes | None:
        """The next ping that came; None where the library does not tell."""
        return None

    def __iter__(self) -> Iterator[Message]:
        try:
            while True:
                yield self.receive()
        except Ended:
            return


Kind = Literal["text", "binary", "ping", "pong", "close", "lost"]


class PulledEndpoint(Endpoint):
    """A connection of a library that tells of every frame, when it is asked for the next."""

    def __init__(self) -> None:
        self._messages: deque[Message] = deque()
        self._pings: deque[bytes] = deque()
        self._pongs: list[bytes] = []
        self._end: Close | None = None

    @abstractmethod
    def pull(self) -> tuple[Kind, bytes]:
        """Wait for what comes next; of a Close, its payload."""

    @abstractmethod
    def send_ping(self, payload: bytes) -> None:
        """Send a ping."""

    def receive(self) -> Message:
        self._pull_until(lambda: self._messages)
        if not self._messages:
            raise Ended
        return self._messages.popleft()

    def ping(self, payload: bytes) -> Callable[[], bool]:
        self._pongs.clear()
        self.send_ping(payload)

        def came() -> bool:
            self._pull_until(lambda: payload in self._pongs)
            return payload in self._pongs

        return came

    def next_ping(self) -> bytes | None:
        self._pull_until(lambda: self._pings)
        if not self._pings:
            raise Failure("no ping")
        return self._pings.popleft()

    def end(self) -> Close:
        self._pull_until(lambda: False)
        assert self._end is not None
        return self._end

    def _pull_until(self, is_there: Callable[[], object]) -> None:
        while self._end is None and not is_there():
            kind, payload = self.pull()
            match kind:
                case "text":
                    self._messages.append(payload.decode())
                case "binary":
                    self._messages.append(payload)
                case "ping":
                    self._pings.append(payload)
                case "pong":
                    self._pongs.append(payload)
                case "close" if payload:
                    code = int.from_bytes(payload[:2], "big")
                    self._end = code, payload[2:].decode()
                case "close":
                    self._end = NO_CODE, ""
                case "lost":
                    self._end = LOST, "no Close frame"
