"""docs/asyncio.md: it has every name of websockets.asyncio, and says the truth about each."""

from __future__ import annotations

import asyncio
import inspect
from importlib.metadata import version
from typing import Any

import pytest
import talkws.asyncio
import websockets.asyncio.client
import websockets.asyncio.connection
import websockets.asyncio.server
from loops import run_on
from talkws.asyncio import ServerConnection
from verdicts import keywords, public, table, wrong

DOCUMENT = "asyncio.md"

pytestmark = pytest.mark.skipif(
    int(version("websockets").split(".")[0]) < 17,
    reason="no websockets 17 here, which needs Python 3.11; run the tests with that",
)

theirs = websockets.asyncio


async def attributes() -> dict[str, set[str]]:
    """What the objects of theirs have, at work."""
    loop = asyncio.get_running_loop()
    come: asyncio.Future[Any] = loop.create_future()

    async def handler(connection: Any) -> None:
        come.set_result(connection)
        await connection.wait_closed()

    async with theirs.server.serve(handler, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        async with theirs.client.connect(f"ws://127.0.0.1:{port}") as client:
            return {
                "ClientConnection": public(dir(client)),
                "ServerConnection": public(dir(await come)),
                "Server": public(dir(server)),
            }


def names_of_theirs() -> set[str]:
    modules = (theirs.client, theirs.server, theirs.connection)
    names = {name for module in modules for name in module.__all__}
    functions = {
        "connect": theirs.client.connect,
        "serve": theirs.server.serve,
        "basic_auth": theirs.server.basic_auth,
        "broadcast": theirs.server.broadcast,
        "unix_connect": theirs.client.unix_connect,
        "unix_serve": theirs.server.unix_serve,
    }
    for function, made in functions.items():
        names |= {f"{function}({name}=)" for name in keywords(made)}
    at_work = run_on("asyncio", attributes())
    for kind in ("ClientConnection", "ServerConnection"):
        names |= {f"Connection.{name}" for name in at_work[kind]}
    names |= {f"Server.{name}" for name in at_work["Server"]}
    # These are those of servers alone.
    own = {"respond", "server"}
    names -= {f"Connection.{name}" for name in own}
    return names | {f"ServerConnection.{name}" for name in (*own, "username")}


def test_every_name_of_theirs_is_in_the_table_and_no_other() -> None:
    assert set(table(DOCUMENT)) == names_of_theirs()


def test_what_is_absent_is_absent_and_the_rest_is_there() -> None:
    async def program() -> set[str]:
        come: asyncio.Future[ServerConnection] = (
            asyncio.get_running_loop().create_future()
        )

        async def handler(connection: ServerConnection) -> None:
            connection.username = "set by basic_auth"
            come.set_result(connection)
            await connection.wait_closed()

        async with talkws.asyncio.serve(handler, "127.0.0.1", 0) as server:
            async with talkws.asyncio.connect(server.url) as client:
                made = {
                    "Server": server,
                    "Connection": client,
                    "ServerConnection": await come,
                }
                return wrong(table(DOCUMENT), talkws.asyncio, made)

    assert run_on("asyncio", program()) == set()


@pytest.mark.parametrize("function", ["connect", "serve", "broadcast", "basic_auth"])
def test_defaults_are_the_same_unless_the_table_says_otherwise(function: str) -> None:
    module = theirs.client if function == "connect" else theirs.server
    mine = inspect.signature(getattr(talkws.asyncio, function)).parameters
    for parameter in inspect.signature(getattr(module, function)).parameters.values():
        name = f"{function}({parameter.name}=)"
        texts = ("user_agent_header", "server_header", "process_exception")
        if parameter.kind is parameter.VAR_KEYWORD or parameter.name in texts:
            continue
        if table(DOCUMENT)[name] == "absent":
            continue
        if mine[parameter.name].default != parameter.default:
            assert table(DOCUMENT)[name] == "different", name
