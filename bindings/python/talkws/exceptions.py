"""The exceptions of talkws.

::

    WebSocketException
        ConnectionClosed
            ConnectionClosedOK
            ConnectionClosedError
        InvalidURI
        InvalidProxy
        InvalidHandshake
            SecurityError
                RequestLineTooLong
                StatusLineTooLong
                HeaderLineTooLong
                TooManyHeaders
            ProxyError
                InvalidProxyMessage
                InvalidProxyStatus
            InvalidMessage
            InvalidMethod
            InvalidProtocol
            InvalidStatus
            InvalidHeader
                InvalidHeaderFormat
                InvalidHeaderValue
                InvalidOrigin
                InvalidUpgrade
            NegotiationError
                DuplicateParameter
                InvalidParameterName
                InvalidParameterValue
        ProtocolError
        PayloadTooBig
        TooManyFragments
        InvalidState
        ConcurrencyError
        ListenerClosed

:exc:`ProtocolError` and :exc:`PayloadTooBig` say what a peer did wrong: they are the ``__cause__``
of the :exc:`ConnectionClosedError` that ends the connection for it.

The names are those of ``websockets.exceptions``, so that programs may go on to catch them. Those
of extensions, and the finer ones below :exc:`SecurityError` and :exc:`InvalidHeader`, are for
programs to raise: talkws itself says :exc:`InvalidMessage` of an answer that breaks the rules,
:exc:`SecurityError` of a redirect that is not followed, and a server answers a request that breaks
the rules without telling the program.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .close import Close
    from .handshake import Response

__all__ = [
    "ConcurrencyError",
    "ConnectionClosed",
    "ConnectionClosedError",
    "ConnectionClosedOK",
    "DuplicateParameter",
    "HeaderLineTooLong",
    "InvalidHandshake",
    "InvalidHeader",
    "InvalidHeaderFormat",
    "InvalidHeaderValue",
    "InvalidMessage",
    "InvalidMethod",
    "InvalidOrigin",
    "InvalidParameterName",
    "InvalidParameterValue",
    "InvalidProtocol",
    "InvalidProxy",
    "InvalidProxyMessage",
    "InvalidProxyStatus",
    "InvalidState",
    "InvalidStatus",
    "InvalidURI",
    "InvalidUpgrade",
    "ListenerClosed",
    "NegotiationError",
    "PayloadTooBig",
    "ProtocolError",
    "ProxyError",
    "RequestLineTooLong",
    "SecurityError",
    "StatusLineTooLong",
    "TooManyFragments",
    "TooManyHeaders",
    "WebSocketException",
]


class WebSocketException(Exception):
    """The base of all exceptions that are about WebSockets."""


class ConnectionClosed(WebSocketException):
    """The connection is closed, or is being closed.

    Attributes:
        rcvd: What the peer's Close frame said; ``None`` when none came.
        sent: What the Close frame of this end said; ``None`` when none was sent.
        rcvd_then_sent: Whether the peer closed first; ``None`` unless both did.
    """

    def __init__(
        self,
        rcvd: Close | None,
        sent: Close | None,
        rcvd_then_sent: bool | None = None,
    ) -> None:
        self.rcvd = rcvd
        self.sent = sent
        self.rcvd_then_sent = rcvd_then_sent

    def __str__(self) -> str:
        if self.rcvd is not None and self.rcvd_then_sent is False:
            said = f"closed by this end: sent {self.sent}, received {self.rcvd}"
        elif self.rcvd is not None:
            said = f"closed by the peer: received {self.rcvd}"
        elif self.sent is not None:
            said = f"closed by this end: sent {self.sent}, received no Close frame"
        else:
            said = "connection lost: no Close frame sent or received"
        return said if self.__cause__ is None else f"{said}: {self.__cause__}"

    @property
    def code(self) -> int:
        """The code in the peer's Close frame, 1006 when none came."""
        return 1006 if self.rcvd is None else self.rcvd.code

    @property
    def reason(self) -> str:
        """The reason in the peer's Close frame, empty when none came."""
        return "" if self.rcvd is None else self.rcvd.reason


class ConnectionClosedOK(ConnectionClosed):
    """The connection was closed in order: with 1000, 1001 or no code, by both ends."""


class ConnectionClosedError(ConnectionClosed):
    """The connection was closed with another code, or ended without a closing handshake.

    Its ``__cause__`` says what went wrong, when the peer did not say it by a code.
    """


class InvalidURI(WebSocketException):
    """What was given is not the URI of a WebSocket.

    Attributes:
        uri: What was given.
        msg: What is wrong with it.
    """

    def __init__(self, uri: str, msg: str) -> None:
        self.uri = uri
        self.msg = msg

    def __str__(self) -> str:
        return f"URI {self.uri!r}: {self.msg}"


