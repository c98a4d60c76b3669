"""talkws.asyncio: messages, in any loop; nothing is lost when somebody stops waiting."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Coroutine, Iterator
from typing import Any, Callable

import pytest
import talkws
from loops import LOOPS, pair, raises, raw_pair, run_on, until
from peers import BINARY, CLOSE, FIN, PING, PONG, TEXT, frame
from talkws.asyncio import ClientConnection, connect

Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Run:
    return lambda program: run_on(request.param, program)


def test_messages_arrive_as_they_were_sent_both_ways(run: Run) -> None:
    async def program() -> None:
        async with pair() as ends:
            for sender, receiver in (ends, ends[::-1]):
                for message in (
                    "",
                    "hello",
                    "Grüße 🌍",
                    b"",
                    b"\x00\xff",
                    "x" * 70_000,
                ):
                    await sender.send(message)
                    received = await receiver.recv()
                    assert received == message and type(received) is type(message)
                await sender.send(bytearray(b"abc"))
                await sender.send(memoryview(b"a-b-c")[::2])
                assert [await receiver.recv(), await receiver.recv()] == [b"abc"] * 2

    run(program())


def test_a_large_message_passes_both_ways_at_the_same_time(run: Run) -> None:
    async def program() -> None:
        data = os.urandom(8 << 20)
        async with pair() as (client, server):
            sending = asyncio.gather(client.send(data), server.send(data))
            assert await client.recv() == data
            assert await server.recv() == data
            await sending

    run(program())


def test_text_and_decode_choose_what_is_sent_and_received(run: Run) -> None:
    async def program() -> None:
        async with pair() as (client, server):
            await client.send(b"bytes", text=True)
            assert await server.recv() == "bytes"
            await client.send("text", text=False)
            assert await server.recv() == b"text"
            await client.send("text")
            assert await server.recv(decode=False) == b"text"
            await client.send(b"bytes")
            assert await server.recv(True) == "bytes"
            await client.send(b"\xff")
            await raises(UnicodeDecodeError, server.recv(decode=True))
            await client.send(b"still fine")
            assert await server.recv() == b"still fine"

    run(program())


def test_an_iterable_is_one_message_in_parts(run: Run) -> None:
    async def parts() -> AsyncIterator[bytes]:
        for part in (b"one ", b"two"):
            await asyncio.sleep(0)
            yield part

    async def program() -> None:
        async with raw_pair() as (client, peer):
            await client.send(["Hel", "lo"])
            await client.send(parts())
            await client.send([])
            await client.send("whole")
            frames = await asyncio.to_thread(
                lambda: [peer.read_frame() for _ in range(7)]
            )
            assert frames == [
                (TEXT, b"Hel"),
                (0, b"lo"),
                (FIN, b""),
                (BINARY, b"one "),
                (0, b"two"),
                (FIN, b""),
                (FIN | TEXT, b"whole"),
            ]
            peer.send(frame(FIN | CLOSE))

    run(program())


def test_other_messages_wait_for_the_last_part(run: Run) -> None:
    async def program() -> None:
        async with pair() as (client, server):
            gate = asyncio.Event()

            async def parts() -> AsyncIterator[str]:
                yield "in "
                await gate.wait()
                yield "parts"

            sending = asyncio.ensure_future(client.send(parts()))
            await until(lambda: client._in_parts is not None)
            other = asyncio.ensure_future(client.send("whole"))
            await (await client.ping())
            assert not other.done()
            gate.set()
            assert [await server.recv(), await server.recv()] == ["in parts", "whole"]
            await asyncio.gather(sending, other)

    run(program())


@pytest.mark.parametrize("how", ["mixed", "raising", "cancelled"])
def test_half_a_message_closes_the_connection(run: Run, how: str) -> None:
    async def program() -> None:
        async with pair() as (client, server):

            async def parts() -> AsyncIterator[Any]:
                yield "half"
                if how == "mixed":
                    yield b"of it"
                if how == "raising":
                    raise ZeroDivisionError
                await asyncio.get_running_loop().create_future()

            sending = asyncio.ensure_future(client.send(parts()))
            if how == "cancelled":
                await until(lambda: client._in_parts is not None)
                await asyncio.sleep(0)
                sending.cancel()
            kinds = {
                "mixed": TypeError,
                "raising": ZeroDivisionError,
                "cancelled": asyncio.CancelledError,
            }
            await raises(kinds[how], sending)
            error = await raises(talkws.ConnectionClosedError, server.recv())
            assert error.code == 1011

    run(program())


@pytest.mark.parametrize("message", [None, 1, [1], {"a": 1}, object()])
def test_what_is_no_message_is_a_type_error(run: Run, message: Any) -> None:
    async def program() -> None:
        async with pair() as (client, server):
            error = await raises(TypeError, client.send(message))
            assert str(error).startswith("send: ")
            await client.send("still fine")
            assert await server.recv() == "still fine"

    run(program())


def test_a_cancelled_recv_loses_nothing(run: Run) -> None:
    async def program() -> None:
        async with raw_pair() as (client, peer):
            await raises(asyncio.TimeoutError, asyncio.wait_for(client.recv(), 0.001))
            peer.send(frame(TEXT, b"begun "))
            receiving = asyncio.ensure_future(client.recv())
            await asyncio.sleep(0)
            receiving.cancel()
            await raises(asyncio.CancelledError, receiving)
            # One that is cancelled when its message has come already.
            receiving = asyncio.ensure_future(client.recv())
            await asyncio.sleep(0)
            peer.send(frame(FIN, b"and ended"))
            await until(lambda: len(client._messages) > 0 or receiving.done())
            if not receiving.done():
                receiving.cancel()
                await raises(asyncio.CancelledError, receiving)
                assert await client.recv() == "begun and ended"
            else:
                assert receiving.result() == "begun and ended"
            peer.send(frame(FIN | CLOSE))

    run(program())


def test_a_second_receiver_is_told_so(run: Run) -> None:
    async def program() -> None:
        async with pair() as (client, server):
            first = asyncio.ensure_future(client.recv())
            await asyncio.sleep(0)
            await raises(talkws.ConcurrencyError, client.recv())
            await server.send("for the first")
            assert await first == "for the first"

    run(program())


def test_what_came_with_the_handshake_is_received(run: Run) -> None:
    async def program() -> None:
        async with raw_pair(then=frame(FIN | TEXT, b"early")) as (client, peer):
            assert await client.recv() == "early"
            peer.send(frame(FIN | CLOSE))

    run(program())


def test_iteration_gives_all_messages_before_the_close(run: Run) -> None:
    async def program() -> None:
        async with raw_pair(max_queue=4) as (client, peer):
            frames = [frame(FIN | TEXT, b"%d" % number) for number in range(100)]
            peer.send(b"".join(frames) + frame(FIN | CLOSE, b"\x03\xe8bye"))
            assert [message async for message in client] == [str(n) for n in range(100)]
            assert (client.close_code, client.close_reason) == (1000, "bye")
            closed = await raises(talkws.ConnectionClosedOK, client.recv())
            assert closed.rcvd_then_sent is True

    run(program())


def test_streaming_gives_the_message(run: Run) -> None:
    async def program() -> None:
        async with pair() as (client, server):
            await client.send(["in", "parts"])
            assert [piece async for piece in server.recv_streaming()] == ["inparts"]

    run(program())


@pytest.mark.parametrize("max_queue", [1, 5, (8, 2)])
def test_a_peer_is_slowed_down_when_nobody_receives(run: Run, max_queue: Any) -> None:
    async def program() -> None:
        high = max_queue[0] if isinstance(max_queue, tuple) else max_queue
        async with raw_pair(max_queue=max_queue) as (client, peer):
            count, each = 400, frame(FIN | BINARY, bytes(100_000))
            peer.stream.setblocking(False)
            sent = 0
            with pytest.raises(BlockingIOError):
                while True:
                    sent += peer.stream.send(
                        (each * 2)[sent % len(each) :][: len(each)]
                    )
                    await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert len(client._messages) <= high
            peer.stream.setblocking(True)
            rest = each[sent % len(each) :] if sent % len(each) else b""
            whole = -(-sent // len(each))
            sending = asyncio.ensure_future(
                asyncio.to_thread(peer.send, rest + each * (count - whole))
            )
            for _ in range(count):
                assert len(await client.recv()) == 100_000
                assert len(client._messages) <= high
            await sending
            peer.send(frame(FIN | CLOSE))

    run(program())


def test_send_waits_above_the_limit_and_goes_on_below(run: Run) -> None:
    async def program() -> None:
        async with raw_pair(write_limit=(200_000, 50_000)) as (client, peer):
            sent = 0
            while True:
                sending = asyncio.ensure_future(client.send(bytes(50_000)))
                await asyncio.sleep(0)
                sent += 1
                if not sending.done():
                    break
            # More than what the system takes is kept, and no more than one message above the limit.
            assert 200_000 < client.backlog < 300_000
            frames = await asyncio.to_thread(
                lambda: [peer.read_frame() for _ in range(sent)]
            )
            await sending
            assert [len(data) for _, data in frames] == [50_000] * sent
            peer.send(frame(FIN | CLOSE))

    run(program())


def test_a_cancelled_send_was_accepted_whole(run: Run) -> None:
    async def program() -> None:
        async with raw_pair(write_limit=0) as (client, peer):
            sending = asyncio.ensure_future(client.send(bytes(20_000_000)))
            await asyncio.sleep(0)
            sending.cancel()
            await raises(asyncio.CancelledError, sending)
            after = asyncio.ensure_future(client.send("next"))
            frames = await asyncio.to_thread(
                lambda: [peer.read_frame() for _ in range(2)]
            )
            await after
            assert [len(data) for _, data in frames] == [20_000_000, 4]
            peer.send(frame(FIN | CLOSE))

    run(program())


def test_answers_to_what_came_together_leave_together(run: Run) -> None:
    async def program() -> None:
        async with raw_pair() as (client, peer):

            async def answer() -> None:
                async for message in client:
                    await client.send(message)

            answering = asyncio.ensure_future(answer())
            before = client.backlog
            peer.send(frame(FIN | TEXT, b"x") * 10)
            got = await asyncio.to_thread(
                lambda: [peer.read_frame() for _ in range(10)]
            )
            assert got == [(FIN | TEXT, b"x")] * 10 and before == 0
            peer.send(frame(FIN | CLOSE))
            await answering

    run(program())


def test_a_ping_is_answered_with_how_long_it_took(run: Run) -> None:
    async def program() -> None:
        async with pair() as (client, server):
            pongs = [await client.ping() for _ in range(3)]
            assert all(latency > 0 for latency in await asyncio.gather(*pongs))
            assert client.latency > 0 and server.latency == 0

    run(program())


def test_a_pong_answers_the_pings_before_it(run: Run) -> None:
    async def program() -> None:
        async with raw_pair() as (client, peer):
            pongs = [await client.ping(data) for data in ("a", b"b", "c")]
            await raises(talkws.ConcurrencyError, client.ping("c"))
            peer.send(frame(FIN | PONG, b"b"))
            await asyncio.gather(*pongs[:2])
            assert not pongs[2].done()
            peer.send(frame(FIN | CLOSE))
            await raises(talkws.ConnectionClosed, pongs[2])

    run(program())


def test_pings_are_answered_while_nobody_receives(run: Run) -> None:
    async def program() -> None:
        async with raw_pair() as (client, peer):
            peer.send(frame(FIN | PING, b"there?"))
            assert await asyncio.to_thread(peer.read_frame) == (FIN | PONG, b"there?")
            await client.pong("a sign of life")
            got = await asyncio.to_thread(peer.read_frame)
            assert got == (FIN | PONG, b"a sign of life")
            peer.send(frame(FIN | CLOSE))

    run(program())


def test_compressed_messages_pass(run: Run) -> None:
    async def program() -> None:
        async with pair() as (client, server):
            assert client.deflate_parameters is not None
            for number in range(20):
                text = f"{number} " * 1000
                await client.send(text)
                assert await server.recv() == text

    run(program())


def test_nothing_is_left_of_a_connection_that_was_dropped(run: Run) -> None:
    async def program() -> None:
        async with raw_pair() as (client, peer):
            reader, writer = client.fileno(), client._driven
            assert reader >= 0 and writer is not None
            peer.stream.close()
            await client.wait_closed()
            await raises(talkws.ConnectionClosedError, client.recv())
            await raises(talkws.ConnectionClosedError, client.send("late"))
            await raises(talkws.ConnectionClosedError, client.ping())

    run(program())


def test_names_are_refused_before_the_handshake_is_over(run: Run) -> None:
    async def program() -> None:
        from talkws.asyncio import ServerConnection, serve

        async def look(ws: ServerConnection, request: talkws.Request) -> None:
            assert ws.state is talkws.State.CONNECTING
            for call in (ws.recv(), ws.send("x"), ws.ping(), ws.wait_closed()):
                await raises(talkws.InvalidState, call)
            await ws.close()

        async def handler(ws: ServerConnection) -> None:
            await ws.send("open")

        async with serve(handler, "127.0.0.1", 0, process_request=look) as server:
            async with connect(server.url) as client:
                assert await client.recv() == "open"

    run(program())


def numbers(count: int) -> Iterator[str]:
    return (str(number) for number in range(count))


def test_many_small_messages_keep_their_order(run: Run) -> None:
    async def program() -> None:
        async with pair(max_queue=16) as (client, server):

            async def send_all(ws: ClientConnection) -> None:
                for number in numbers(5000):
                    await ws.send(number)

            sending = asyncio.ensure_future(send_all(client))
            assert [await server.recv() for _ in range(5000)] == list(numbers(5000))
            await sending

    run(program())
