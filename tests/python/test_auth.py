"""Basic authentication: who is let in, and what the others are told."""

from __future__ import annotations

import base64
from typing import Any

import pytest
import talkws
from peers import PATIENCE, serving

RIGHT = ("zoë", "pass:word")


def say_name(connection: talkws.ServerConnection) -> None:
    connection.send(connection.username)


def token(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def answer(server: talkws.Server, *authorizations: str) -> str:
    """The user's name, or the status of the refusal."""
    headers = [("Authorization", value) for value in authorizations]
    try:
        with talkws.connect(server.url, additional_headers=headers) as client:
            return str(client.recv(PATIENCE))
    except talkws.InvalidStatus as refused:
        assert refused.response.headers["WWW-Authenticate"].startswith("Basic ")
        return str(refused.response.status_code)


@pytest.mark.parametrize(
    "credentials",
    [RIGHT, [RIGHT], (("other", "x"), RIGHT), list(RIGHT), iter([RIGHT])],
    ids=str,
)
def test_a_right_name_and_password_are_let_in(credentials: Any) -> None:
    check = talkws.basic_auth("chat", credentials)
    with serving(say_name, process_request=check) as server:
        for _ in range(2):
            assert answer(server, f"Basic {token('zoë:pass:word')}") == "zoë"
        assert answer(server, f"basic  {token('zoë:pass:word')} ") == "zoë"


@pytest.mark.parametrize(
    "authorizations",
    [
        (),
        ("",),
        ("Basic",),
        ("Basic !!!",),
        ("Bearer abc",),
        (f"Basic {token('no colon')}",),
        ("Basic " + base64.b64encode(b"\xff:\xff").decode(),),
        (f"Basic {token('zoë:wrong')}",),
        (f"Basic {token('nobody:pass:word')}",),
        (f"Basic {token('zoë:pass:word')}",) * 2,
    ],
    ids=str,
)
def test_others_are_not(authorizations: tuple[str, ...]) -> None:
    check = talkws.basic_auth("chat", RIGHT)
    with serving(say_name, process_request=check) as server:
        assert answer(server, *authorizations) == "401"


def test_a_function_may_decide() -> None:
    check = talkws.basic_auth(check_credentials=lambda name, word: name == word[::-1])
    with serving(say_name, process_request=check) as server:
        assert answer(server, f"Basic {token('ab:ba')}") == "ab"
        assert answer(server, f"Basic {token('ab:ab')}") == "401"


def test_the_challenge_names_the_realm() -> None:
    check = talkws.basic_auth(r'the "best" \o/', RIGHT)
    with serving(say_name, process_request=check) as server:
        with pytest.raises(talkws.InvalidStatus) as caught:
            talkws.connect(server.url)
    challenge = caught.value.response.headers["WWW-Authenticate"]
    assert challenge == r'Basic realm="the \"best\" \\o/", charset="UTF-8"'


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        ({}, ValueError),
        (
            {"credentials": RIGHT, "check_credentials": lambda name, word: True},
            ValueError,
        ),
        ({"realm": "世", "credentials": RIGHT}, ValueError),
        ({"realm": "a\r\nb", "credentials": RIGHT}, ValueError),
        ({"credentials": "zoë"}, TypeError),
        ({"credentials": ["zoë"]}, TypeError),
        ({"credentials": ("zoë", b"bytes")}, TypeError),
        ({"credentials": {"zoë": "word"}}, TypeError),
        ({"credentials": 1}, TypeError),
    ],
    ids=str,
)
def test_what_cannot_be_checked_is_said_at_once(
    arguments: dict[str, Any], kind: type[Exception]
) -> None:
    with pytest.raises(kind):
        talkws.basic_auth(**arguments)
