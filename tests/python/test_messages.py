"""Messages: what is sent arrives, whole, as the type that it was."""

from __future__ import annotations

import array
import os
from functools import partial
from typing import Any

import pytest
import talkws
from peers import (
    BINARY,
    FIN,
    PATIENCE,
    TEXT,
    Pair,
    RawServer,
    connected,
    frame,
    in_thread,
)


@pytest.mark.parametrize(
    "message",
    [
        "Hello from client!",
        "",
        "\0",
        "Grüße, 世界 🌍",
        b"",
        b"\x00\xff\xfe",
        os.urandom(125),
        os.urandom(126),
        os.urandom(65535),
        os.urandom(65536),
        os.urandom(1 << 20),
        "ä" * (1 << 19),
    ],
    ids=lambda message: f"{type(message).__name__}-{len(message)}",
)
def test_a_message_arrives_as_it_was_sent_both_ways(
    pair: Pair, message: str | bytes
) -> None:
    for sender, receiver in (pair, pair[::-1]):
        sending = in_thread(partial(sender.send, message))
        received = receiver.recv(PATIENCE)
        sending.result(PATIENCE)
        assert type(received) is type(message)
        assert received == message


@pytest.mark.parametrize("size", [0, 3, 100_000])
@pytest.mark.parametrize("make", [bytearray, memoryview, lambda b: array.array("B", b)])
def test_bytes_likes_are_binary(pair: Pair, make: Any, size: int) -> None:
    client, server = pair
    data = os.urandom(size)
    client.send(make(data))
    assert server.recv(PATIENCE) == data


def test_a_view_with_steps_is_sent_as_it_looks(pair: Pair) -> None:
    client, server = pair
    client.send(memoryview(b"a-b-c-")[::2])
    assert server.recv(PATIENCE) == b"abc"


def test_a_bytearray_can_change_once_it_was_sent(pair: Pair) -> None:
    client, server = pair
    data = bytearray(b"one")
    client.send(data)
    data[:] = b"two and more"
    assert server.recv(PATIENCE) == b"one"


def test_subclasses_of_str_and_bytes_are_what_they_derive_from(pair: Pair) -> None:
    class Name(str):
        pass

    class Key(bytes):
        pass

    client, server = pair
    client.send(Name("a"))
    client.send(Key(b"b"))
    assert [server.recv(PATIENCE), server.recv(PATIENCE)] == ["a", b"b"]


@pytest.mark.parametrize("message", [None, 1, [1], [None], {"a": 1}, object()])
def test_what_is_no_message_is_a_type_error(pair: Pair, message: Any) -> None:
    client, server = pair
    with pytest.raises(TypeError, match="^send: (expected str|a mapping)"):
        client.send(message)
    client.send("still fine")
    assert server.recv(PATIENCE) == "still fine"


def test_half_a_surrogate_pair_is_no_text(pair: Pair) -> None:
    with pytest.raises(UnicodeEncodeError):
        pair[0].send("\ud800")


def test_fragments_come_as_one_message(raw_server: RawServer) -> None:
    with raw_server.talking() as (client, peer):
        peer.send(frame(TEXT, b"Hel") + frame(0, b"l") + frame(FIN, b"o"))
        assert client.recv(PATIENCE) == "Hello"


def test_a_frame_right_behind_the_handshake_is_not_lost(raw_server: RawServer) -> None:
    with raw_server.talking(then=frame(FIN | BINARY, b"early")) as (client, _):
        assert client.recv(PATIENCE) == b"early"


def test_iteration_gives_every_message_and_ends_with_a_normal_close(pair: Pair) -> None:
    client, server = pair
    for number in range(3):
        client.send(str(number))
    closing = in_thread(client.close)
    assert list(server) == ["0", "1", "2"]
    closing.result(PATIENCE)
    assert list(server) == []


def test_without_max_size_a_message_of_any_size_is_received(
    listener: talkws.Listener,
) -> None:
    data = bytes(17 << 20)
    with connected(listener, max_size=None) as (client, server):
        sending = in_thread(lambda: server.send(data))
        assert client.recv(PATIENCE) == data
        sending.result(PATIENCE)
