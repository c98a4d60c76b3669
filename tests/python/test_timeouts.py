"""Timeouts: time that is up harms nothing."""

from __future__ import annotations

import math

import pytest
import talkws
from peers import FIN, PATIENCE, TEXT, Pair, RawServer, frame, in_thread


def test_a_timeout_keeps_what_has_come_of_a_message(raw_server: RawServer) -> None:
    whole = frame(FIN | TEXT, b"x" * 300)
    with raw_server.talking() as (client, peer):
        for byte in whole[:-1]:
            peer.send(bytes([byte]))
            with pytest.raises(TimeoutError, match="read: timed out"):
                client.recv(timeout=0)
        peer.send(whole[-1:])
        assert client.recv(PATIENCE) == "x" * 300


def test_a_timeout_in_another_thread_keeps_it_too(raw_server: RawServer) -> None:
    whole = frame(TEXT, b"one, ") + frame(FIN, b"two")
    with raw_server.talking() as (client, peer):
        peer.send(whole[:-2])
        with pytest.raises(TimeoutError):
            in_thread(lambda: client.recv(0.01)).result(PATIENCE)
        peer.send(whole[-2:])
        assert in_thread(client.recv).result(PATIENCE) == "one, two"


@pytest.mark.parametrize("timeout", [0, 0.0, -1, -math.inf])
def test_no_time_takes_what_is_there(raw_server: RawServer, timeout: float) -> None:
    with raw_server.talking(then=frame(FIN | TEXT, b"here")) as (client, _):
        assert client.recv(timeout) == "here"
        with pytest.raises(TimeoutError):
            client.recv(timeout)


@pytest.mark.parametrize("timeout", [None, math.inf, 1e300])
def test_no_end_of_time_waits_for_ever(pair: Pair, timeout: float | None) -> None:
    client, server = pair
    waiting = in_thread(lambda: client.recv(timeout))
    server.send("at last")
    assert waiting.result(PATIENCE) == "at last"


def test_a_timeout_that_is_no_time_is_refused(pair: Pair) -> None:
    with pytest.raises(ValueError, match="timeout: not a number"):
        pair[0].recv(math.nan)
    with pytest.raises(TypeError):
        pair[0].recv("1")  # type: ignore[call-overload]


def test_accept_times_out_and_goes_on(listener: talkws.Listener) -> None:
    for timeout in (0, 0.01):
        with pytest.raises(TimeoutError, match="accept on ws://127.0.0.1:"):
            listener.accept(timeout)
    dialling = in_thread(lambda: talkws.connect(listener.url))
    listener.accept(PATIENCE).upgrade()
    dialling.result(PATIENCE)


def test_connect_gives_up_on_a_silent_server(raw_server: RawServer) -> None:
    with pytest.raises(TimeoutError, match="waiting for the server's answer"):
        talkws.connect(raw_server.url, open_timeout=0.05)


def test_close_gives_up_on_a_silent_peer(raw_server: RawServer) -> None:
    with raw_server.talking(close_timeout=0.05) as (client, _):
        client.close()
        assert client.close_code == 1006
        with pytest.raises(talkws.ConnectionClosedError) as caught:
            client.recv()
    assert caught.value.rcvd is None
    assert caught.value.sent == talkws.Close(1000, "")
    assert "did not answer our Close in time" in str(caught.value)
