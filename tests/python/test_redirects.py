"""Redirects, and the answers that name a place without being any."""

from __future__ import annotations

import re

import pytest
import talkws
from peers import echo, serving


def to(location: str, seen: list[talkws.Request]) -> object:
    """A `process_request` that sends everybody who does not ask for /end elsewhere."""

    def look(
        connection: talkws.ServerConnection, request: talkws.Request
    ) -> talkws.Response | None:
        seen.append(request)
        if request.path == "/end":
            return None
        response = connection.respond(302, "elsewhere\n")
        response.headers["Location"] = location
        return response

    return look


def test_a_redirect_is_followed_and_may_be_relative() -> None:
    seen: list[talkws.Request] = []
    with serving(echo, process_request=to("end", seen)) as server:
        url = server.url.replace("ws://", "ws://user:pw@")
        with talkws.connect(f"{url}/first", max_redirects=1) as ws:
            assert ws.request.path == "/end"
            ws.send("hello")
            assert ws.recv() == "hello"
    assert [one.headers["Authorization"] for one in seen] == ["Basic dXNlcjpwdw=="] * 2


def test_secrets_stay_on_their_origin() -> None:
    seen: list[talkws.Request] = []
    with serving(echo, process_request=to("", seen)) as other:
        with serving(echo, process_request=to(f"{other.url}/end", [])) as server:
            url = server.url.replace("ws://", "ws://user:pw@")
            headers = {"Cookie": "a=b", "X-Mine": "1"}
            talkws.connect(url, additional_headers=headers).close()
    (request,) = seen
    assert not {"authorization", "cookie"} & {name.lower() for name in request.headers}
    assert request.headers["X-Mine"] == "1"


def test_redirects_end() -> None:
    seen: list[talkws.Request] = []
    with serving(echo, process_request=to("/again", seen)) as server:
        with pytest.raises(talkws.SecurityError, match="more than 10 redirects"):
            talkws.connect(server.url)
        assert len(seen) == 11
        with pytest.raises(talkws.InvalidStatus) as caught:
            talkws.connect(server.url, max_redirects=0)
        assert caught.value.response.headers["Location"] == "/again"


def test_a_place_that_is_no_websocket_is_not_gone_to() -> None:
    with serving(echo, process_request=to("file:///etc/passwd", [])) as server:
        says = re.escape("'file:///etc/passwd': that is no URL of a WebSocket")
        with pytest.raises(talkws.SecurityError, match=says.replace("'", "[\"']")):
            talkws.connect(server.url)


def test_every_cookie_of_a_response_can_be_looked_at() -> None:
    def set_cookies(
        connection: talkws.ServerConnection,
        request: talkws.Request,
        response: talkws.Response,
    ) -> None:
        response.headers["Set-Cookie"] = "a=1; Path=/"
        response.headers["Set-Cookie"] = "b=2"

    with serving(echo, process_response=set_cookies) as server:
        with talkws.connect(server.url) as ws:
            assert ws.response is not None
            assert ws.response.headers.get_all("Set-Cookie") == ["a=1; Path=/", "b=2"]
