"""Messages in parts: sent as they come to be, and received as they come."""

from __future__ import annotations

import array
import mmap
import socket
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import pytest
import talkws
from peers import (
    BINARY,
    CLOSE,
    FIN,
    PATIENCE,
    PING,
    PONG,
    TEXT,
    Pair,
    RawServer,
    connected,
    frame,
    in_thread,
)

CONTINUATION = 0x0


@pytest.mark.parametrize(
    ("parts", "whole"),
    [
        (["Hel", "lo ", "wörld"], "Hello wörld"),
        ([b"\x00\xff", b"", b"\xfe"], b"\x00\xff\xfe"),
        ([bytearray(b"a"), memoryview(b"b"), b"c"], b"abc"),
        (["", ""], ""),
        ([b""], b""),
        (("a" * 100_000, "b" * 100_000), "a" * 100_000 + "b" * 100_000),
        ((str(number) for number in range(5)), "01234"),
    ],
    ids=["str", "bytes", "bytes-likes", "empty str", "empty bytes", "large", "made"],
)
def test_an_iterable_is_one_message(
    pair: Pair, parts: Iterable[Any], whole: str | bytes
) -> None:
    client, server = pair
    client.send(parts)
    received = server.recv(PATIENCE)
    assert (type(received), received) == (type(whole), whole)


def test_parts_leave_when_they_come(raw_server: RawServer) -> None:
    with raw_server.talking() as (client, peer):

        def parts() -> Iterator[str]:
            yield "one"
            assert peer.read_frame() == (TEXT, b"one")
            yield "two"
            assert peer.read_frame() == (CONTINUATION, b"two")

        client.send(parts())
        assert peer.read_frame() == (FIN | CONTINUATION, b"")


def test_no_parts_are_no_message(pair: Pair) -> None:
    client, server = pair
    client.send([])
    client.send("after nothing")
    assert server.recv(PATIENCE) == "after nothing"


@pytest.mark.parametrize(
    ("message", "text", "received"),
    [
        ("ä", None, "ä"),
        ("ä", True, "ä"),
        ("ä", False, b"\xc3\xa4"),
        (b"\xc3\xa4", None, b"\xc3\xa4"),
        (b"\xc3\xa4", True, "ä"),
        (b"\xc3\xa4", False, b"\xc3\xa4"),
    ],
)
def test_the_caller_may_say_whether_it_is_text(
    pair: Pair, message: str | bytes, text: bool | None, received: str | bytes
) -> None:
    client, server = pair
    # Whole, and with its bytes in parts: a character may be divided then.
    in_parts = [message] if isinstance(message, str) else [message[:1], message[1:]]
    for sent in (message, in_parts):
        client.send(sent, text)
        assert server.recv(PATIENCE) == received


def test_bytes_that_are_not_utf8_are_no_text(pair: Pair) -> None:
    client, server = pair
    for message in (b"\xff", [b"\xff", b"never reached"]):
        with pytest.raises(ValueError, match="UTF-8"):
            client.send(message, text=True)
    client.send("nothing of it was sent")
    assert server.recv(PATIENCE) == "nothing of it was sent"


class Failed(Exception):
    """What a program of this test raises."""


def raises_after(part: Any) -> Iterator[Any]:
    yield part
    raise Failed


@pytest.mark.parametrize(
    ("parts", "error"),
    [
        (raises_after("a"), Failed),
        (["a", b"b"], TypeError),
        ([b"a", "b"], TypeError),
        (["a", 1], TypeError),
        ([b"a", None], TypeError),
    ],
)
def test_half_a_message_ends_the_connection(
    raw_server: RawServer, parts: Iterable[Any], error: type[Exception]
) -> None:
    with raw_server.talking() as (client, peer):
        sending = in_thread(partial(client.send, parts))
        assert peer.read_frame()[1] == b"a"
        # No frame with FIN follows, which would make it a message.
        opcode, payload = peer.read_frame()
        assert (opcode, payload[:2]) == (FIN | CLOSE, b"\x03\xf3")
        peer.send(frame(FIN | CLOSE, payload))
        peer.stream.close()
        assert type(sending.exception(PATIENCE)) is error
        assert client.state is talkws.State.CLOSED


