"""Dialling: what the request says, what a refusal says, and what goes wrong."""

from __future__ import annotations

import errno
import socket
from typing import Any

import pytest
import talkws
from peers import PATIENCE, RawServer, in_thread


def request_of(raw_server: RawServer, **options: Any) -> str:
    """The head that `connect` sends with these options."""
    dialling = in_thread(lambda: talkws.connect(raw_server.url, **options))
    with raw_server.accept() as peer:
        head = peer.read_head()
    with pytest.raises(talkws.InvalidMessage):
        dialling.result(PATIENCE)
    return head


@pytest.mark.parametrize(
    "headers",
    [
        {"X-A": "1", "X-B": "é"},
        [("X-A", "1"), ("X-B", "é")],
        talkws.Headers([("X-A", "1"), ("X-B", "é")]),
    ],
)
def test_headers_are_added(raw_server: RawServer, headers: talkws.HeadersLike) -> None:
    head = request_of(raw_server, additional_headers=headers).lower()
    assert "\r\nx-a: 1\r\n" in head
    assert "\r\nx-b: é\r\n" in head


def test_a_header_may_come_twice(raw_server: RawServer) -> None:
    headers = talkws.Headers([("X-A", "1"), ("X-A", "2")])
    head = request_of(raw_server, additional_headers=headers).lower()
    assert "\r\nx-a: 1\r\nx-a: 2\r\n" in head


def test_origin_and_subprotocols_are_said(raw_server: RawServer) -> None:
    head = request_of(raw_server, origin="http://a", subprotocols=["x", "y"]).lower()
    assert "\r\norigin: http://a\r\n" in head
    assert "\r\nsec-websocket-protocol: x, y\r\n" in head


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"additional_headers": {"Upgrade": "x"}}, ValueError),
        ({"additional_headers": {"X-A": "a\r\nX-B: b"}}, ValueError),
        ({"additional_headers": {"X-A": "世"}}, ValueError),
        ({"additional_headers": {"X-A": 1}}, TypeError),
        ({"subprotocols": "chat"}, TypeError),
        ({"subprotocols": ["a b"]}, ValueError),
        ({"open_timeout": float("nan")}, ValueError),
        ({"max_size": -1}, (OverflowError, ValueError)),
        ({"compression": "gzip"}, ValueError),
        ({"no_such_option": 1}, TypeError),
    ],
    ids=str,
)
def test_options_that_cannot_be_are_refused(options: dict[str, Any], kind: Any) -> None:
    with pytest.raises(kind):
        talkws.connect("ws://127.0.0.1:1/", **options)


def test_a_refusal_holds_the_servers_answer(raw_server: RawServer) -> None:
    answer = (
        b"HTTP/1.1 403 Not Today\r\nX-Why: because\r\nX-Why: \xe9\r\n"
        b"Content-Length: 4\r\n\r\nnope"
    )
    answering = in_thread(lambda: raw_server.accept_and_answer(answer))
    with pytest.raises(talkws.InvalidStatus, match="403 Not Today, not 101") as caught:
        talkws.connect(raw_server.url)
    answering.result(PATIENCE).stream.close()
    response = caught.value.response
    assert (response.status_code, response.reason_phrase) == (403, "Not Today")
    assert response.headers.get_all("x-why") == ["because", "é"]
    assert response.body == b"nope"
    assert isinstance(caught.value, talkws.InvalidHandshake)


def test_nonsense_is_no_handshake(raw_server: RawServer) -> None:
    answering = in_thread(lambda: raw_server.accept_and_answer(b"220 smtp\r\n\r\n"))
    with pytest.raises(talkws.InvalidMessage):
        talkws.connect(raw_server.url)
    answering.result(PATIENCE).stream.close()


def test_an_end_instead_of_an_answer_is_no_handshake(raw_server: RawServer) -> None:
    in_thread(lambda: raw_server.accept_and_answer(b"").stream.close())
    with pytest.raises(talkws.InvalidMessage, match="before it answered") as caught:
        talkws.connect(raw_server.url)
    assert isinstance(caught.value.__cause__, EOFError)


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("", "empty"),
        ("http://localhost/", "scheme must be ws"),
        ("ws://localhost/#here", "no fragment"),
    ],
)
def test_what_is_no_uri_is_said(uri: str, says: str) -> None:
    with pytest.raises(talkws.InvalidURI, match=says) as caught:
        talkws.connect(uri)
    assert caught.value.uri == uri
    assert says in caught.value.msg


def test_nobody_listening_is_an_os_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(ConnectionRefusedError, match="dial ws://127.0.0.1:") as caught:
        talkws.connect(f"ws://127.0.0.1:{port}/")
    assert caught.value.errno == errno.ECONNREFUSED
    assert "os error" not in str(caught.value)


def test_a_name_that_nobody_has_is_an_os_error() -> None:
    with pytest.raises(socket.gaierror, match="resolving .no-such-host.invalid"):
        talkws.connect("ws://no-such-host.invalid/")


def test_what_was_said_can_be_looked_at(listener: talkws.Listener) -> None:
    accepted = in_thread(
        lambda: listener.accept().upgrade(additional_headers={"X-Served-By": "me"})
    )
    client = talkws.connect(f"{listener.url}/chat?room=1", origin=None)
    server = accepted.result(PATIENCE)
    assert client.response is not None
    assert client.response.status_code == 101
    assert client.response.headers["x-served-by"] == "me"
    assert client.request.path == "/chat?room=1"
    assert server.request is server.request
    assert server.request.path == "/chat?room=1"
    assert server.request.headers["upgrade"] == "websocket"
    assert server.response is None
    assert client.remote_address == server.local_address
    assert client.local_address == server.remote_address
    assert client.remote_address == ("127.0.0.1", listener.port)
    assert "ClientConnection 127.0.0.1:" in repr(client)
    closing = in_thread(server.close)
    client.close()
    closing.result(PATIENCE)
    assert client.remote_address == ("127.0.0.1", listener.port)
    assert "closed" in repr(client)


def test_a_connection_is_made_by_connecting() -> None:
    kinds: list[Any] = [
        talkws.Connection,
        talkws.ClientConnection,
        talkws.ServerConnection,
    ]
    for kind in kinds:
        with pytest.raises(TypeError):
            kind()
