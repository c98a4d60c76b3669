"""Listening: accept in two steps, refusals, origins, subprotocols, closing."""

from __future__ import annotations

import errno
import http
import socket

import pytest
import talkws
from peers import PATIENCE, RawPeer, ask, connected, in_thread


def test_a_request_is_looked_at_before_it_is_answered(
    listener: talkws.Listener,
) -> None:
    headers = (
        "Sec-WebSocket-Protocol: a, b\r\nSec-WebSocket-Protocol: c\r\n"
        f"Origin: http://127.0.0.1:{listener.port}\r\nX-Name: \xe9\r\n"
    )
    with ask(listener, "/ch%61t?room=1", headers) as peer:
        pending = listener.accept(PATIENCE)
        assert (pending.path, pending.query) == ("/ch%61t", "room=1")
        assert pending.request.path == "/ch%61t?room=1"
        assert pending.request.method == "GET"
        assert pending.subprotocols == ["a", "b", "c"]
        assert pending.origin == f"http://127.0.0.1:{listener.port}"
        assert pending.headers["x-name"] == "é"
        assert pending.headers is pending.request.headers
        assert pending.remote_address == peer.stream.getsockname()
        assert "/ch%61t?room=1 from 127.0.0.1:" in repr(pending)

        server = pending.upgrade(subprotocol="b")
        assert "sec-websocket-protocol: b" in peer.read_head().lower()
        assert isinstance(server, talkws.ServerConnection)
        assert server.subprotocol == "b"
        assert pending.path == "/ch%61t"


def test_a_request_without_extras_has_none(listener: talkws.Listener) -> None:
    with ask(listener):
        pending = listener.accept(PATIENCE)
        assert (pending.query, pending.origin, pending.subprotocols) == (None, None, [])


def test_a_refusal_reaches_the_client(listener: talkws.Listener) -> None:
    dialling = in_thread(lambda: talkws.connect(listener.url))
    listener.accept(PATIENCE).refuse(http.HTTPStatus.UNAUTHORIZED, "who are you?")
    with pytest.raises(talkws.InvalidStatus) as caught:
        dialling.result(PATIENCE)
    assert caught.value.response.status_code == 401
    assert caught.value.response.body == b"who are you?"


def test_a_request_is_answered_once(listener: talkws.Listener) -> None:
    with ask(listener) as peer:
        pending = listener.accept(PATIENCE)
        pending.refuse(404)
        assert peer.read_head().startswith("HTTP/1.1 404 ")
        for answer in (pending.upgrade, lambda: pending.refuse(404)):
            with pytest.raises(talkws.InvalidState, match="answered before"):
                answer()


def test_a_request_that_is_dropped_is_refused(listener: talkws.Listener) -> None:
    with ask(listener) as peer:
        listener.accept(PATIENCE)
        assert peer.read_head().startswith("HTTP/1.1 503 ")


@pytest.mark.parametrize("status", [-1, 100, 101, 600, 70000])
def test_a_status_that_is_none_is_refused(
    listener: talkws.Listener, status: int
) -> None:
    with ask(listener) as peer:
        pending = listener.accept(PATIENCE)
        with pytest.raises(ValueError, match="use an HTTP status from 200 to 599"):
            pending.refuse(status)
        # It still waits for an answer.
        pending.refuse(404)
        assert peer.read_head().startswith("HTTP/1.1 404 ")


def test_a_subprotocol_that_was_not_offered_cannot_be_chosen(
    listener: talkws.Listener,
) -> None:
    with ask(listener, headers="Sec-WebSocket-Protocol: a\r\n") as peer:
        pending = listener.accept(PATIENCE)
        with pytest.raises(ValueError, match="b"):
            pending.upgrade(subprotocol="b")
        # It still waits for an answer.
        pending.upgrade(subprotocol="a")
        assert peer.read_head().startswith("HTTP/1.1 101 ")


def test_the_listeners_subprotocols_choose() -> None:
    with talkws.listen("ws://127.0.0.1:0", subprotocols=["v2", "v1"]) as listener:
        accepted = in_thread(lambda: listener.accept(PATIENCE).upgrade())
        client = talkws.connect(listener.url, subprotocols=["v1", "v2"])
        assert client.subprotocol == accepted.result(PATIENCE).subprotocol == "v2"
        with connected(listener) as ends:
            assert [end.subprotocol for end in ends] == [None, None]


