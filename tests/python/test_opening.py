"""A server's part of the opening handshake: what the program may look at, answer and change."""

from __future__ import annotations

import http
import http.client
import logging
import re
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import closing
from typing import Any

import pytest
import talkws
from peers import PATIENCE, ask, echo, in_thread, serving


def refusal(server: talkws.Server, **options: Any) -> talkws.Response:
    """The answer of a server that refuses."""
    with pytest.raises(talkws.InvalidStatus) as caught:
        talkws.connect(server.url, **options)
    return caught.value.response


def get(
    server: talkws.Server, path: str = "/", headers: dict[str, str] | None = None
) -> tuple[http.client.HTTPResponse, bytes]:
    """What a plain HTTP client gets."""
    client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    with closing(client):
        client.request("GET", path, headers=headers or {})
        response = client.getresponse()
        return response, response.read()


def test_process_request_that_returns_nothing_lets_in() -> None:
    seen: list[Any] = []

    def look(connection: talkws.ServerConnection, request: talkws.Request) -> None:
        seen.extend((request.path, request.headers["X-A"], connection.request))
        seen.append(connection.state)
        for call in (connection.recv, lambda: connection.send("x"), connection.ping):
            with pytest.raises(talkws.InvalidState):
                call()

    with serving(echo, process_request=look) as server:
        headers = {"X-A": "1"}
        with talkws.connect(f"{server.url}/a?b", additional_headers=headers) as client:
            client.send("in")
            assert client.recv(PATIENCE) == "in"
    assert seen[:2] == ["/a?b", "1"]
    assert seen[2].path == "/a?b"
    assert seen[3] is talkws.State.CONNECTING


def test_process_request_may_refuse_with_any_response() -> None:
    body = bytes(range(256))

    def look(
        connection: talkws.ServerConnection, request: talkws.Request
    ) -> talkws.Response:
        headers = talkws.Headers([("X-A", "1"), ("X-A", "é"), ("Content-Length", "0")])
        return talkws.Response(403, "Forbidden", headers, body)

    with serving(echo, process_request=look) as server:
        response = refusal(server)
    assert response.status_code == 403
    assert response.headers.get_all("x-a") == ["1", "é"]
    assert response.headers.get_all("content-length") == ["256"]
    assert response.body == body


def test_respond_makes_plain_text_with_headers_to_change() -> None:
    def look(
        connection: talkws.ServerConnection, request: talkws.Request
    ) -> talkws.Response:
        response = connection.respond(http.HTTPStatus.SERVICE_UNAVAILABLE, "später\n")
        response.headers["Retry-After"] = "5"
        del response.headers["Content-Type"]
        response.headers["Content-Type"] = "text/x-reason"
        return response

    with serving(echo, process_request=look) as server:
        response = refusal(server)
    assert response.status_code == 503
    assert response.headers["Retry-After"] == "5"
    assert response.headers.get_all("Content-Type") == ["text/x-reason"]
    assert response.body.decode() == "später\n"


def test_process_request_answers_plain_requests_too() -> None:
    page = b"<!doctype html>" + bytes(3_000_000)

    def look(
        connection: talkws.ServerConnection, request: talkws.Request
    ) -> talkws.Response | None:
        if request.path == "/healthz":
            return connection.respond(http.HTTPStatus.OK, "OK\n")
        if request.path == "/":
            headers = talkws.Headers({"Content-Type": "text/html"})
            return talkws.Response(200, "OK", headers, page)
        return None

    with serving(echo, process_request=look, subprotocols=["chat"]) as server:
        response, body = get(server, "/healthz")
        assert (response.status, body) == (200, b"OK\n")
        # A page of anywhere may ask for it: what is guarded is the WebSocket.
        response, body = get(server, "/", {"Origin": "http://elsewhere.example"})
        assert response.getheader("Content-Type") == "text/html"
        assert body == page
        # What it leaves alone is no upgrade, and is told so.
        response, body = get(server, "/talk")
        assert response.status == 426
        assert response.getheader("Sec-WebSocket-Version") == "13"
        assert response.getheader("Upgrade") == "websocket"
        with talkws.connect(server.url + "/talk", subprotocols=["chat"]) as client:
            client.send("still a WebSocket")
            assert client.recv(PATIENCE) == "still a WebSocket"


