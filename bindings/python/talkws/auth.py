"""Basic authentication (RFC 7617)."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Union

from .handshake import Request, Response
from .server import ProcessRequest, ServerConnection

__all__ = ["basic_auth"]

Credentials = Union[tuple[str, str], Iterable[tuple[str, str]]]


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
    if not (realm.isascii() and realm.isprintable()):
        raise ValueError(f"basic_auth: realm {realm!r} is not printable ASCII")
    if (credentials is None) == (check_credentials is None):
        raise ValueError("basic_auth: expected either credentials or check_credentials")
    if credentials is not None:
        known = _pairs(credentials)

        def check_credentials(name: str, password: str) -> bool:
            expected = known.get(name)
            if expected is None:
                return False
            return hmac.compare_digest(expected.encode(), password.encode())

    check = check_credentials
    assert check is not None
    challenge = 'Basic realm="{}", charset="UTF-8"'.format(
        realm.replace("\\", "\\\\").replace('"', '\\"')
    )

    def process_request(
        connection: ServerConnection, request: Request
    ) -> Response | None:
        given = _parse(request.headers.get_all("Authorization"))
        if given is not None and check(*given):
            connection.username = given[0]
            return None
        response = connection.respond(
            HTTPStatus.UNAUTHORIZED,
            "A name and a password are needed.\n"
            if given is None
            else "The name or the password is wrong.\n",
        )
        response.headers["WWW-Authenticate"] = challenge
        return response

    return process_request


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


def _parse(headers: list[str]) -> tuple[str, str] | None:
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
