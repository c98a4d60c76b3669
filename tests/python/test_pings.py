"""Pings: their answers come whoever receives, and nothing else is lost over them."""

from __future__ import annotations

import math
from typing import Any

import pytest
import talkws
from peers import (
    CLOSE,
    FIN,
    PATIENCE,
    PING,
    PONG,
    TEXT,
    Pair,
    RawPeer,
    RawServer,
    ask,
    frame,
    in_thread,
)


def pong_for(peer: RawPeer) -> bytes:
    """The Pong for the Ping that comes next."""
    opcode, payload = peer.read_frame()
    assert opcode == FIN | PING
    return frame(FIN | PONG, payload)


def close_in_order(peer: RawPeer) -> None:
    """Close, as a server does."""
    peer.send(frame(FIN | CLOSE, b"\x03\xe8"))
    assert peer.read_frame()[0] == FIN | CLOSE
    peer.stream.close()


def close_in_order_with(client: talkws.ClientConnection, peer: RawPeer) -> None:
    """Let `client` close."""
    closing = in_thread(client.close)
    while peer.read_frame()[0] != FIN | CLOSE:
        # Keepalive asks until then.
        pass
    peer.send(frame(FIN | CLOSE, b"\x03\xe8"))
    peer.stream.close()
    closing.result(PATIENCE)


def test_a_pong_is_waited_for_with_nobody_receiving(raw_server: RawServer) -> None:
    with raw_server.talking() as (client, peer):
        pong = client.ping()
        assert not pong.is_set()
        assert client.latency == 0.0
        peer.send(pong_for(peer))
        assert pong.wait()
        assert pong.is_set()
        assert 0.0 < client.latency < PATIENCE
        # Once it has come it stays so.
        assert pong.wait(0)


def test_a_pong_is_waited_for_with_another_thread_receiving(
    raw_server: RawServer,
) -> None:
    with raw_server.talking() as (client, peer):
        receiving = in_thread(client.recv)
        pong = client.ping()
        peer.send(pong_for(peer))
        assert pong.wait(PATIENCE)
        assert not receiving.done()
        peer.send(frame(FIN | TEXT, b"for you"))
        assert receiving.result(PATIENCE) == "for you"


def test_another_thread_receives_with_a_pong_waited_for(raw_server: RawServer) -> None:
    with raw_server.talking() as (client, peer):
        pong = client.ping()
        waiting = in_thread(pong.wait)
        answer = pong_for(peer)
        # Nothing comes behind a message, so that none can help the one before it out.
        for number in range(100):
            peer.send(frame(FIN | TEXT, b"%d" % number))
            assert client.recv(PATIENCE) == str(number)
        peer.send(answer)
        assert waiting.result(PATIENCE)


def test_messages_before_a_pong_are_kept_in_order(raw_server: RawServer) -> None:
    with raw_server.talking() as (client, peer):
        pong = client.ping()
        answer = pong_for(peer)
        begun = frame(FIN | TEXT, b"1") + frame(FIN | TEXT, b"2") + frame(TEXT, b"3")
        peer.send(begun + answer)
        assert pong.wait(PATIENCE)
        peer.send(frame(FIN, b"...") + frame(FIN | TEXT, b"4"))
        assert [client.recv(PATIENCE) for _ in range(4)] == ["1", "2", "3...", "4"]


def test_no_more_messages_are_kept_than_max_queue(raw_server: RawServer) -> None:
    upgraded = in_thread(raw_server.accept_and_upgrade)
    client = talkws.connect(raw_server.url, max_queue=2)
    with upgraded.result(PATIENCE) as peer:
        pong = client.ping()
        messages = b"".join(frame(FIN | TEXT, b"%d" % number) for number in range(4))
        peer.send(messages + pong_for(peer))
        # Two of them have no room.
        assert not pong.wait(0.01)
        waiting = in_thread(pong.wait)
        assert [client.recv(PATIENCE) for _ in range(4)] == ["0", "1", "2", "3"]
        assert waiting.result(PATIENCE)
        close_in_order_with(client, peer)


def test_a_wait_for_a_pong_has_a_timeout(raw_server: RawServer) -> None:
    with raw_server.talking() as (client, peer):
        pong = client.ping()
        for timeout in (0.001, 0, -1):
            assert not pong.wait(timeout)
        with pytest.raises(ValueError, match="timeout"):
            pong.wait(math.nan)
        peer.send(pong_for(peer))
        assert pong.wait(PATIENCE)