@pytest.mark.parametrize(
    ("options", "origin", "status"),
    [
        ({}, "http://127.0.0.1:{port}", 101),
        ({}, "http://evil.example", 403),
        ({"origins": "same-host"}, "http://evil.example", 403),
        ({"origins": ["http://evil.example"]}, "http://evil.example", 101),
        ({"origins": ["http://good.example"]}, "http://evil.example", 403),
        ({"origins": []}, "http://evil.example", 403),
        ({"origins": None}, "http://evil.example", 101),
    ],
)
def test_origins_decide_who_may_connect(
    options: dict[str, list[str] | None], origin: str, status: int
) -> None:
    with talkws.listen("ws://127.0.0.1:0", **options) as listener:  # type: ignore[arg-type]
        header = f"Origin: {origin.format(port=listener.port)}\r\n"
        with ask(listener, headers=header) as peer:
            serving = in_thread(lambda: [pending.upgrade() for pending in listener])
            assert peer.read_head().startswith(f"HTTP/1.1 {status} ")
            listener.close()
            assert len(serving.result(PATIENCE)) == (status == 101)


def test_one_string_is_no_list_of_origins() -> None:
    for origins in ("http://good.example", ""):
        with pytest.raises(TypeError, match="origins: expected 'same-host'"):
            talkws.listen("ws://127.0.0.1:0", origins=origins)


def test_another_path_is_not_found() -> None:
    with talkws.listen("ws://127.0.0.1:0/here") as listener:
        in_thread(lambda: list(listener))
        with pytest.raises(talkws.InvalidStatus, match="404"):
            talkws.connect(listener.url.replace("/here", "/there"))


def test_the_url_has_the_port_that_was_taken() -> None:
    with talkws.listen("ws://localhost:0/path") as listener:
        assert listener.port > 0
        assert listener.url == f"ws://localhost:{listener.port}/path"
        assert repr(listener) == f"<talkws.Listener {listener.url}>"
    with socket.create_server(("127.0.0.1", listener.port)):
        pass


def test_an_address_in_use_is_an_os_error(listener: talkws.Listener) -> None:
    with pytest.raises(OSError, match="listen on ws://") as caught:
        talkws.listen(listener.url)
    assert caught.value.errno == errno.EADDRINUSE


def test_a_url_that_cannot_be_listened_on() -> None:
    with pytest.raises(talkws.InvalidURI):
        talkws.listen("ws://127.0.0.1:0/?query")


@pytest.mark.parametrize("waiters", [1, 3])
def test_closing_ends_every_accept(listener: talkws.Listener, waiters: int) -> None:
    accepting = [in_thread(listener.accept) for _ in range(waiters)]
    iterating = in_thread(lambda: list(listener))
    listener.close()
    for waiting in accepting:
        with pytest.raises(talkws.ListenerClosed):
            waiting.result(PATIENCE)
    assert iterating.result(PATIENCE) == []
    listener.close()
    with pytest.raises(talkws.ListenerClosed, match="accept on ws://"):
        listener.accept()


def test_connections_outlive_their_listener() -> None:
    with talkws.listen("ws://127.0.0.1:0") as listener:
        accepted = in_thread(lambda: listener.accept().upgrade())
        client = talkws.connect(listener.url)
        server = accepted.result(PATIENCE)
    client.send("still here")
    assert server.recv(PATIENCE) == "still here"


def test_a_silent_client_holds_nobody_up(listener: talkws.Listener) -> None:
    with RawPeer(socket.create_connection(("127.0.0.1", listener.port))):
        with connected(listener) as (client, server):
            client.send("me first")
            assert server.recv(PATIENCE) == "me first"


def test_who_is_too_slow_is_dropped_while_the_main_thread_accepts() -> None:
    with talkws.listen("ws://127.0.0.1:0", open_timeout=0.01) as listener:
        with RawPeer(socket.create_connection(("127.0.0.1", listener.port))) as peer:
            seen = in_thread(peer.read_to_end)
            seen.add_done_callback(lambda _: listener.close())
            with pytest.raises(talkws.ListenerClosed):
                listener.accept(PATIENCE)
            assert seen.result(PATIENCE).startswith(b"HTTP/1.1 408 ")


def test_open_timeout_may_be_none() -> None:
    with talkws.listen("ws://127.0.0.1:0", open_timeout=None) as listener:
        with connected(listener):
            pass