@pytest.mark.parametrize("parts", [[1], [None, "a"], {"a": 1}, {}, iter([[]])])
def test_an_error_before_the_first_part_harms_nothing(pair: Pair, parts: Any) -> None:
    client, server = pair
    with pytest.raises(TypeError):
        client.send(parts)
    with pytest.raises(Failed):
        client.send(part for part in raises_at_once())
    client.send("still fine")
    assert server.recv(PATIENCE) == "still fine"


def raises_at_once() -> Iterator[str]:
    raise Failed
    yield ""


def test_messages_of_others_wait_for_the_last_part(pair: Pair) -> None:
    client, server = pair
    others = []

    def parts() -> Iterator[str]:
        for letter in "abc":
            yield letter
            others.append(in_thread(partial(client.send, letter.upper())))

    client.send(parts())
    assert server.recv(PATIENCE) == "abc"
    assert sorted(str(server.recv(PATIENCE)) for _ in others) == ["A", "B", "C"]
    for other in others:
        other.result(PATIENCE)


def test_a_message_between_parts_from_the_same_thread_is_refused(pair: Pair) -> None:
    client, server = pair

    def parts() -> Iterator[str]:
        yield "a"
        client.ping()
        client.send("could never be sent")

    receiving = in_thread(lambda: list(server))
    with pytest.raises(talkws.ConcurrencyError):
        client.send(parts())
    assert isinstance(receiving.exception(PATIENCE), talkws.ConnectionClosedError)
    assert server.close_code == 1011


def test_closing_between_parts_ends_the_message(pair: Pair) -> None:
    client, server = pair

    def parts() -> Iterator[str]:
        yield "a"
        client.close(1001)
        yield "b"

    receiving = in_thread(lambda: list(server))
    with pytest.raises(talkws.ConnectionClosedOK):
        client.send(parts())
    assert receiving.result(PATIENCE) == []
    assert server.close_code == 1001


@pytest.mark.parametrize(
    ("sent", "decode", "received"),
    [
        ("ä", None, "ä"),
        ("ä", True, "ä"),
        ("ä", False, b"\xc3\xa4"),
        (b"\xc3\xa4", None, b"\xc3\xa4"),
        (b"\xc3\xa4", True, "ä"),
        (b"\xc3\xa4", False, b"\xc3\xa4"),
        ("", None, ""),
        ("", False, b""),
        (b"", None, b""),
        (b"", True, ""),
        ("ä" * 20_000, False, b"\xc3\xa4" * 20_000),
        (b"\xc3\xa4" * 20_000, True, "ä" * 20_000),
    ],
)
def test_the_caller_may_say_whether_to_decode(
    pair: Pair, sent: str | bytes, decode: bool | None, received: str | bytes
) -> None:
    client, server = pair
    client.send(sent)
    assert server.recv(PATIENCE, decode) == received
    client.send(sent)
    pieces = list(server.recv_streaming(decode))
    assert {type(piece) for piece in pieces} == {type(received)}
    assert received[:0].join(pieces) == received  # type: ignore[arg-type]
    # Only an empty message has an empty piece.
    assert all(pieces) or pieces == [received]


def test_what_cannot_be_decoded_is_in_the_exception(pair: Pair) -> None:
    client, server = pair
    client.send(b"\xff\x00")
    with pytest.raises(UnicodeDecodeError) as raised:
        server.recv(PATIENCE, decode=True)
    assert raised.value.object == b"\xff\x00"
    client.send("next")
    assert server.recv(PATIENCE) == "next"


def test_no_character_is_divided_between_pieces(raw_server: RawServer) -> None:
    text = "aä世🌍" * 3
    data = text.encode()
    frames = [
        frame(TEXT if at == 0 else 0, data[at : at + 1]) for at in range(len(data))
    ]
    with raw_server.talking() as (client, peer):
        # Each byte in a frame, and in a segment, of its own.
        sending = in_thread(lambda: list(map(peer.send, frames)))
        stream = client.recv_streaming(decode=True)
        pieces = [next(stream)]
        while sum(map(len, pieces)) < len(text):
            pieces.append(next(stream))
        sending.result(PATIENCE)
        peer.send(frame(FIN))
        pieces += stream
        assert "".join(pieces) == text
        assert all(pieces)


