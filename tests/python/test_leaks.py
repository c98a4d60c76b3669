"""What connections leave behind, and failures to make one: nothing."""

from __future__ import annotations

import gc
import os
import sys
import threading
import weakref
from typing import Any

import talkws
from peers import PATIENCE, RawServer, connected, in_thread


def descriptors() -> int:
    return len(os.listdir("/dev/fd"))


def references() -> int:
    """How many references there are, on a Python built for debugging; others do not count."""
    count: Any = getattr(sys, "gettotalrefcount", lambda: 0)
    return int(count())


def test_ten_thousand_connections_leave_nothing() -> None:
    def answer(ws: talkws.ServerConnection) -> None:
        for message in ws:
            ws.send(message)

    def connect_and_talk(url: str, times: int) -> None:
        for number in range(times):
            with talkws.connect(url) as client:
                client.send("hello")
                assert client.ping().wait(PATIENCE)
                assert client.recv(PATIENCE) == "hello"
                if number % 4 == 0:
                    client.send(part for part in ("in", "parts"))
                    assert "".join(map(str, client.recv_streaming())) == "inparts"
                    assert client.request.path == "/"

    def serve_and_talk(times: int) -> None:
        with talkws.serve(answer, "127.0.0.1", 0) as server:
            serving = in_thread(server.serve_forever)
            talking = [
                in_thread(lambda: connect_and_talk(server.url, times // 4))
                for _ in range(4)
            ]
            for each in talking:
                each.result(PATIENCE)
        serving.result(PATIENCE)

    # What is made once, and kept, is made by the first ones.
    serve_and_talk(400)
    gc.collect()
    threads = set(threading.enumerate())
    before = descriptors(), sys.getallocatedblocks(), references()
    serve_and_talk(10_000)
    for ending in set(threading.enumerate()) - threads:
        ending.join(PATIENCE)
        assert not ending.is_alive()
    gc.collect()
    assert descriptors() == before[0]
    # Less than one for each five of them.
    assert sys.getallocatedblocks() - before[1] < 2000
    assert references() - before[2] < 2000


def test_a_thousand_failures_leave_nothing(
    listener: talkws.Listener, raw_server: RawServer
) -> None:
    def fail(times: int) -> None:
        for _ in range(times):
            dialling = in_thread(lambda: talkws.connect(listener.url))
            listener.accept(PATIENCE).refuse(404)
            assert isinstance(dialling.exception(PATIENCE), talkws.InvalidStatus)
            with raw_server.talking(then=b"\xff") as (client, peer):
                peer.stream.close()
                try:
                    client.recv()
                except talkws.ConnectionClosedError:
                    pass
            try:
                listener.accept(0)
            except TimeoutError:
                pass

    fail(100)
    gc.collect()
    before = descriptors(), sys.getallocatedblocks()
    fail(1000)
    gc.collect()
    assert abs(descriptors() - before[0]) <= 1
    # Less than one for each.
    assert sys.getallocatedblocks() - before[1] < 1000


def test_an_end_is_gone_with_its_last_reference(listener: talkws.Listener) -> None:
    with connected(listener) as ends:
        seen = [weakref.ref(end) for end in ends]
        assert repr(ends[1].request)
    del ends
    gc.collect()
    assert [ref() for ref in seen] == [None, None]


def test_a_connection_may_keep_what_belongs_to_it(listener: talkws.Listener) -> None:
    with connected(listener) as ends:
        ends[0].last_ping = ends[0].ping()  # type: ignore[attr-defined]
        seen = weakref.ref(ends[0])
    del ends
    gc.collect()
    assert seen() is None
