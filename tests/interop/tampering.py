"""A proxy that breaks one feature at a time, to prove that the checks notice.

Each `Tamper` names the checks that must fail behind it; all others must still pass. What may
fail with one library and not with another is `optional`.
"""

from __future__ import annotations

import contextlib
import re
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from io import BufferedReader
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Self

TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA

ECHOED_WHOLE = frozenset(
    {
        "text",
        "empty text",
        "non-ASCII text",
        "1 MiB text",
        "binary",
        "empty binary",
        "1 MiB binary",
        "frame length boundaries",
        "many messages in order",
    }
)
ECHOED_FRAGMENTS = frozenset(
    {
        "fragmented text",
        "fragmented binary",
        "ping between fragments",
    }
)
CLOSES = frozenset({"close with 1000", "close with 4001", "close without a code"})
CLOSED = frozenset(
    {
        "closed by the server with 1000",
        "closed by the server with 4001",
        "closed by the server without a code",
    }
)
SUBPROTOCOLS = frozenset(
    {
        "subprotocol chosen",
        "subprotocol declined",
        "no subprotocol offered",
    }
)
# ws ends a dial in which it has offered subprotocols and got none; nothing follows there.
DECLINED = frozenset({"subprotocol declined"})


@dataclass(frozen=True)
class Frame:
    """One frame, with its payload unmasked."""

    first: int
    key: bytes
    payload: bytes

    @property
    def opcode(self) -> int:
        return self.first & 0x0F

    @property
    def final(self) -> bool:
        return bool(self.first & 0x80)

    def encode(self) -> bytes:
        length = len(self.payload)
        masked = 0x80 if self.key else 0
        if length < 126:
            head = struct.pack("!BB", self.first, masked | length)
        elif length < 1 << 16:
            head = struct.pack("!BBH", self.first, masked | 126, length)
        else:
            head = struct.pack("!BBQ", self.first, masked | 127, length)
        return head + self.key + mask(self.payload, self.key)


