"""talkws.asyncio: with every kind of loop and task, and what it leaves behind."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import os
import sys
import warnings
from typing import Any

import pytest
import talkws
from loops import LOOPS, echo, pair, raises, run_on
from talkws.asyncio import ServerConnection, connect, serve


async def talk(url: str, times: int) -> None:
    for number in range(times):
        async with connect(url) as ws:
            await ws.send("hello")
            assert await ws.recv() == "hello"
            if number % 4 == 0:
                await ws.send(part for part in ("in", "parts"))
                assert await ws.recv() == "inparts"
                await (await ws.ping())
            if number % 5 == 0:
                receiving = asyncio.ensure_future(ws.recv())
                await asyncio.sleep(0)
                receiving.cancel()
                await asyncio.wait([receiving])


async def serve_and_talk(times: int) -> None:
    async with serve(echo, "127.0.0.1", 0) as server:
        await asyncio.gather(*(talk(server.url, times // 4) for _ in range(4)))


@pytest.mark.parametrize("kind", LOOPS)
def test_two_thousand_connections_leave_nothing(kind: str) -> None:
    async def program() -> None:
        # What is made once, and kept, is made by the first ones.
        await serve_and_talk(400)
        gc.collect()
        before = len(os.listdir("/dev/fd")), sys.getallocatedblocks()
        await serve_and_talk(2000)
        gc.collect()
        descriptors, blocks = len(os.listdir("/dev/fd")), sys.getallocatedblocks()
        assert descriptors <= before[0]
        # Caches of Python's own grow a little.
        assert blocks - before[1] < 1000

    run_on(kind, program())


def test_a_loop_that_looks_closely_finds_nothing() -> None:
    async def program() -> None:
        loop = asyncio.get_running_loop()
        loop.set_debug(True)
        await serve_and_talk(40)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run_on("asyncio", program())


@pytest.mark.skipif(sys.version_info < (3, 12), reason="Python has them from 3.12 on")
def test_tasks_may_begin_at_once() -> None:
    async def program() -> None:
        loop: Any = asyncio.get_running_loop()
        loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined,unused-ignore]
        await serve_and_talk(40)
        async with pair() as (client, server):
            receiving = [asyncio.ensure_future(client.recv())]
            await server.send("one")
            assert await receiving[0] == "one"

    run_on("asyncio", program())


def test_tasks_may_be_those_of_pure_python() -> None:
    """Some programs use them in order to look inside."""

    async def program() -> None:
        loop = asyncio.get_running_loop()
        pure: Any = asyncio.tasks._PyTask  # type: ignore[attr-defined]

        def factory(loop: Any, coroutine: Any, **kwargs: Any) -> Any:
            return pure(coroutine, loop=loop, **kwargs)

        loop.set_task_factory(factory)
        await asyncio.ensure_future(serve_and_talk(40))
        receiver = await asyncio.ensure_future(cancelled())
        assert receiver == "after"

    async def cancelled() -> Any:
        async with pair() as (client, server):
            receiving = asyncio.ensure_future(client.recv())
            await asyncio.sleep(0)
            receiving.cancel()
            await raises(asyncio.CancelledError, receiving)
            await server.send("after")
            return await client.recv()

    run_on("asyncio", program())


@pytest.mark.parametrize("kind", LOOPS)
def test_a_task_keeps_its_context(kind: str) -> None:
    """Although it goes on in what the loop calls for the connection."""
    who: contextvars.ContextVar[str] = contextvars.ContextVar("who", default="nobody")

    async def program() -> None:
        async def handler(ws: ServerConnection) -> None:
            mine = str(ws.remote_address)
            who.set(mine)
            async for _ in ws:
                assert asyncio.current_task() is task_of[mine]
                await ws.send(str(who.get() == mine))

        task_of: dict[str, Any] = {}

        async def known(ws: ServerConnection) -> None:
            task_of[str(ws.remote_address)] = asyncio.current_task()
            await handler(ws)

        async with serve(known, "127.0.0.1", 0) as server:
            async with connect(server.url) as one, connect(server.url) as two:
                for ws in (one, two, one, two):
                    await ws.send("whose?")
                    assert await ws.recv() == "True"
                assert who.get() == "nobody"

    run_on(kind, program())


@pytest.mark.parametrize("kind", LOOPS)
def test_what_a_woken_task_raises_harms_nobody_else(kind: str) -> None:
    async def program() -> None:
        async with pair() as (client, server):

            async def fail() -> None:
                await client.recv()
                raise ZeroDivisionError

            failing = asyncio.ensure_future(fail())
            await asyncio.sleep(0)
            await server.send("fail")
            await raises(ZeroDivisionError, failing)
            await server.send("next")
            assert await client.recv() == "next"

    run_on(kind, program())


@pytest.mark.parametrize("kind", LOOPS)
def test_a_coroutine_that_is_closed_waits_no_more(kind: str) -> None:
    async def program() -> None:
        async with pair() as (client, server):
            receiving = client.recv()
            waits_for = receiving.send(None)
            assert asyncio.isfuture(waits_for)
            receiving.close()
            await server.send("for the next")
            assert await client.recv() == "for the next"

    run_on(kind, program())


@pytest.mark.parametrize("kind", LOOPS)
def test_a_handler_may_close_or_abort_when_it_is_woken(kind: str) -> None:
    async def program() -> None:
        async def handler(ws: ServerConnection) -> None:
            what = await ws.recv()
            if what == "close":
                await ws.close(1001)
            elif what == "abort":
                ws._abort()
            elif what == "server":
                ws.server.close()
            await ws.wait_closed()

        async with serve(handler, "127.0.0.1", 0) as server:
            for what, code in (("close", 1001), ("abort", 1006), ("server", 1001)):
                async with connect(server.url) as ws:
                    await ws.send(what)
                    await ws.wait_closed()
                    assert ws.close_code == code
                    await raises(talkws.ConnectionClosed, ws.recv())

    run_on(kind, program())
