"""What the two ends say to each other before the first frame (RFC 6455, section 4)."""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus

from .headers import Headers
from .typing import StatusLike

__all__ = ["Request", "Response", "response_to"]


@dataclass
class Request:
    """The request with which a client asks for a connection.

    Attributes:
        path: The path as the client wrote it, percent-encoded, with the query.
        headers: All headers.
        method: Always ``GET``.
        protocol: Always ``HTTP/1.1``.
    """

    path: str
    headers: Headers = field(default_factory=Headers)
    method: str = "GET"
    protocol: str = "HTTP/1.1"


@dataclass
class Response:
    """A server's answer.

    Attributes:
        status_code: The HTTP status: 101 when the connection was opened.
        reason_phrase: The words beside it.
        headers: All headers.
        body: What follows them when the connection was refused, up to 64 KiB.
    """

    status_code: int
    reason_phrase: str
    headers: Headers = field(default_factory=Headers)
    body: bytes = b""


def response_to(status: StatusLike, text: str) -> Response:
    """A response in plain text."""
    status = HTTPStatus(status)
    body = text.encode()
    headers = Headers(
        [
            ("Connection", "close"),
            ("Content-Length", str(len(body))),
            ("Content-Type", "text/plain; charset=utf-8"),
        ]
    )
    return Response(status.value, status.phrase, headers, body)