@pytest.mark.parametrize("data", ["ä", b"\xc3\xa4", bytearray(b"\xc3\xa4")])
def test_data_goes_with_a_ping(raw_server: RawServer, data: Any) -> None:
    with raw_server.talking() as (client, peer):
        pong = client.ping(data)
        with pytest.raises(talkws.ConcurrencyError, match="same data"):
            client.ping(data)
        assert peer.read_frame() == (FIN | PING, b"\xc3\xa4")
        peer.send(frame(FIN | PONG, b"\xc3\xa4"))
        assert pong.wait(PATIENCE)
        client.ping(data)
        assert peer.read_frame() == (FIN | PING, b"\xc3\xa4")


def test_pings_without_data_differ(raw_server: RawServer) -> None:
    with raw_server.talking() as (client, peer):
        for _ in range(10):
            client.ping()
        assert len({peer.read_frame()[1] for _ in range(10)}) == 10


@pytest.mark.parametrize(
    ("data", "error"), [("a" * 126, ValueError), (1, TypeError), (["a"], TypeError)]
)
def test_what_does_not_fit_into_a_ping_is_refused(
    pair: Pair, data: Any, error: type[Exception]
) -> None:
    client, _ = pair
    for call in (client.ping, client.pong):
        with pytest.raises(error):
            call(data)
    assert client.state is talkws.State.OPEN


def test_a_pong_answers_the_pings_before_it(raw_server: RawServer) -> None:
    with raw_server.talking() as (client, peer):
        pongs = [client.ping(letter) for letter in "abc"]
        peer.send(frame(FIN | PONG, b"unknown") + frame(FIN | PONG, b"b"))
        assert pongs[1].wait(PATIENCE)
        assert [pong.is_set() for pong in pongs] == [True, True, False]


def test_the_end_may_count_as_an_answer(raw_server: RawServer) -> None:
    with raw_server.talking() as (client, peer):
        pong, other = client.ping(ack_on_close=True), client.ping()
        waiting = [in_thread(pong.wait), in_thread(other.wait)]
        pong_for(peer)
        pong_for(peer)
        close_in_order(peer)
        assert waiting[0].result(PATIENCE)
        assert pong.is_set()
        assert isinstance(waiting[1].exception(PATIENCE), talkws.ConnectionClosedOK)
        assert not other.is_set()


def test_closing_ends_a_wait_for_a_pong(raw_server: RawServer) -> None:
    with raw_server.talking() as (client, peer):
        waiting = in_thread(client.ping().wait)
        pong_for(peer)
        close_in_order_with(client, peer)
        assert isinstance(waiting.exception(PATIENCE), talkws.ConnectionClosedOK)
        for call in (client.ping, client.pong):
            with pytest.raises(talkws.ConnectionClosedOK):
                call()


def test_a_lost_connection_ends_a_wait_for_a_pong(raw_server: RawServer) -> None:
    with raw_server.talking() as (client, peer):
        pong = client.ping()
        pong_for(peer)
        peer.stream.close()
        with pytest.raises(talkws.ConnectionClosedError):
            pong.wait(PATIENCE)


def test_between_the_parts_of_a_message_nobody_waits_for_a_pong(
    raw_server: RawServer,
) -> None:
    with raw_server.talking(then=frame(TEXT, b"begun")) as (client, peer):
        assert client.recv_into(bytearray(10), PATIENCE).size == 5
        pong = client.ping()
        with pytest.raises(talkws.ConcurrencyError):
            pong.wait(0)
        peer.send(frame(FIN, b"ended") + pong_for(peer))
        assert client.recv_into(bytearray(10), PATIENCE).is_last
        assert pong.wait(PATIENCE)


def test_a_pong_goes_out_unasked(raw_server: RawServer) -> None:
    with raw_server.talking() as (client, peer):
        client.pong("still here")
        client.pong()
        assert peer.read_frame() == (FIN | PONG, b"still here")
        assert peer.read_frame() == (FIN | PONG, b"")


def unmasked(data: bytes) -> bytes:
    """The payload of a small frame, which a client has masked."""
    if not data[1] & 0x80:
        return data[2:]
    mask = data[2:6] * len(data)
    return bytes(a ^ b for a, b in zip(data[6:], mask))


def check_given_up(error: talkws.ConnectionClosedError, heard: bytes) -> None:
    # Who is silent hears a Ping, and no Close.
    assert heard[0] == FIN | PING
    assert unmasked(heard) == b"keepalive"
    assert error.rcvd is error.sent is None
    assert "keepalive" in str(error.__cause__)


