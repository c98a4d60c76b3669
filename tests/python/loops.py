"""Event loops for the tests of talkws.asyncio, and peers for its connections."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import pytest
from peers import PATIENCE, RawPeer, RawServer, in_thread
from talkws.asyncio import ClientConnection, ServerConnection, connect, serve

T = TypeVar("T")

Run = Callable[[Coroutine[Any, Any, T]], T]

LOOPS = [
    "asyncio",
    pytest.param(
        "uvloop",
        marks=pytest.mark.skipif(
            importlib.util.find_spec("uvloop") is None,
            reason="no uvloop here; see tests/requirements-peers.txt",
        ),
    ),
]


def run_on(kind: str, program: Coroutine[Any, Any, T]) -> T:
    """Run a program on a loop of a kind, for no longer than a test may take. Whatever goes wrong in the
    loop, and is told to nobody, fails the test."""
    wrong: list[dict[str, Any]] = []

    async def watched() -> T:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: wrong.append(context))
        return await asyncio.wait_for(program, PATIENCE)

    if kind == "uvloop":
        import uvloop  # type: ignore[import-not-found,unused-ignore]

        loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    else:
        loop = asyncio.new_event_loop()
    try:
        result = loop.run_until_complete(watched())
        left = asyncio.all_tasks(loop)
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        loop.close()
    assert wrong == []
    assert left == set(), "tasks are left"
    return result


async def echo(ws: ServerConnection) -> None:
    """A handler."""
    async for message in ws:
        await ws.send(message)


@asynccontextmanager
async def pair(
    server_options: dict[str, Any] | None = None, **client_options: Any
) -> AsyncIterator[tuple[ClientConnection, ServerConnection]]:
    """The two ends of a connection."""
    loop = asyncio.get_running_loop()
    come: asyncio.Future[ServerConnection] = loop.create_future()
    done = asyncio.Event()

    async def handler(ws: ServerConnection) -> None:
        come.set_result(ws)
        await done.wait()

    async with serve(handler, "127.0.0.1", 0, **(server_options or {})) as server:
        async with connect(server.url, **client_options) as client:
            try:
                yield client, await come
            finally:
                done.set()


@asynccontextmanager
async def raw_pair(**options: Any) -> AsyncIterator[tuple[ClientConnection, RawPeer]]:
    """A client, and the raw peer that it is connected to."""
    then = options.pop("then", b"")
    with RawServer() as server:
        upgraded = in_thread(lambda: server.accept_and_upgrade(then=then))
        client = await connect(server.url, **options)
        with upgraded.result(PATIENCE) as peer:
            yield client, peer
        await client.close()


async def until(is_so: Callable[[], bool]) -> None:
    """Let the loop go around until something is so."""
    while not is_so():
        await asyncio.sleep(0.001)


async def raises(kind: type[T], awaited: Awaitable[Any]) -> T:
    """What an awaitable raises."""
    try:
        await awaited
    except BaseException as error:  # noqa: BLE001
        assert isinstance(error, kind), repr(error)
        return error
    raise AssertionError(f"no {kind.__name__}")