def test_a_forced_101_lets_in_with_its_headers() -> None:
    def look(
        connection: talkws.ServerConnection, request: talkws.Request
    ) -> talkws.Response:
        headers = {"Set-Cookie": "a=b", "Upgrade": "x", "Sec-WebSocket-Accept": "x"}
        return talkws.Response(101, "", talkws.Headers(headers))

    with serving(echo, process_request=look) as server:
        with talkws.connect(server.url) as client:
            assert client.response is not None
            assert client.response.headers["Set-Cookie"] == "a=b"


def raises(*_: Any) -> None:
    raise LookupError("nothing here")


@pytest.mark.parametrize(
    "options",
    [
        {"process_request": raises},
        {"process_response": raises},
        {"select_subprotocol": raises},
        {"create_connection": lambda *_, **__: raises()},
    ],
    ids=lambda options: next(iter(options)),
)
def test_what_raises_gives_500_and_is_told_of(
    options: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    with serving(echo, **options) as server:
        response = refusal(server)
    assert response.status_code == 500
    assert b"nothing here" not in response.body
    (record,) = [record for record in caplog.records if record.exc_info]
    assert record.name == "talkws.server"
    assert record.exc_info and isinstance(record.exc_info[1], LookupError)


@pytest.mark.parametrize(
    "options",
    [
        {"process_request": lambda *_: "no response"},
        {"process_response": lambda *_: "no response"},
        {"process_response": lambda c, _, r: r.headers.update({"X": "a\r\nb"})},
        {"select_subprotocol": lambda *_: "never offered"},
        {"create_connection": lambda *_, **__: "no connection"},
    ],
    ids=str,
)
def test_what_makes_no_sense_gives_500_too(
    options: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    with serving(echo, **options) as server:
        assert refusal(server).status_code == 500
    assert [record.name for record in caplog.records if record.exc_info]


def test_process_response_may_change_headers() -> None:
    def change(
        connection: talkws.ServerConnection,
        request: talkws.Request,
        response: talkws.Response,
    ) -> None:
        assert response.status_code == 101
        assert response.headers["Sec-WebSocket-Accept"]
        response.headers["X-Served-By"] = "me"
        # These make the handshake: they are as they must be, whatever is done to them.
        del response.headers["Sec-WebSocket-Accept"]
        response.headers["Sec-WebSocket-Accept"] = "nonsense"

    def handler(connection: talkws.ServerConnection) -> None:
        assert connection.response is not None
        connection.send(connection.response.headers["X-Served-By"])

    with serving(handler, process_response=change) as server:
        with talkws.connect(server.url) as client:
            assert client.response is not None
            assert client.response.headers["X-Served-By"] == "me"
            assert client.recv(PATIENCE) == "me"


def test_process_response_may_answer_otherwise() -> None:
    def change(
        connection: talkws.ServerConnection,
        request: talkws.Request,
        response: talkws.Response,
    ) -> talkws.Response:
        return connection.respond(418, f"not {response.status_code}\n")

    with serving(echo, process_response=change) as server:
        response = refusal(server)
        assert (response.status_code, response.body) == (418, b"not 101\n")
        plain, body = get(server)
        assert (plain.status, body) == (418, b"not 426\n")


@pytest.mark.parametrize("choice", ["b", None])
@pytest.mark.parametrize("subprotocols", [None, ["a", "b"]])
def test_select_subprotocol_has_the_last_word(
    choice: str | None, subprotocols: list[str] | None
) -> None:
    seen = []

    def select(
        connection: talkws.ServerConnection, offered: Sequence[str]
    ) -> str | None:
        seen.append(list(offered))
        return choice

    with serving(echo, select_subprotocol=select, subprotocols=subprotocols) as server:
        with talkws.connect(server.url, subprotocols=["a", "b"]) as client:
            assert client.subprotocol == choice
    assert seen == [["a", "b"]]


def test_select_subprotocol_may_refuse() -> None:
    def select(connection: talkws.ServerConnection, offered: Sequence[str]) -> str:
        raise talkws.NegotiationError(f"none of {list(offered)} will do")

    with serving(echo, select_subprotocol=select) as server:
        response = refusal(server, subprotocols=["a"])
        assert response.status_code == 400
        assert b"none of ['a'] will do" in response.body


def test_a_servers_subprotocols_are_needed() -> None:
    with serving(echo, subprotocols=["b", "a"]) as server:
        with talkws.connect(server.url, subprotocols=["a", "b"]) as client:
            assert client.subprotocol == "b"
        assert refusal(server, subprotocols=["c"]).status_code == 400
        assert refusal(server).status_code == 400


GOOD = "http://good.example"
SAME = "http://127.0.0.1:{port}"


@pytest.mark.parametrize(
    ("options", "origin", "status"),
    [
        ({}, None, 101),
        ({}, SAME, 101),
        ({}, GOOD, 403),
        ({"origins": "same-host"}, GOOD, 403),
        ({"origins": None}, GOOD, 101),
        ({"origins": None}, None, 101),
        ({"origins": [GOOD]}, GOOD, 101),
        ({"origins": [GOOD]}, SAME, 403),
        ({"origins": [GOOD]}, None, 403),
        ({"origins": [GOOD, None]}, None, 101),
        ({"origins": [None]}, GOOD, 403),
        ({"origins": iter([GOOD])}, GOOD, 101),
        ({"origins": [re.compile(r"http://.*\.example")]}, GOOD, 101),
        ({"origins": [re.compile("http://good")]}, GOOD, 403),
        ({"origins": [re.compile(".*")]}, None, 403),
        ({"origins": []}, GOOD, 403),
    ],
    ids=str,
)
def test_origins_decide_who_may_connect(
    options: dict[str, Any], origin: str | None, status: int
) -> None:
    with serving(echo, **options) as server:
        header = (
            f"Origin: {origin.format(port=server.port)}\r\n"
            if origin is not None
            else ""
        )
        with ask(server, headers=header) as peer:
            assert peer.read_head().startswith(f"HTTP/1.1 {status} ")


@pytest.mark.parametrize("origins", [GOOD, [1], [b"http://good.example"], 1])
def test_what_are_no_origins_is_said_at_once(origins: Any) -> None:
    with pytest.raises(TypeError):
        talkws.serve(echo, "127.0.0.1", 0, origins=origins)


@pytest.mark.parametrize(
    ("options", "expected"),
    [({}, talkws.server.SERVER), ({"server_header": "me"}, "me")],
)
def test_a_server_says_what_it_is(options: dict[str, Any], expected: str) -> None:
    with serving(echo, **options) as server:
        with talkws.connect(server.url) as client:
            assert client.response is not None
            assert client.response.headers["Server"] == expected
        assert get(server)[0].getheader("Server") == expected


def test_a_server_need_not_say_what_it_is() -> None:
    with serving(echo, server_header=None) as server:
        with talkws.connect(server.url) as client:
            assert client.response is not None
            assert "Server" not in client.response.headers
        assert get(server)[0].getheader("Server") is None


class Named(talkws.ServerConnection):
    """A connection with something of its own."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.name = "nobody"


def test_connections_may_be_of_a_class_of_ones_own() -> None:
    def look(connection: talkws.ServerConnection, request: talkws.Request) -> None:
        assert isinstance(connection, Named)
        connection.name = request.path

    def handler(connection: talkws.ServerConnection) -> None:
        assert isinstance(connection, Named)
        connection.send(connection.name)

    with serving(handler, create_connection=Named, process_request=look) as server:
        with talkws.connect(server.url + "/ann") as client:
            assert client.recv(PATIENCE) == "/ann"


def test_what_is_put_on_a_connection_is_there_for_the_handler() -> None:
    def look(connection: talkws.ServerConnection, request: talkws.Request) -> None:
        connection.username = request.path[1:]

    with serving(lambda ws: ws.send(ws.username), process_request=look) as server:
        with talkws.connect(server.url + "/ann") as client:
            assert client.recv(PATIENCE) == "ann"


def test_a_client_that_is_gone_before_its_answer_is_no_failure(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "talkws.server")
    handled: list[Any] = []
    looked: Future[None] = Future()

    def look(connection: talkws.ServerConnection, request: talkws.Request) -> None:
        asking.stream.close()
        looked.set_result(None)

    with talkws.serve(handled.append, "127.0.0.1", 0, process_request=look) as server:
        asking = ask(server)
        serving = in_thread(server.serve_forever)
        looked.result(PATIENCE)
        server.shutdown(close_connections=False)
    serving.result(PATIENCE)
    assert not [record for record in caplog.records if record.exc_info]
