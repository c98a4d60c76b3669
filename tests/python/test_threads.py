"""Threads: everything from everywhere, and nobody holds the GIL while waiting."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import talkws
from peers import FIN, PATIENCE, TEXT, Pair, RawServer, frame, in_thread


def test_a_blocked_reader_does_not_block_senders(pair: Pair) -> None:
    client, server = pair
    reading = in_thread(client.recv)
    senders = 4
    each = 100

    def send(sender: int) -> None:
        for number in range(each):
            client.send(f"{sender} {number}")
            client.send(bytes([sender]) * 5000)

    with ThreadPoolExecutor(senders) as pool:
        sending = [pool.submit(send, sender) for sender in range(senders)]
        received = [server.recv(PATIENCE) for _ in range(2 * senders * each)]
        for sent in sending:
            sent.result(PATIENCE)
    assert not reading.done()
    server.send("now you")
    assert reading.result(PATIENCE) == "now you"

    for sender in range(senders):
        texts = [m for m in received if isinstance(m, str) and m[0] == str(sender)]
        assert texts == [f"{sender} {number}" for number in range(each)]
        assert received.count(bytes([sender]) * 5000) == each


def test_both_ends_send_large_messages_at_once(pair: Pair) -> None:
    client, server = pair
    data = os.urandom(1 << 22)
    sending = [in_thread(partial(end.send, data)) for end in pair]
    assert in_thread(client.recv).result(PATIENCE) == data
    assert server.recv(PATIENCE) == data
    for sent in sending:
        sent.result(PATIENCE)


def test_python_runs_on_while_threads_wait(
    pair: Pair, listener: talkws.Listener, raw_server: RawServer
) -> None:
    client, server = pair
    reading = in_thread(client.recv)
    accepting = in_thread(listener.accept)
    dialling = in_thread(lambda: talkws.connect(raw_server.url))
    # If one of them kept the GIL, nobody would get here, and nothing would end their waiting.
    server.send("go on")
    assert reading.result(PATIENCE) == "go on"
    listener.close()
    assert isinstance(accepting.exception(PATIENCE), talkws.ListenerClosed)
    with raw_server.accept_and_upgrade():
        dialling.result(PATIENCE)


def test_the_main_thread_waits_with_others_running(pair: Pair) -> None:
    client, server = pair

    def answer() -> None:
        for _ in range(100):
            server.send(server.recv())

    answering = in_thread(answer)
    for number in range(100):
        client.send(str(number))
        assert client.recv() == str(number)
    answering.result(PATIENCE)


def test_many_readers_share_the_messages(pair: Pair) -> None:
    client, server = pair
    readers = [in_thread(server.recv) for _ in range(8)]
    for number in range(8):
        client.send(str(number))
    assert sorted(str(reader.result(PATIENCE)) for reader in readers) == list(
        "01234567"
    )


def test_many_closers_are_one_close(pair: Pair) -> None:
    client, server = pair
    readers = [in_thread(lambda: list(client)), in_thread(lambda: list(server))]
    closers = [in_thread(end.close) for end in pair * 4]
    for closing in closers:
        closing.result(PATIENCE)
    assert [reader.result(PATIENCE) for reader in readers] == [[], []]
    assert client.close_code == server.close_code == 1000


def test_a_peer_that_does_not_read_blocks_no_reader(raw_server: RawServer) -> None:
    with raw_server.talking() as (client, peer):
        sending = in_thread(lambda: client.send(bytes(1 << 25)))
        # It has begun, so that the writer is busy from here on.
        assert peer.read_exactly(1) == b"\x82"
        peer.send(frame(FIN | TEXT, b"over here"))
        assert client.recv(PATIENCE) == "over here"
        assert not sending.done()
        peer.stream.close()
        assert isinstance(sending.exception(PATIENCE), talkws.ConnectionClosedError)
