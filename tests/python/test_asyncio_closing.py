"""talkws.asyncio: how connections end, and who is told."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Coroutine
from typing import Any, Callable

import pytest
import talkws
from loops import LOOPS, pair, raises, raw_pair, run_on
from peers import BINARY, CLOSE, FIN, TEXT, frame

Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Run:
    return lambda program: run_on(request.param, program)


def test_closing_tells_both_ends_and_all_who_wait(run: Run) -> None:
    async def program() -> None:
        async with pair() as (client, server):
            receiving = asyncio.ensure_future(server.recv())
            waiting = asyncio.ensure_future(client.wait_closed())
            own = asyncio.ensure_future(client.recv())
            await asyncio.sleep(0)
            await client.close(1001, "bye")
            closed = await raises(talkws.ConnectionClosedOK, receiving)
            assert closed.rcvd == talkws.Close(1001, "bye")
            assert (await raises(talkws.ConnectionClosedOK, own)).sent is not None
            await asyncio.gather(waiting, server.wait_closed())
            assert client.state is server.state is talkws.State.CLOSED
            assert (server.close_code, server.close_reason) == (1001, "bye")
            await client.close()

    run(program())


def test_a_block_closes_with_1011_when_an_exception_leaves_it(run: Run) -> None:
    async def program() -> None:
        async with pair() as (client, server):
            with pytest.raises(ZeroDivisionError):
                async with client:
                    raise ZeroDivisionError
            error = await raises(talkws.ConnectionClosedError, server.recv())
            assert error.code == 1011

    run(program())


@pytest.mark.parametrize("code", [999, 1004, 1006, 1015, 5000, 70_000])
def test_a_code_that_cannot_be_sent_is_refused(run: Run, code: int) -> None:
    async def program() -> None:
        async with pair() as (client, _):
            await raises(ValueError, client.close(code))
            assert client.state is talkws.State.OPEN

    run(program())


def test_a_peer_that_does_not_answer_is_waited_for_no_longer_than_the_timeout(
    run: Run,
) -> None:
    async def program() -> None:
        async with raw_pair(close_timeout=0.05) as (client, peer):
            await client.close()
            assert client.close_code == 1006
            assert (await asyncio.to_thread(peer.read_frame))[0] == FIN | CLOSE

    run(program())


def test_closing_goes_on_when_more_has_come_than_is_kept(run: Run) -> None:
    async def program() -> None:
        async with raw_pair(max_queue=2) as (client, peer):
            sending = asyncio.ensure_future(
                asyncio.to_thread(peer.send, frame(FIN | BINARY, bytes(50_000)) * 200)
            )
            while not client._is_paused:
                await asyncio.sleep(0)
            closing = asyncio.ensure_future(client.close())
            await sending
            peer.send(frame(FIN | CLOSE, b"\x03\xe8"))
            await closing
            assert client.close_code == 1000

    run(program())


def test_a_cancelled_close_goes_on_by_itself(run: Run) -> None:
    async def program() -> None:
        async with raw_pair() as (client, peer):
            closing = asyncio.ensure_future(client.close())
            await asyncio.sleep(0)
            closing.cancel()
            await raises(asyncio.CancelledError, closing)
            assert client.state is talkws.State.CLOSING
            peer.send(frame(FIN | CLOSE, b"\x03\xe8"))
            await client.wait_closed()
            assert client.close_code == 1000

    run(program())


@pytest.mark.parametrize(
    ("bytes_", "code", "cause"),
    [
        (frame(0x83), 1002, talkws.ProtocolError),
        (frame(FIN | TEXT, b"\xff"), 1007, talkws.ProtocolError),
        (frame(FIN | BINARY, bytes(2000)), 1009, talkws.PayloadTooBig),
    ],
)
def test_a_violation_is_told_to_both(
    run: Run, bytes_: bytes, code: int, cause: type[Exception]
) -> None:
    async def program() -> None:
        async with raw_pair(max_size=1000) as (client, peer):
            # With much more behind, which must not reset the connection.
            peer.send(bytes_ + frame(FIN | BINARY, bytes(300_000)))
            error = await raises(talkws.ConnectionClosedError, client.recv())
            assert isinstance(error.__cause__, cause)
            assert error.sent is not None and error.sent.code == code
            first, data = await asyncio.to_thread(peer.read_frame)
            assert (first, data[:2]) == (FIN | CLOSE, struct.pack("!H", code))
            assert await asyncio.to_thread(peer.read_to_end) == b""

    run(program())


@pytest.mark.parametrize("how", ["end", "reset"])
def test_a_lost_connection_is_told_to_all_who_wait(run: Run, how: str) -> None:
    async def program() -> None:
        async with raw_pair(write_limit=0) as (client, peer):
            receiving = asyncio.ensure_future(client.recv())
            pong = await client.ping()
            await asyncio.sleep(0)
            if how == "reset":
                linger = struct.pack("ii", 1, 0)
                peer.stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                sending = asyncio.ensure_future(client.send(bytes(20_000_000)))
                await asyncio.sleep(0)
                peer.stream.close()
                await raises(talkws.ConnectionClosedError, sending)
            else:
                peer.stream.close()
            await raises(talkws.ConnectionClosedError, receiving)
            await raises(talkws.ConnectionClosedError, pong)
            assert client.close_code == 1006

    run(program())


def test_keepalive_gives_up_a_silent_peer(run: Run) -> None:
    async def program() -> None:
        async with raw_pair(ping_interval=0.05, ping_timeout=0.05) as (client, _):
            error = await raises(talkws.ConnectionClosedError, client.recv())
            assert error.code == 1006

    run(program())


def test_the_answer_to_a_close_waits_for_what_was_sent_before(run: Run) -> None:
    async def program() -> None:
        async with raw_pair(write_limit=100_000_000) as (client, peer):
            await client.send(bytes(30_000_000))
            peer.send(frame(FIN | CLOSE, b"\x03\xe8"))
            got = await asyncio.to_thread(lambda: [peer.read_frame() for _ in range(2)])
            assert len(got[0][1]) == 30_000_000
            assert got[1] == (FIN | CLOSE, b"\x03\xe8")
            await client.wait_closed()
            assert client.close_code == 1000

    run(program())
