"""A peer made of the Python library websocket-client, which has no servers."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from endpoint import NO_CODE, TIMEOUT, Declined, Kind, Message, PulledEndpoint, Refused
from role import play
from websocket import (
    ABNF,
    WebSocket,
    WebSocketBadStatusException,
    WebSocketConnectionClosedException,
    WebSocketException,
    create_connection,
)


class Adapter(PulledEndpoint):
    # The library answers by itself, and always so.
    echoes_close_codes = False

    def __init__(self, inner: WebSocket) -> None:
        super().__init__()
        self._inner = inner
        self._is_closing = False

    @property
    def subprotocol(self) -> str | None:
        return self._inner.subprotocol or None

    def send(self, message: Message) -> None:
        if isinstance(message, str):
            self._inner.send_text(message)
        else:
            self._inner.send_bytes(message)

    def send_parts(self, parts: Iterable[bytes], is_text: bool) -> None:
        opcode = ABNF.OPCODE_TEXT if is_text else ABNF.OPCODE_BINARY
        waiting = None
        for part in parts:
            if waiting is not None:
                self._inner.send_frame(ABNF.create_frame(waiting, opcode, 0))
                opcode = ABNF.OPCODE_CONT
            waiting = part
        self._inner.send_frame(ABNF.create_frame(waiting or b"", opcode, 1))

    def send_ping(self, payload: bytes) -> None:
        self._inner.ping(payload)

    def close(self, code: int, reason: str = "") -> None:
        if self._is_closing or self._end is not None:
            return
        self._is_closing = True
        if code == NO_CODE:
            self._inner.send(b"", ABNF.OPCODE_CLOSE)
        else:
            # Not `close`, which does not tell what the server answers.
            self._inner.send_close(code, reason.encode())

    def pull(self) -> tuple[Kind, bytes]:
        try:
            opcode, frame = self._inner.recv_data_frame(control_frame=True)
        except (WebSocketConnectionClosedException, ConnectionError):
            return "lost", b""
        kinds: dict[int, Kind] = {
            ABNF.OPCODE_TEXT: "text",
            ABNF.OPCODE_BINARY: "binary",
            ABNF.OPCODE_PING: "ping",
            ABNF.OPCODE_PONG: "pong",
            ABNF.OPCODE_CLOSE: "close",
        }
        if opcode == ABNF.OPCODE_CLOSE:
            self._inner.shutdown()  # type: ignore[no-untyped-call]
        return kinds[opcode], frame.data


def dial(url: str, subprotocols: Sequence[str]) -> Adapter:
    try:
        inner = create_connection(
            url, timeout=TIMEOUT, subprotocols=list(subprotocols) or None
        )
    except WebSocketBadStatusException as refused:
        raise Refused(refused.status_code) from None
    except WebSocketException as error:
        # It says no more than this of any fault in the headers of a 101.
        if subprotocols and str(error) == "Invalid WebSocket Header":
            raise Declined from error
        raise
    return Adapter(inner)


if __name__ == "__main__":
    sys.exit(play(dial, None))