class InvalidProxy(WebSocketException):
    """What was given is not the URI of a proxy.

    Attributes:
        proxy: What was given.
        msg: What is wrong with it.
    """

    def __init__(self, proxy: str, msg: str) -> None:
        self.proxy = proxy
        self.msg = msg

    def __str__(self) -> str:
        return f"proxy {self.proxy!r}: {self.msg}"


class InvalidHandshake(WebSocketException):
    """The opening handshake failed."""


class SecurityError(InvalidHandshake):
    """The opening handshake breaks a rule that is there for safety."""


class RequestLineTooLong(SecurityError):
    """The request line is too long."""


class StatusLineTooLong(SecurityError):
    """The status line is too long."""


class HeaderLineTooLong(SecurityError):
    """A header is too long."""


class TooManyHeaders(SecurityError):
    """There are too many headers."""


class ProxyError(InvalidHandshake):
    """There is no way through the proxy."""


class InvalidProxyMessage(ProxyError):
    """The proxy's answer is not HTTP."""


class InvalidProxyStatus(ProxyError):
    """The proxy refuses to connect.

    Attributes:
        response: The proxy's answer.
    """

    def __init__(self, response: Response, message: str = "") -> None:
        self.response = response
        self._message = message

    def __str__(self) -> str:
        return self._message or f"proxy answered {self.response.status_code}"


class InvalidMessage(InvalidHandshake):
    """The server's answer is not one to a WebSocket's opening handshake."""


class InvalidStatus(InvalidHandshake):
    """The server refused the connection.

    Attributes:
        response: The server's answer: status, headers and body.
    """

    def __init__(self, response: Response, message: str = "") -> None:
        self.response = response
        self._message = message

    def __str__(self) -> str:
        return self._message or f"server answered {self.response.status_code}, not 101"


class InvalidMethod(InvalidHandshake):
    """The request does not say ``GET``."""


class InvalidProtocol(InvalidHandshake):
    """The request or the answer is not HTTP/1.1."""


class InvalidHeader(InvalidHandshake):
    """A header is missing, or does not say what it must.

    Attributes:
        name: Which one.
        value: What it says; ``None`` when it is missing.
    """

    def __init__(self, name: str, value: str | None = None) -> None:
        self.name = name
        self.value = value

    def __str__(self) -> str:
        if self.value is None:
            return f"header {self.name}: it is missing"
        return f"header {self.name}: {self.value!r} will not do"


class InvalidHeaderFormat(InvalidHeader):
    """A header cannot be parsed."""

    def __init__(self, name: str, error: str, header: str, pos: int) -> None:
        super().__init__(name, f"{error} at {pos} in {header}")


class InvalidHeaderValue(InvalidHeader):
    """A header can be parsed, and says what cannot be."""


class InvalidOrigin(InvalidHeader):
    """Pages of this origin may not connect."""

    def __init__(self, origin: str | None) -> None:
        super().__init__("Origin", origin)


class InvalidUpgrade(InvalidHeader):
    """``Upgrade`` or ``Connection`` do not ask for a WebSocket."""


class NegotiationError(InvalidHandshake):
    """The two ends did not agree on a subprotocol or an extension."""


class DuplicateParameter(NegotiationError):
    """A parameter of an extension is there twice.

    Attributes:
        name: Which one.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def __str__(self) -> str:
        return f"parameter {self.name}: it is there twice"


class InvalidParameterName(NegotiationError):
    """An extension has no parameter of that name.

    Attributes:
        name: Which one.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def __str__(self) -> str:
        return f"parameter {self.name}: there is none of that name"


class InvalidParameterValue(NegotiationError):
    """A parameter of an extension does not take that value.

    Attributes:
        name: Which one.
        value: What it says.
    """

    def __init__(self, name: str, value: str | None) -> None:
        self.name = name
        self.value = value

    def __str__(self) -> str:
        return f"parameter {self.name}: {self.value!r} will not do"


class ProtocolError(WebSocketException):
    """The peer broke a rule of the protocol."""


class PayloadTooBig(WebSocketException):
    """The peer sent a message larger than this end takes.

    Attributes:
        size: How many bytes it has, at least.
        max_size: How many bytes it may have.
    """

    def __init__(self, size: int | None, max_size: int | None = None) -> None:
        self.size = size
        self.max_size = max_size

    def __str__(self) -> str:
        return f"a message of at least {self.size} bytes, over the limit of {self.max_size}"


class TooManyFragments(WebSocketException):
    """A message came in too many fragments."""


class InvalidState(WebSocketException, AssertionError):
    """The call does not fit what has happened before."""


class ConcurrencyError(WebSocketException, RuntimeError):
    """The call does not fit what is going on at this time."""


class ListenerClosed(WebSocketException):
    """The listener was closed: nobody will be accepted any more."""
