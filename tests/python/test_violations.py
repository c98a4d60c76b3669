"""Peers that break the rules: what they are told, and what the exceptions say."""

from __future__ import annotations

import socket
import struct

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
    RawServer,
    ask,
    frame,
    in_thread,
)
from talkws import Close, ConnectionClosedError, PayloadTooBig, ProtocolError


@pytest.mark.parametrize(
    ("data", "code", "says"),
    [
        (frame(FIN | 0x40 | TEXT, b"a"), 1002, "reserved bit"),
        (frame(FIN | 0x3), 1002, "reserved opcode"),
        (frame(FIN | TEXT, b"a", mask=True), 1002, "masked"),
        (frame(FIN, b"a"), 1002, "never began"),
        (frame(FIN | CLOSE, b"\x03"), 1002, "half a code"),
        (frame(FIN | TEXT, b"\xff"), 1007, "not UTF-8"),
    ],
)
def test_a_violation_ends_the_connection_with_its_code(
    raw_server: RawServer, data: bytes, code: int, says: str
) -> None:
    with raw_server.talking() as (client, peer):
        peer.send(data)
        reading = in_thread(client.recv)
        assert peer.read_frame() == (FIN | CLOSE, struct.pack("!H", code))
        assert peer.read_to_end() == b""
        peer.stream.close()
        with pytest.raises(ConnectionClosedError, match=says) as caught:
            reading.result(PATIENCE)
        assert caught.value.rcvd is None
        assert caught.value.sent == Close(code, "")
        assert isinstance(caught.value.__cause__, ProtocolError)
        assert client.close_code == 1006
        # The first error stays the error.
        for call in (client.recv, lambda: client.send("x"), client.ping):
            with pytest.raises(ConnectionClosedError, match=says):
                call()
        client.close()


def test_a_message_over_max_size_is_too_big(raw_server: RawServer) -> None:
    with raw_server.talking() as (client, peer):
        peer.send(frame(FIN | BINARY, bytes((1 << 20) + 1))[:20])
        reading = in_thread(client.recv)
        assert peer.read_frame() == (FIN | CLOSE, struct.pack("!H", 1009))
        peer.stream.close()
        with pytest.raises(ConnectionClosedError, match="limit of 1048576") as caught:
            reading.result(PATIENCE)
    cause = caught.value.__cause__
    assert isinstance(cause, PayloadTooBig)
    assert (cause.size, cause.max_size) == ((1 << 20) + 1, 1 << 20)


def test_an_end_without_close_is_an_error(raw_server: RawServer) -> None:
    with raw_server.talking() as (client, peer):
        peer.send(frame(FIN | TEXT, b"half")[:3])
        peer.stream.close()
        with pytest.raises(ConnectionClosedError, match="middle of a frame") as caught:
            list(client)
        assert isinstance(caught.value.__cause__, EOFError)
        assert (client.close_code, client.close_reason) == (1006, "")


def test_a_reset_tells_what_the_system_said(raw_server: RawServer) -> None:
    with raw_server.talking() as (client, peer):
        linger = struct.pack("ii", 1, 0)
        peer.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        peer.stream.close()
        with pytest.raises(ConnectionClosedError) as caught:
            client.recv()
    assert isinstance(caught.value.__cause__, ConnectionResetError)


def test_pings_are_answered_while_reading(raw_server: RawServer) -> None:
    with raw_server.talking() as (client, peer):
        peer.send(frame(FIN | PING, b"are you there") + frame(FIN | TEXT, b"hi"))
        assert client.recv(PATIENCE) == "hi"
        assert peer.read_frame() == (FIN | PONG, b"are you there")


@pytest.mark.parametrize(
    ("data", "payload"), [(b"", b""), ("hé", b"h\xc3\xa9"), (b"\0", b"\0")]
)
def test_a_ping_carries_what_it_is_given(
    raw_server: RawServer, data: str | bytes, payload: bytes
) -> None:
    with raw_server.talking() as (client, peer):
        client.ping(data)
        assert peer.read_frame() == (FIN | PING, payload)
        with pytest.raises(ValueError, match="125 bytes at most"):
            client.ping(bytes(126))


def test_a_client_that_does_not_mask_is_told(listener: talkws.Listener) -> None:
    with ask(listener) as peer:
        server = listener.accept(PATIENCE).upgrade()
        assert peer.read_head().startswith("HTTP/1.1 101 ")
        peer.send(frame(FIN | TEXT, b"bare"))
        peer.stream.shutdown(socket.SHUT_WR)
        with pytest.raises(ConnectionClosedError, match="without a mask"):
            server.recv()
        assert peer.read_frame() == (FIN | CLOSE, b"\x03\xea")
