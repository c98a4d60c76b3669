"""Basic authentication (RFC 7617)."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import TypeVar, Union

from .handshake import Request, Response, response_to
from .server import ProcessRequest, ServerConnection

__all__ = ["basic_auth"]

Credentials = Union[tuple[str, str], Iterable[tuple[str, str]]]
Checked = TypeVar("Checked")


def basic_auth(
    realm: str = "",
    credentials: Credentials | None = None,
    check_credentials: Callable[[str, str], bool] | None = None,
) -> ProcessRequest:
    """Make a ``process_request`` for :func:`serve` that asks for a name and a password::

        talkws.serve(
            handler,
            "localhost",
            8080,
            process_request=talkws.basic_auth("chat", ("hello", "iloveyou")),
        )

    Who has none, or the wrong ones, gets 401. The connections of others have a ``username``.
    Names and passwords are UTF-8, and go over the wire as good as plain: use a proxy with TLS.

    Args:
        realm: What the name and password are for, in ASCII.
        credentials: A name and its password, or several such pairs.
        check_credentials: Called with a name and a password, says whether they are right.

    Raises:
        TypeError: If ``credentials`` are no pairs of ``str``.
        ValueError: If not exactly one of the two is given, or no header can hold ``realm``.
    """
    challenge = challenge_of(realm)
    check = check_of(credentials, check_credentials)

    def process_request(
        connection: ServerConnection, request: Request
    ) -> Response | None:
        given = given_in(request)
        if given is not None and check(*given):
            connection.username = given[0]
            return None
        return refusal(given, challenge)

    return process_request


def challenge_of(realm: str) -> str:
    """What asks for a name and a password."""
    if not (realm.isascii() and realm.isprintable()):
        raise ValueError(f"basic_auth: realm {realm!r} is not printable ASCII")
    return 'Basic realm="{}", charset="UTF-8"'.format(
        realm.replace("\\", "\\\\").replace('"', '\\"')
    )


def check_of(
    credentials: Credentials | None,
    check_credentials: Callable[[str, str], Checked] | None,
) -> Callable[[str, str], Checked | bool]:
    """What says whether a name and a password are right."""
    if check_credentials is not None and credentials is None:
        return check_credentials
    if credentials is None or check_credentials is not None:
        raise ValueError("basic_auth: expected either credentials or check_credentials")
    known = _pairs(credentials)

    def check(name: str, password: str) -> bool:
        expected = known.get(name)
        if expected is None:
            return False
        return hmac.compare_digest(expected.encode(), password.encode())

    return check


def refusal(given: tuple[str, str] | None, challenge: str) -> Response:
    """The answer to who has no name and password, or the wrong ones."""
    response = response_to(
        HTTPStatus.UNAUTHORIZED,
        "A name and a password are needed.\n"
        if given is None
        else "The name or the password is wrong.\n",
    )
    response.headers["WWW-Authenticate"] = challenge
    return response


def _pairs(credentials: Credentials) -> dict[str, str]:
    pairs = [credentials] if _is_pair(credentials) else list(credentials)
    if not all(_is_pair(pair) for pair in pairs):
        raise TypeError(
            "basic_auth: expected credentials as (name, password), or several"
        )
    return dict(pairs)  # type: ignore[arg-type]


def _is_pair(pair: object) -> bool:
    return (
        isinstance(pair, (tuple, list))
        and len(pair) == 2
        and all(isinstance(item, str) for item in pair)
    )


def given_in(request: Request) -> tuple[str, str] | None:
    """The name and the password in a request, if it has them."""
    headers = request.headers.get_all("Authorization")
    if len(headers) != 1:
        return None
    scheme, _, token = headers[0].partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, password = (
            base64.b64decode(token.strip(), validate=True).decode().partition(":")
        )
    except (binascii.Error, UnicodeDecodeError):
        return None
    return (name, password) if colon else None
