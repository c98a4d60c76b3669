"""Keywords of websockets.sync: each is one here, and none is ignored."""

from __future__ import annotations

import inspect
from typing import Any, Callable

import pytest
import talkws
import websockets.sync.client
import websockets.sync.server
from peers import PATIENCE, echo, serving

Maker = Callable[..., Any]

# Values of their keywords that cannot be meant here.
NOT_EXPRESSIBLE: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"max_size": (1 << 20, 1 << 10)}, NotImplementedError, "fragments have no limit"),
    ({"max_size": (None, 1 << 10)}, NotImplementedError, "fragments have no limit"),
    ({"max_queue": (16, 4)}, NotImplementedError, "there is no low-water mark"),
    ({"max_queue": 0}, ValueError, "at least 1"),
    ({"max_queue": -1}, ValueError, "at least 1"),
    ({"ping_interval": 0}, ValueError, "ping_interval"),
    ({"ping_interval": float("nan")}, ValueError, "ping_interval"),
    ({"open_timeout": float("nan")}, ValueError, "open_timeout"),
    ({"close_timeout": float("nan")}, ValueError, "close_timeout"),
    ({"ping_timeout": float("nan")}, ValueError, "ping_timeout"),
    ({"subprotocols": "chat"}, TypeError, "subprotocols"),
    ({"compression": "gzip"}, ValueError, "expected 'deflate' or None"),
    ({"extensions": [object()]}, NotImplementedError, "made and read in native code"),
    ({"no_such_option": 1}, TypeError, "no_such_option"),
]
ACCEPTED: list[dict[str, Any]] = [
    {"max_size": None, "max_queue": None},
    {"max_size": (1 << 20, None), "max_queue": (16, None)},
    {"max_size": (1 << 20, 1 << 20), "max_queue": 1},
    {"open_timeout": None, "close_timeout": None},
    {"ping_interval": None, "ping_timeout": None},
    {"compression": None, "extensions": None, "ssl": None},
    {"compression": "deflate", "extensions": []},
]


def connect(**options: Any) -> None:
    """Nobody is there: what is not refused before fails for that."""
    talkws.connect("ws://127.0.0.1:1/", **options)


def serve(**options: Any) -> None:
    talkws.serve(echo, "127.0.0.1", 0, **options).shutdown()


def keywords(function: Maker) -> set[str]:
    parameters = inspect.signature(function).parameters.values()
    return {one.name for one in parameters if one.kind is not one.VAR_KEYWORD}


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (websockets.sync.client.connect, talkws.connect),
        (websockets.sync.server.serve, talkws.serve),
        (websockets.sync.server.basic_auth, talkws.basic_auth),
    ],
    ids=["connect", "serve", "basic_auth"],
)
def test_every_keyword_of_theirs_is_one_here(theirs: Maker, ours: Maker) -> None:
    assert keywords(theirs) <= keywords(ours)


def test_every_keyword_is_among_those_that_are_tested() -> None:
    """A keyword whose value the library never sees would be ignored: each of these is seen by the
    tests of its own behaviour.
    """
    tested_elsewhere = {
        *("uri", "sock", "origin", "subprotocols", "additional_headers", "logger"),
        *("user_agent_header", "open_timeout", "ping_interval", "ping_timeout"),
        *("close_timeout", "max_size", "max_queue", "create_connection", "legacy"),
        *("proxy", "max_redirects", "trusted_proxies", "forwarding"),
        *("handler", "host", "port", "origins", "select_subprotocol"),
        *("process_request", "process_response", "server_header"),
        *("ssl", "server_hostname", "proxy_ssl", "proxy_server_hostname"),
        *("compression", "extensions"),
    }
    ours = keywords(talkws.connect) | keywords(talkws.serve)
    assert ours == tested_elsewhere


@pytest.mark.parametrize("make", [connect, serve])
@pytest.mark.parametrize(
    ("options", "kind", "reason"), NOT_EXPRESSIBLE, ids=lambda value: str(value)
)
def test_what_cannot_be_meant_is_refused(
    make: Maker, options: dict[str, Any], kind: type[Exception], reason: str
) -> None:
    with pytest.raises(kind, match=reason):
        make(**options)


@pytest.mark.parametrize("options", ACCEPTED, ids=str)
def test_what_means_something_is_taken(options: dict[str, Any]) -> None:
    serve(**options)
    with pytest.raises(ConnectionRefusedError):
        connect(**options)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, talkws.client.USER_AGENT),
        ({"user_agent_header": "me"}, "me"),
        ({"user_agent_header": None}, "none"),
        ({"additional_headers": {"user-agent": "mine"}}, "mine"),
    ],
    ids=str,
)
def test_a_user_agent_is_what_was_asked_for(
    options: dict[str, Any], expected: str
) -> None:
    def handler(connection: talkws.ServerConnection) -> None:
        connection.send(connection.request.headers.get("User-Agent", "none"))

    with serving(handler) as server, talkws.connect(server.url, **options) as client:
        assert client.recv(PATIENCE) == expected


def test_a_client_may_be_of_a_class_of_ones_own() -> None:
    class Named(talkws.ClientConnection):
        name = "me"

    with serving(echo) as server:
        with talkws.connect(server.url, create_connection=Named) as client:
            assert isinstance(client, Named)
            assert client.name == "me"
