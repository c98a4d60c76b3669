"""Slow peers, and messages for many."""

from __future__ import annotations

import builtins
import itertools
import sys

import pytest
import talkws
from peers import BINARY, FIN, PATIENCE, TEXT, Pair, RawServer, connected


def fill(ws: talkws.Connection) -> int:
    """Send to a peer that does not read until it is refused: how many messages it is to get."""
    for number in itertools.count():
        try:
            ws.send(number.to_bytes(8, "big").ljust(10_000, b"."))
        except BlockingIOError as error:
            assert "backlog is full" in str(error)
            return number
    raise AssertionError


def test_a_full_backlog_refuses_and_what_it_accepted_arrives(
    raw_server: RawServer,
) -> None:
    with raw_server.talking() as (ws, peer):
        assert ws.backlog == 0
        ws.set_backlog(100_000, "refuse")
        accepted = fill(ws)
        assert 80_000 < ws.backlog <= 100_000
        for number in range(accepted):
            first, payload = peer.read_frame()
            assert first == FIN | BINARY
            assert int.from_bytes(payload[:8], "big") == number
        assert ws.messages_dropped == 0


def test_the_oldest_make_room_and_are_counted(raw_server: RawServer) -> None:
    with raw_server.talking() as (ws, peer):
        ws.set_backlog(100_000, "refuse")
        accepted = fill(ws)
        ws.set_backlog(100_000, "drop-oldest")
        # What was accepted under the other policy is not dropped.
        for number in range(accepted, accepted + 100):
            ws.send(number.to_bytes(8, "big").ljust(10_000, b"."))
        numbers: list[int] = []
        while not numbers or numbers[-1] != accepted + 99:
            numbers.append(int.from_bytes(peer.read_frame()[1][:8], "big"))
        assert numbers == sorted(set(numbers))
        assert len(numbers) + ws.messages_dropped == accepted + 100


def test_one_who_is_too_slow_is_closed(raw_server: RawServer) -> None:
    with raw_server.talking() as (ws, _):
        ws.set_backlog(100_000, "close")
        with pytest.raises(talkws.ConnectionClosedError) as raised:
            fill(ws)
        assert raised.value.sent is not None
        assert raised.value.sent.code == 1013


def test_a_policy_that_is_none_is_refused(pair: Pair) -> None:
    with pytest.raises(ValueError, match="'drop-oldest'"):
        pair[0].set_backlog(1, "drop-newest")


def test_a_broadcast_reaches_all_that_are_open(listener: talkws.Listener) -> None:
    with connected(listener) as (a, server_a), connected(listener) as (b, server_b):
        closed_by = (a, b)
        for message in ("Grüße", b"\x00\xff", bytearray(b"bytes")):
            talkws.broadcast([server_a, server_b], message)
            for client in closed_by:
                expected = message if isinstance(message, str) else bytes(message)
                assert client.recv(PATIENCE) == expected
        prepared = talkws.Prepared("prepared " * 100)
        assert len(prepared) == 900
        server_a.send_prepared(prepared)
        assert a.recv(PATIENCE) == "prepared " * 100
        server_a.close()
        talkws.broadcast([server_a, server_b], prepared)
        assert b.recv(PATIENCE) == "prepared " * 100
        with pytest.raises(TypeError, match="prepare: expected str or bytes-like"):
            talkws.broadcast([server_b], 1)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="not UTF-8"):
            talkws.Prepared(b"\xff", text=True)


def test_a_broadcast_tells_of_those_that_had_no_room(
    raw_server: RawServer, caplog: pytest.LogCaptureFixture
) -> None:
    with raw_server.talking() as (ws, _):
        ws.set_backlog(100_000, "refuse")
        fill(ws)
        talkws.broadcast([ws], b"." * 10_000)
        assert "skipped broadcast" in caplog.text
        if sys.version_info < (3, 11):
            with pytest.raises(ValueError, match=r"3\.11"):
                talkws.broadcast([ws], "", raise_exceptions=True)
        else:
            with pytest.raises(builtins.ExceptionGroup) as raised:
                talkws.broadcast([ws], b"." * 10_000, raise_exceptions=True)
            [error] = raised.value.exceptions
            assert isinstance(error, BlockingIOError)


def test_topics_reach_those_who_want_to_hear(listener: talkws.Listener) -> None:
    topics = talkws.Topics()
    with connected(listener) as (client, server):
        assert topics.subscribe("news", server)
        assert not topics.subscribe("news", server)
        assert topics.subscribe("sport", server)
        assert topics.publish("news", talkws.Prepared("1")) == (1, 0, 0)
        assert client.recv(PATIENCE) == "1"
        assert topics.unsubscribe("news", server)
        assert topics.publish("news", talkws.Prepared("2")) == (0, 0, 0)
        assert topics.subscribers("sport") == 1
        assert topics.unsubscribe_all(server) == 1
        topics.subscribe("sport", server)
    assert topics.subscribers("sport") == 0
    assert topics.publish("sport", talkws.Prepared("3")) == (0, 0, 1)
    assert topics.publish("sport", talkws.Prepared("4")) == (0, 0, 0)


def test_text_is_text(raw_server: RawServer) -> None:
    with raw_server.talking() as (ws, peer):
        ws.send_prepared(talkws.Prepared(b"x", text=True))
        assert peer.read_frame() == (FIN | TEXT, b"x")