def test_pieces_come_before_the_message_is_whole(raw_server: RawServer) -> None:
    with raw_server.talking(then=frame(TEXT, b"begun")) as (client, peer):
        stream = client.recv_streaming(decode=True)
        assert next(stream) == "begun"
        peer.send(frame(FIN, b", ended") + frame(FIN | TEXT, b"next"))
        assert "".join(stream) == ", ended"
        assert client.recv(PATIENCE) == "next"


@pytest.mark.parametrize("decode", [None, True, False])
def test_a_stream_that_was_left_is_gone_on_with(
    raw_server: RawServer, decode: bool | None
) -> None:
    euro = "€".encode()
    with raw_server.talking(then=frame(TEXT, b"price: " + euro[:1])) as (client, peer):
        assert next(client.recv_streaming()) == "price: "
        with pytest.raises(talkws.ConcurrencyError):
            client.recv(0)
        peer.send(frame(0, euro[1:]) + frame(FIN, b"5") + frame(FIN | TEXT, b"next"))
        rest = list(client.recv_streaming(decode))
        if decode is False:
            assert b"".join(rest) == euro + b"5"  # type: ignore[arg-type]
        else:
            assert "".join(rest) == "€5"  # type: ignore[arg-type]
        assert client.recv(PATIENCE) == "next"


def test_recv_into_goes_on_with_a_stream_that_was_left(raw_server: RawServer) -> None:
    globe = "🌍".encode()
    with raw_server.talking(then=frame(TEXT, b"a" + globe[:3])) as (client, peer):
        assert next(client.recv_streaming()) == "a"
        peer.send(frame(FIN, globe[3:]))
        received = bytearray()
        buffer = bytearray(2)
        is_last = False
        while not is_last:
            size, is_text, is_last = client.recv_into(buffer, PATIENCE)
            assert is_text
            received += buffer[:size]
        assert received == globe


def test_a_stream_that_cannot_be_decoded_has_the_rest_as_bytes(pair: Pair) -> None:
    client, server = pair
    client.send([b"\xc3", b"\xff", b"rest"])
    with pytest.raises(UnicodeDecodeError):
        list(server.recv_streaming(decode=True))
    # How much of it had come by then is for the network to say.
    try:
        message: Any = server.recv(0)
    except talkws.ConcurrencyError:
        assert b"rest".endswith(b"".join(server.recv_streaming(decode=False)))
    except TimeoutError:
        pass
    else:
        raise AssertionError(message)
    client.send("next")
    assert server.recv(PATIENCE) == "next"


def test_the_end_of_the_connection_ends_a_stream(raw_server: RawServer) -> None:
    with raw_server.talking(then=frame(TEXT, b"begun")) as (client, peer):
        stream = client.recv_streaming()
        assert next(stream) == "begun"
        peer.stream.close()
        with pytest.raises(talkws.ConnectionClosedError):
            next(stream)
        with pytest.raises(talkws.ConnectionClosedError):
            next(client.recv_streaming())


def test_pings_are_answered_between_pieces(raw_server: RawServer) -> None:
    parts = frame(TEXT, b"a") + frame(FIN | PING, b"now?") + frame(FIN, b"b")
    with raw_server.talking(then=parts) as (client, peer):
        assert "".join(map(str, client.recv_streaming())) == "ab"
        assert peer.read_frame() == (FIN | PONG, b"now?")


def receive_into(ws: talkws.Connection, buffer: Any, room: Any) -> tuple[bytes, bool]:
    """A message by way of `buffer`, of which `room` shows the bytes that are filled."""
    data = b""
    while True:
        part = ws.recv_into(buffer, PATIENCE)
        data += bytes(room[: part.size])
        if part.is_last:
            return data, part.is_text


