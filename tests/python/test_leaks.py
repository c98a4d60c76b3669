"""What a thousand connections leave behind: nothing."""

from __future__ import annotations

import gc
import os
import sys
import weakref

import talkws
from peers import PATIENCE, RawServer, connected, in_thread


def descriptors() -> int:
    return len(os.listdir("/dev/fd"))


def test_a_thousand_connections_leave_nothing(listener: talkws.Listener) -> None:
    def connect_and_talk(times: int) -> None:
        for _ in range(times):
            with connected(listener) as (client, server):
                client.send("hello")
                server.send(server.recv(PATIENCE))
                client.recv(PATIENCE)
                assert client.response is not None

    # What is made once, and kept, is made by the first ones.
    connect_and_talk(100)
    gc.collect()
    before = descriptors(), sys.getallocatedblocks()
    connect_and_talk(1000)
    gc.collect()
    assert descriptors() == before[0]
    # Less than one for each.
    assert sys.getallocatedblocks() - before[1] < 1000


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