def mask(payload: bytes, key: bytes) -> bytes:
    if not key:
        return payload
    size = len(payload)
    pad = (key * (size // 4 + 1))[:size]
    masked = int.from_bytes(payload, "big") ^ int.from_bytes(pad, "big")
    return masked.to_bytes(size, "big")


FrameChange = Callable[[Frame], Frame | None]
HeadChange = Callable[[str], str]


def same_frame(frame: Frame) -> Frame | None:
    return frame


def same_head(head: str) -> str:
    return head


@dataclass(frozen=True)
class Tamper:
    """One broken feature, and the checks that must notice."""

    name: str
    breaks: frozenset[str]
    optional: frozenset[str] = field(default=frozenset())
    of_server: FrameChange = same_frame
    of_client: FrameChange = same_frame
    request: HeadChange = same_head
    response: HeadChange = same_head
    # The requests whose connections are tampered with; the others pass unchanged.
    only: str = r"GET /"


def lengthen_messages(frame: Frame) -> Frame:
    if frame.opcode >= CLOSE or not frame.final:
        return frame
    return replace(frame, payload=frame.payload + b"!")


def swap_kinds(frame: Frame) -> Frame:
    if frame.opcode not in (TEXT, BINARY):
        return frame
    return replace(frame, first=frame.first ^ TEXT ^ BINARY)


def drop_middle_fragments(frame: Frame) -> Frame | None:
    return None if frame.opcode == 0 and not frame.final and frame.payload else frame


def alter_control(opcode: int) -> FrameChange:
    def alter(frame: Frame) -> Frame:
        if frame.opcode != opcode:
            return frame
        return replace(frame, payload=frame.payload[:124] + b"!")

    return alter


def raise_close_code(frame: Frame) -> Frame:
    if frame.opcode != CLOSE:
        return frame
    code = int.from_bytes(frame.payload[:2], "big") + 1 if frame.payload else 1000
    return replace(frame, payload=code.to_bytes(2, "big") + frame.payload[2:])


def lengthen_close_reason(frame: Frame) -> Frame:
    if frame.opcode != CLOSE or not frame.payload:
        return frame
    return replace(frame, payload=frame.payload + b"!")


def remove_subprotocol(head: str) -> str:
    return re.sub(r"(?i)sec-websocket-protocol:.*\r\n", "", head)


def force_subprotocol(head: str) -> str:
    return remove_subprotocol(head)[:-2] + "Sec-WebSocket-Protocol: talkws.v1\r\n\r\n"


def rename_offers(head: str) -> str:
    return head.replace("talkws.", "other.")


def change_refusals(head: str) -> str:
    return re.sub(r"^(HTTP/1.1) 40[34]", r"\1 410", head)


# Only where the checks are about closing; elsewhere a close is merely how a check ends.
CLOSING = r"GET /(close)?\?"

TAMPERS = [
    Tamper(
        "server's messages are longer by a byte",
        ECHOED_WHOLE
        | ECHOED_FRAGMENTS
        | CLOSES
        | SUBPROTOCOLS
        | {"fragments from the server", "ping from the server"},
        DECLINED,
        of_server=lengthen_messages,
    ),
    Tamper(
        "server's text becomes binary, and binary text",
        ECHOED_WHOLE
        | ECHOED_FRAGMENTS
        | CLOSES
        | CLOSED
        | SUBPROTOCOLS
        | {"fragments from the server", "ping from the server"},
        DECLINED,
        of_server=swap_kinds,
    ),
    Tamper(
        "client's messages are longer by a byte",
        ECHOED_WHOLE | ECHOED_FRAGMENTS,
        of_client=lengthen_messages,
    ),
    Tamper(
        "client's middle fragments are lost",
        ECHOED_FRAGMENTS,
        # gorilla's client writes whole messages in fragments of its buffer's size, too.
        frozenset({"1 MiB text", "1 MiB binary", "frame length boundaries"}),
        of_client=drop_middle_fragments,
    ),
    Tamper(
        "server's middle fragments are lost",
        frozenset({"fragments from the server"}),
        of_server=drop_middle_fragments,
    ),
    Tamper(
        "server's pongs are altered",
        frozenset({"ping", "ping between fragments"}),
        of_server=alter_control(PONG),
    ),
    Tamper(
        "client's pongs are altered",
        frozenset({"ping from the server", "fragments from the server"}),
        of_client=alter_control(PONG),
    ),
    Tamper(
        "server's pings are altered",
        frozenset({"ping from the server", "fragments from the server"}),
        of_server=alter_control(PING),
    ),
    Tamper(
        "server's close codes are altered",
        CLOSES | CLOSED,
        of_server=raise_close_code,
        only=CLOSING,
    ),
    Tamper(
        "client's close codes are altered",
        CLOSES | CLOSED,
        of_client=raise_close_code,
        only=CLOSING,
    ),
    Tamper(
        "server's close reasons are altered",
        CLOSED - {"closed by the server without a code"},
        of_server=lengthen_close_reason,
        only=CLOSING,
    ),
    Tamper(
        "client's close reasons are altered",
        CLOSES - {"close without a code"},
        of_client=lengthen_close_reason,
        only=CLOSING,
    ),
    Tamper(
        "server's choice of subprotocol is lost",
        frozenset({"subprotocol chosen"}),
        response=remove_subprotocol,
    ),
    Tamper(
        "server chooses the wrong subprotocol",
        SUBPROTOCOLS,
        # aiohttp and websocket-client take no notice of a choice where they offered nothing.
        frozenset({"no subprotocol offered"}),
        response=force_subprotocol,
        only=r"GET /subprotocol",
    ),
    Tamper(
        "client's offers of subprotocols are altered",
        SUBPROTOCOLS - {"no subprotocol offered"},
        DECLINED,
        request=rename_offers,
    ),
    Tamper(
        "server's refusals have another status",
        frozenset({"refused with 403", "refused with 404"}),
        response=change_refusals,
    ),
]


class TamperingProxy:
    """Stands between a client and the server at `port` while a `with` block runs."""

    def __init__(self, port: int, tamper: Tamper, timeout: float) -> None:
        self.target = ("127.0.0.1", port)
        self.tamper = tamper
        self.timeout = timeout
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"ws://127.0.0.1:{self.listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self.accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                threading.Thread(target=self.carry, args=(client,), daemon=True).start()

    def carry(self, client: socket.socket) -> None:
        """Carry one connection: the heads here, then frames in a thread each way."""
        with (
            contextlib.suppress(OSError, EOFError),
            client,
            socket.create_connection(self.target) as server,
        ):
            for end in (client, server):
                end.settimeout(self.timeout)
            from_client, from_server = client.makefile("rb"), server.makefile("rb")

            request = read_head(from_client)
            tamper = self.tamper
            if not re.match(tamper.only, request):
                tamper = Tamper("nothing", frozenset())
            # Compressed payloads could not be changed without inflating them.
            request = re.sub(
                r"(?i)sec-websocket-extensions:.*\r\n", "", tamper.request(request)
            )
            server.sendall(request.encode("latin-1"))
            response = read_head(from_server)
            client.sendall(tamper.response(response).encode("latin-1"))
            if not response.startswith("HTTP/1.1 101"):
                size = re.search(r"(?i)\r\ncontent-length: *(\d+)", response)
                client.sendall(from_server.read(int(size[1]) if size else -1))
                return

            outward = threading.Thread(
                target=carry_frames,
                args=(from_client, server, tamper.of_client),
                daemon=True,
            )
            outward.start()
            carry_frames(from_server, client, tamper.of_server)
            outward.join(self.timeout)


def read_head(source: BufferedReader) -> str:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = source.readline()
        if not line:
            raise EOFError
        head += line
    return head.decode("latin-1")


def carry_frames(
    source: BufferedReader, sink: socket.socket, change: FrameChange
) -> None:
    with contextlib.suppress(OSError, EOFError):
        try:
            while True:
                frame = change(read_frame(source))
                if frame:
                    sink.sendall(frame.encode())
        finally:
            sink.shutdown(socket.SHUT_WR)


def read_frame(source: BufferedReader) -> Frame:
    first, second = read_exactly(source, 2)
    length = second & 0x7F
    if length == 126:
        length = int.from_bytes(read_exactly(source, 2), "big")
    elif length == 127:
        length = int.from_bytes(read_exactly(source, 8), "big")
    key = read_exactly(source, 4) if second & 0x80 else b""
    return Frame(first, key, mask(read_exactly(source, length), key))


def read_exactly(source: BufferedReader, size: int) -> bytes:
    data = source.read(size)
    if len(data) < size:
        raise EOFError
    return data