@pytest.mark.parametrize(
    "make",
    [
        lambda: bytearray(10),
        lambda: memoryview(bytearray(30))[10:20],
        lambda: array.array("B", bytes(10)),
        lambda: mmap.mmap(-1, 10),
        lambda: array.array("i", [0] * 5),
    ],
    ids=["bytearray", "memoryview", "array", "mmap", "array of int"],
)
def test_recv_into_fills_any_writable_buffer(
    pair: Pair, make: Callable[[], Any]
) -> None:
    client, server = pair
    buffer = make()
    with memoryview(buffer).cast("B") as room:
        for message in ("four", "exactly 10", "more than fits", "", b"\x00" * 25):
            client.send(message)
            data = message.encode() if isinstance(message, str) else message
            received = receive_into(server, buffer, room)
            assert received == (data, isinstance(message, str))


def test_recv_into_touches_nothing_but_what_it_fills(pair: Pair) -> None:
    client, server = pair
    memory = bytearray(b"-" * 30)
    client.send(b"abc")
    part = server.recv_into(memoryview(memory)[10:20], PATIENCE)
    assert part == talkws.Part(3, False, True)
    assert memory == b"-" * 10 + b"abc" + b"-" * 17


@pytest.mark.parametrize(
    ("buffer", "error"),
    [
        (b"read-only", BufferError),
        (memoryview(bytearray(9)).toreadonly(), BufferError),
        (memoryview(bytearray(9))[::2], BufferError),
        ("text", TypeError),
        (None, TypeError),
        (bytearray(), ValueError),
    ],
)
def test_what_cannot_be_filled_is_refused_and_harms_nothing(
    pair: Pair, buffer: Any, error: type[Exception]
) -> None:
    client, server = pair
    client.send("still there")
    with pytest.raises(error):
        server.recv_into(buffer, PATIENCE)
    assert server.recv(PATIENCE) == "still there"


def test_recv_into_has_a_timeout(raw_server: RawServer) -> None:
    with raw_server.talking() as (client, peer):
        buffer = bytearray(10)
        for timeout in (0, -1, 0.001):
            with pytest.raises(TimeoutError):
                client.recv_into(buffer, timeout)
        peer.send(frame(TEXT, b"begun"))
        assert client.recv_into(buffer, PATIENCE) == (5, True, False)
        with pytest.raises(TimeoutError):
            client.recv_into(buffer, 0)
        with pytest.raises(talkws.ConcurrencyError):
            client.recv(0)
        peer.send(frame(FIN, b"!"))
        assert client.recv_into(buffer, PATIENCE) == (1, True, True)
        # A buffer is lent for the call only: this would be a BufferError otherwise.
        buffer.append(0)


def test_a_large_message_needs_little_memory(listener: talkws.Listener) -> None:
    piece = bytes(1 << 18)
    times = 200

    def received(pieces: Iterable[Any]) -> int:
        return sum(map(len, pieces))

    def into(ws: talkws.Connection) -> Iterator[memoryview]:
        buffer = memoryview(bytearray(1 << 16))
        part = ws.recv_into(buffer)
        while not part.is_last:
            yield buffer[: part.size]
            part = ws.recv_into(buffer)
        yield buffer[: part.size]

    with connected(listener, max_size=None) as (client, server):
        for stream in (client.recv_streaming, partial(into, client)):
            sending = in_thread(lambda: server.send(piece for _ in range(times)))
            tracemalloc.start()
            try:
                assert received(stream()) == times * len(piece)
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            sending.result(PATIENCE)
            # Of 50 MiB.
            assert peak < 1 << 20


def test_the_largest_size_is_that_of_messages_in_parts_too(
    raw_server: RawServer,
) -> None:
    with raw_server.talking() as (client, peer):
        # One byte more than `talking` allows.
        peer.send(frame(FIN | BINARY, bytes((1 << 20) + 1))[:10])
        peer.stream.shutdown(socket.SHUT_WR)
        with pytest.raises(talkws.ConnectionClosedError) as raised:
            list(client.recv_streaming())
        assert isinstance(raised.value.__cause__, talkws.PayloadTooBig)
        assert peer.read_frame() == (FIN | CLOSE, b"\x03\xf1")