def test_a_silent_server_is_asked_and_given_up(raw_server: RawServer) -> None:
    upgraded = in_thread(raw_server.accept_and_upgrade)
    client = talkws.connect(raw_server.url, ping_interval=0.02, ping_timeout=0.02)
    with upgraded.result(PATIENCE) as peer:
        with pytest.raises(talkws.ConnectionClosedError) as raised:
            client.recv(PATIENCE)
        check_given_up(raised.value, peer.read_to_end())


def test_a_silent_client_is_asked_and_given_up() -> None:
    errors: list[Any] = []

    def handle(ws: talkws.ServerConnection) -> None:
        with pytest.raises(talkws.ConnectionClosedError) as raised:
            ws.recv(PATIENCE)
        errors.append(raised.value)

    with talkws.serve(
        handle, "127.0.0.1", 0, ping_interval=0.02, ping_timeout=0.02
    ) as server:
        serving = in_thread(server.serve_forever)
        with ask(server) as peer:
            peer.read_head()
            heard = peer.read_to_end()
    serving.result(PATIENCE)
    check_given_up(errors[0], heard)


def test_a_peer_that_answers_is_kept(raw_server: RawServer) -> None:
    upgraded = in_thread(raw_server.accept_and_upgrade)
    client = talkws.connect(raw_server.url, ping_interval=0.02, ping_timeout=PATIENCE)
    with upgraded.result(PATIENCE) as peer:
        receiving = in_thread(client.recv)
        for _ in range(3):
            peer.send(pong_for(peer))
        peer.send(frame(FIN | TEXT, b"still here"))
        assert receiving.result(PATIENCE) == "still here"
        assert client.latency > 0
        close_in_order_with(client, peer)


def test_without_ping_timeout_a_silent_peer_is_asked_only(
    raw_server: RawServer,
) -> None:
    upgraded = in_thread(raw_server.accept_and_upgrade)
    client = talkws.connect(raw_server.url, ping_interval=0.01, ping_timeout=None)
    with upgraded.result(PATIENCE) as peer:
        assert peer.read_frame()[0] == FIN | PING
        # It is asked once, and would have been given up by now otherwise.
        with pytest.raises(TimeoutError):
            client.recv(0.1)
        close_in_order_with(client, peer)


def test_without_ping_interval_nobody_is_asked(raw_server: RawServer) -> None:
    upgraded = in_thread(raw_server.accept_and_upgrade)
    client = talkws.connect(raw_server.url, ping_interval=None, ping_timeout=0.001)
    with upgraded.result(PATIENCE) as peer:
        with pytest.raises(TimeoutError):
            client.recv(0.1)
        closing = in_thread(client.close)
        # The first that comes.
        assert peer.read_frame()[0] == FIN | CLOSE
        peer.stream.close()
        closing.result(PATIENCE)


@pytest.mark.parametrize("interval", [0, 0.0, -1, math.nan])
def test_an_interval_of_nothing_is_refused(interval: float) -> None:
    for make in (
        lambda: talkws.connect("ws://127.0.0.1:1/", ping_interval=interval),
        lambda: talkws.serve(print, "127.0.0.1", 0, ping_interval=interval),
    ):
        with pytest.raises(ValueError, match="^ping_interval: "):
            make()


def test_a_timeout_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="^ping_timeout: "):
        talkws.connect("ws://127.0.0.1:1/", ping_timeout=math.nan)


def test_the_end_can_be_waited_for(raw_server: RawServer) -> None:
    with raw_server.talking() as (client, peer):
        assert not client.wait_closed(0.001)
        assert not client.wait_closed(0)
        peer.send(frame(FIN | TEXT, b"last words") + frame(FIN | PING, b"?"))
        waiting = in_thread(client.wait_closed)
        assert peer.read_frame() == (FIN | PONG, b"?")
        close_in_order(peer)
        assert waiting.result(PATIENCE)
        assert client.close_code == 1000
        assert client.wait_closed(0)
        # What came before the end is there after it.
        assert client.recv() == "last words"
        with pytest.raises(talkws.ConnectionClosedOK):
            client.recv()


def test_who_waits_for_the_end_keeps_no_message_from_others(
    raw_server: RawServer,
) -> None:
    with raw_server.talking() as (client, peer):
        waiting = in_thread(client.wait_closed)
        for number in range(100):
            peer.send(frame(FIN | TEXT, b"%d" % number))
            assert client.recv(PATIENCE) == str(number)
        peer.stream.close()
        assert waiting.result(PATIENCE)
        assert client.close_code == 1006
