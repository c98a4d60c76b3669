"""A server's part of the opening handshake, as far as the program has a say in it."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from . import _talkws
from .exceptions import InvalidHandshake, NegotiationError
from .handshake import Request, Response, response_to
from .headers import Headers
from .typing import LoggerLike

if TYPE_CHECKING:
    from .server import SelectSubprotocol

__all__ = ["Opener"]

# These make the handshake, or end with the connection; they are not the program's.
_OWN_HEADERS = {
    "connection",
    "upgrade",
    "content-length",
    "transfer-encoding",
}

FAILED = (
    "Failed to open a WebSocket connection.\nSee server log for more information.\n"
)
"""What a client learns of an exception in the program."""


class Opener:
    """Looks at requests, and upgrades or refuses them."""

    def __init__(
        self,
        *,
        origins: Sequence[str | re.Pattern[str] | None] | None,
        select_subprotocol: SelectSubprotocol | None,
        process_request: Callable[..., Any] | None,
        process_response: Callable[..., Any] | None,
        server_header: str | None,
        create_connection: Callable[..., Any],
        logger: LoggerLike,
    ) -> None:
        self._origins = None if origins is None else _checked(origins)
        self._select_subprotocol = select_subprotocol
        self._process_request = process_request
        self._process_response = process_response
        self._server_header = server_header
        self._create_connection = create_connection
        self._logger = logger

    def open(self, pending: _talkws.PendingConnection, server: Any) -> Any:
        """Answer a request; give the connection if that opened one."""
        steps = self.steps(pending, server)
        answer = None
        while True:
            try:
                answer = steps.send(answer)
            except StopIteration as done:
                return done.value

    def steps(
        self, pending: _talkws.PendingConnection, server: Any
    ) -> Generator[Any, Any, Any]:
        """Do what :meth:`open` does, and yield what the program's functions return, for somebody to
        await it perhaps, and to send it back."""
        connection = self._create_connection(
            pending, server=server, logger=self._logger
        )
        request = pending.request
        response, subprotocol = yield from self._decide(pending, connection, request)
        if self._server_header is not None and "Server" not in response.headers:
            response.headers["Server"] = self._server_header
        if self._process_response is not None:
            try:
                other = yield self._process_response(connection, request, response)
            except Exception:
                self._logger.exception("process_response failed")
                other = _broken()
            response = response if other is None else other
        if server.is_closing and response.status_code == HTTPStatus.SWITCHING_PROTOCOLS:
            response = response_to(
                HTTPStatus.SERVICE_UNAVAILABLE, "The server is shutting down.\n"
            )
        own = _without_own(response.headers)
        if response.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
            body = response.body or b""
            pending.refuse(response.status_code, body, additional_headers=own)
            return None
        try:
            connection._upgrade(subprotocol, own)
        except (OSError, InvalidHandshake) as gone:
            self._logger.info("the client has gone before it was answered: %s", gone)
            return None
        connection._response = response
        return connection

    def _decide(
        self,
        pending: _talkws.PendingConnection,
        connection: Any,
        request: Request,
    ) -> Generator[Any, Any, tuple[Response, str | None]]:
        """The answer, and the subprotocol if it is to upgrade."""
        try:
            if self._process_request is not None:
                forced = yield self._process_request(connection, request)
                if forced is not None and forced.status_code != 101:
                    return forced, None
            else:
                forced = None
            if not pending.is_upgrade:
                return _not_an_upgrade(), None
            if not self._allows(pending.origin):
                return response_to(
                    HTTPStatus.FORBIDDEN, "Pages of this origin may not connect.\n"
                ), None
            subprotocol = None
            if self._select_subprotocol is not None:
                offered = pending.subprotocols
                subprotocol = self._select_subprotocol(connection, offered)
            headers = None if forced is None else _without_own(forced.headers)
            return pending._response(subprotocol, headers), subprotocol
        except NegotiationError as error:
            text = f"Failed to open a WebSocket connection: {error}.\n"
            return response_to(HTTPStatus.BAD_REQUEST, text), None
        except Exception:
            self._logger.exception("opening handshake failed")
            return _broken(), None

    def _allows(self, origin: str | None) -> bool:
        if self._origins is None:
            return True
        for allowed in self._origins:
            if isinstance(allowed, re.Pattern):
                if origin is not None and allowed.fullmatch(origin):
                    return True
            elif allowed == origin:
                return True
        return False


def _checked(
    origins: Sequence[str | re.Pattern[str] | None],
) -> tuple[str | re.Pattern[str] | None, ...]:
    if isinstance(origins, str):
        raise TypeError(
            "origins: expected 'same-host', a sequence, or None, not one str"
        )
    checked = tuple(origins)
    for origin in checked:
        if not isinstance(origin, (str, re.Pattern, type(None))):
            raise TypeError(
                f"origins: expected each to be str, a compiled pattern, or None, not {origin!r}"
            )
    return checked


def _without_own(headers: Headers) -> list[tuple[str, str]]:
    return [
        (name, value)
        for name, value in headers.raw_items()
        if name.lower() not in _OWN_HEADERS
        and not name.lower().startswith("sec-websocket-")
    ]


def _not_an_upgrade() -> Response:
    return response_to(
        HTTPStatus.UPGRADE_REQUIRED,
        "This is a WebSocket; ask for an upgrade (RFC 6455, 4.1).\n",
    )


def _broken() -> Response:
    return response_to(HTTPStatus.INTERNAL_SERVER_ERROR, FAILED)
