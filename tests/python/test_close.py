"""Closing: codes both ways, and what the calls of either end say afterwards."""

from __future__ import annotations

import socket

import pytest
import talkws
from peers import CLOSE, FIN, PATIENCE, TEXT, Pair, RawServer, frame, in_thread
from talkws import Close, ConnectionClosed, ConnectionClosedError, ConnectionClosedOK


@pytest.mark.parametrize(
    ("code", "reason", "kind"),
    [
        (1000, "bye", ConnectionClosedOK),
        (1001, "", ConnectionClosedOK),
        (1005, "", ConnectionClosedOK),
        (1011, "oh", ConnectionClosedError),
        (3000, "ä" * 61, ConnectionClosedError),
        (4999, "private", ConnectionClosedError),
    ],
)
@pytest.mark.parametrize("who", ["client", "server"])
def test_code_and_reason_reach_the_other_end(
    pair: Pair, who: str, code: int, reason: str, kind: type[ConnectionClosed]
) -> None:
    closer, other = pair if who == "client" else pair[::-1]
    closing = in_thread(lambda: closer.close(code, reason))

    with pytest.raises(kind) as caught:
        other.recv()
    assert caught.value.rcvd == Close(code, reason)
    assert caught.value.sent == Close(code, "")
    assert caught.value.rcvd_then_sent is True
    assert (caught.value.code, caught.value.reason) == (code, reason)
    assert (other.close_code, other.close_reason) == (code, reason)

    closing.result(PATIENCE)
    assert (closer.close_code, closer.close_reason) == (code, "")
    with pytest.raises(kind) as caught:
        closer.send("too late")
    assert caught.value.sent == Close(code, reason)
    assert caught.value.rcvd == Close(code, "")
    assert caught.value.rcvd_then_sent is False


def test_a_connection_that_is_open_has_no_close_code(pair: Pair) -> None:
    for end in pair:
        assert end.close_code is None
        assert end.close_reason is None


def test_closing_again_does_nothing(pair: Pair) -> None:
    client, server = pair
    closing = in_thread(lambda: client.close(4000, "first"))
    assert pytest.raises(ConnectionClosed, server.recv)
    closing.result(PATIENCE)
    client.close(4001, "second")
    server.close(4002, "third")
    assert server.close_code == 4000
    with pytest.raises(ConnectionClosedError) as caught:
        client.recv()
    assert caught.value.sent == Close(4000, "first")


@pytest.mark.parametrize("code", [-1, 0, 999, 1004, 1006, 1015, 2999, 5000, 70000])
def test_a_code_that_must_not_be_sent_is_refused(pair: Pair, code: int) -> None:
    client, server = pair
    with pytest.raises(ValueError, match=f"close with {code}"):
        client.close(code)
    client.send("still open")
    assert server.recv(PATIENCE) == "still open"


def test_a_reason_that_does_not_fit_is_refused(pair: Pair) -> None:
    with pytest.raises(ValueError, match="has 124 bytes, at most 123 fit"):
        pair[0].close(1000, "x" * 124)
    assert pair[0].close_code is None


def test_closing_ends_a_blocked_recv(pair: Pair) -> None:
    client, server = pair
    reading = in_thread(client.recv)
    answering = in_thread(lambda: list(server))
    client.close()
    with pytest.raises(ConnectionClosedOK):
        reading.result(PATIENCE)
    assert answering.result(PATIENCE) == []


def test_messages_behind_the_peers_close_are_not_delivered(
    raw_server: RawServer,
) -> None:
    with raw_server.talking() as (client, peer):
        bye = frame(FIN | CLOSE, b"\x03\xe8")
        peer.send(frame(FIN | TEXT, b"last") + bye + frame(FIN | TEXT, b"ghost"))
        peer.stream.shutdown(socket.SHUT_WR)
        assert list(client) == ["last"]
        assert peer.read_frame() == (FIN | CLOSE, b"\x03\xe8")


def test_a_send_while_closing_says_so(raw_server: RawServer) -> None:
    with raw_server.talking() as (client, peer):
        closing = in_thread(lambda: client.close(4000, "enough"))
        assert peer.read_frame() == (FIN | CLOSE, b"\x0f\xa0enough")
        with pytest.raises(ConnectionClosedError) as caught:
            client.send("more")
        assert caught.value.rcvd is None
        assert caught.value.sent == Close(4000, "enough")
        assert caught.value.rcvd_then_sent is None
        assert pytest.raises(ConnectionClosedError, client.ping)
        peer.send(frame(FIN | CLOSE, b"\x0f\xa1other"))
        peer.stream.shutdown(socket.SHUT_WR)
        closing.result(PATIENCE)
        assert (client.close_code, client.close_reason) == (4001, "other")


def test_a_with_block_closes_with_1000(pair: Pair) -> None:
    client, server = pair
    answering = in_thread(lambda: list(server))
    with client as entered:
        assert entered is client
    assert answering.result(PATIENCE) == []
    assert (server.close_code, client.close_code) == (1000, 1000)


def test_a_with_block_that_raises_closes_with_1011(pair: Pair) -> None:
    client, server = pair
    answering = in_thread(lambda: list(server))
    with pytest.raises(LookupError, match="mine"), client:
        raise LookupError("mine")
    with pytest.raises(ConnectionClosedError):
        answering.result(PATIENCE)
    assert server.close_code == 1011


def test_a_dropped_connection_is_seen_by_the_peer(pair: Pair) -> None:
    client, server = pair
    reading = in_thread(server.recv)
    with talkws.listen("ws://127.0.0.1:0") as listener:
        accepted = in_thread(lambda: listener.accept().upgrade())
        dropped = talkws.connect(listener.url)
        end = accepted.result(PATIENCE)
    del dropped
    with pytest.raises(ConnectionClosedError) as caught:
        end.recv()
    assert (caught.value.rcvd, caught.value.sent) == (None, None)
    assert isinstance(caught.value.__cause__, EOFError)
    assert end.close_code == 1006
    client.send("others live on")
    assert reading.result(PATIENCE) == "others live on"


def test_closing_what_was_lost_sends_nothing(raw_server: RawServer) -> None:
    with raw_server.talking() as (client, peer):
        peer.stream.close()
        for _ in range(2):
            with pytest.raises(talkws.ConnectionClosedError) as raised:
                client.recv(PATIENCE)
            assert raised.value.rcvd is raised.value.sent is None
            client.close()
