"""docs/python.md: it has every name of websockets.sync, and says the truth about each."""

from __future__ import annotations

import inspect
import threading
from importlib.metadata import version
from typing import Any

import pytest
import talkws
import websockets.sync.client
import websockets.sync.connection
import websockets.sync.server
from peers import PATIENCE, echo, serving
from verdicts import keywords, public, table, wrong

DOCUMENT = "python.md"

pytestmark = pytest.mark.skipif(
    int(version("websockets").split(".")[0]) < 17,
    reason="no websockets 17 here, which needs Python 3.11; run the tests with that",
)

theirs = websockets.sync
CONNECTIONS = ("Connection", "ClientConnection", "ServerConnection")


def attributes() -> dict[str, set[str]]:
    """What the objects of theirs have, at work."""
    ends: list[Any] = []
    come, done = threading.Event(), threading.Event()

    def handler(connection: Any) -> None:
        ends.append(connection)
        come.set()
        done.wait(PATIENCE)

    with theirs.server.serve(handler, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        port = server.socket.getsockname()[1]
        with theirs.client.connect(f"ws://127.0.0.1:{port}") as client:
            assert come.wait(PATIENCE)
            names = {
                "ClientConnection": public(vars(client)),
                "ServerConnection": public(vars(ends[0])),
                "Server": public(vars(server)),
            }
            done.set()
    thread.join(PATIENCE)
    return names


def names_of_theirs() -> set[str]:
    modules = (theirs.client, theirs.server, theirs.connection)
    names = {name for module in modules for name in module.__all__}
    functions = {
        "connect": theirs.client.connect,
        "serve": theirs.server.serve,
        "basic_auth": theirs.server.basic_auth,
        "unix_connect": theirs.client.unix_connect,
        "unix_serve": theirs.server.unix_serve,
        "reconnect": theirs.client.reconnect,
    }
    for function, made in functions.items():
        known = keywords(theirs.client.connect) if function == "reconnect" else set()
        names |= {f"{function}({name}=)" for name in keywords(made) - known}
    at_work = attributes()
    for kind in CONNECTIONS:
        module = {"C": theirs.client, "S": theirs.server}.get(kind[0], None)
        cls = getattr(module, kind, None) or theirs.connection.Connection
        of_kind = public(dir(cls)) | at_work.get(kind, set())
        names |= {f"Connection.{name}" for name in of_kind}
    server = public(dir(theirs.server.Server)) | at_work["Server"]
    names |= {f"Server.{name}" for name in server}
    # These are those of servers alone.
    own = {"respond", "server", "username"}
    names -= {f"Connection.{name}" for name in own}
    return names | {f"ServerConnection.{name}" for name in own}


def test_every_name_of_theirs_is_in_the_table_and_no_other() -> None:
    assert set(table(DOCUMENT)) == names_of_theirs()


def test_what_is_absent_is_absent_and_the_rest_is_there() -> None:
    made: dict[str, Any] = {}
    come, done = threading.Event(), threading.Event()

    def handler(connection: talkws.ServerConnection) -> None:
        connection.username = "set by basic_auth"
        made["ServerConnection"] = connection
        come.set()
        done.wait(PATIENCE)

    with serving(handler) as made["Server"]:
        with talkws.connect(made["Server"].url) as made["Connection"]:
            assert come.wait(PATIENCE)
            mistaken = wrong(table(DOCUMENT), talkws, made)
            done.set()
    assert mistaken == set()


def test_defaults_are_the_same_unless_the_table_says_otherwise() -> None:
    for function in ("connect", "serve"):
        module = theirs.client if function == "connect" else theirs.server
        mine = inspect.signature(getattr(talkws, function)).parameters
        for parameter in inspect.signature(
            getattr(module, function)
        ).parameters.values():
            name = f"{function}({parameter.name}=)"
            texts = ("user_agent_header", "server_header")
            if parameter.kind is parameter.VAR_KEYWORD or parameter.name in texts:
                continue
            if mine[parameter.name].default != parameter.default:
                assert table(DOCUMENT)[name] in {"different", "absent"}, name


def test_what_is_refused_first_is_not_shown_to_process_request() -> None:
    seen = []

    def look(connection: talkws.ServerConnection, request: talkws.Request) -> None:
        seen.append(request)

    with serving(echo, process_request=look, subprotocols=["chat"]) as server:
        for options in ({"origin": "http://elsewhere.example"}, {"subprotocols": None}):
            with pytest.raises(talkws.InvalidStatus):
                talkws.connect(server.url, **options)
    assert seen == []
