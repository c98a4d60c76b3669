"""Blocking WebSocket clients and servers.

A client::

    import talkws

    with talkws.connect("ws://localhost:8080/talk-to-server") as ws:
        ws.send("Hello from client!")
        print("Received:", ws.recv())

A server, with a thread for each client::

    import talkws

    def answer(ws):
        for message in ws:
            print("Message:", message)
            ws.send("Hello from server!")

    with talkws.serve(answer, "localhost", 8080) as server:
        server.serve_forever()

Or, in the manner of sockets, one client after the other::

    with talkws.listen("ws://localhost:8080/talk-to-server") as listener:
        for pending in listener:
            with pending.upgrade() as ws:
                answer(ws)

``str`` is text, ``bytes`` is binary. Names are those of ``websockets.sync`` wherever the meaning
is the same. Everything may be called from any thread at any time: one thread may wait in
:meth:`Connection.recv` while others :meth:`Connection.send`. Whatever waits releases the GIL, and
Ctrl-C ends it: the connection goes on as if the call had not been made.

Exceptions are in :mod:`talkws.exceptions`; besides them there is ``TimeoutError`` when time is
up, ``OSError`` for the network, and ``ValueError`` or ``TypeError`` for arguments that cannot be.
"""

from __future__ import annotations

from ._talkws import (
    ClientTLS,
    Listener,
    PendingConnection,
    PongEvent,
    Prepared,
    ServerTLS,
    Topics,
    __version__,
)
from .auth import (
    basic_auth,
)
from .broadcasting import (
    broadcast,
)
from .client import (
    ClientConnection,
    connect,
    reconnect,
    unix_connect,
)
from .close import (
    Close,
    CloseCode,
)
from .connection import (
    Connection,
    Part,
    State,
)
from .events import (
    EventHandler,
    EventServer,
    ServeReport,
    serve_events,
)
from .exceptions import (
    ConcurrencyError,
    ConnectionClosed,
    ConnectionClosedError,
    ConnectionClosedOK,
    DuplicateParameter,
    HeaderLineTooLong,
    InvalidHandshake,
    InvalidHeader,
    InvalidHeaderFormat,
    InvalidHeaderValue,
    InvalidMessage,
    InvalidMethod,
    InvalidOrigin,
    InvalidParameterName,
    InvalidParameterValue,
    InvalidProtocol,
    InvalidProxy,
    InvalidProxyMessage,
    InvalidProxyStatus,
    InvalidState,
    InvalidStatus,
    InvalidUpgrade,
    InvalidURI,
    ListenerClosed,
    NegotiationError,
    PayloadTooBig,
    ProtocolError,
    ProxyError,
    RequestLineTooLong,
    SecurityError,
    StatusLineTooLong,
    TooManyFragments,
    TooManyHeaders,
    WebSocketException,
)
from .extensions.permessage_deflate import (
    DeflateParameters,
)
from .handshake import (
    Request,
    Response,
)
from .headers import (
    Headers,
    HeadersLike,
    MultipleValuesError,
)
from .listener import (
    listen,
    listen_systemd,
)
from .server import (
    Server,
    ServerConnection,
    serve,
    unix_serve,
)
from .tls import (
    TLSInfo,
)
from .typing import (
    Data,
    DataLike,
    LoggerLike,
    Origin,
    StatusLike,
    Subprotocol,
)

__all__ = [
    "ClientConnection",
    "ClientTLS",
    "Close",
    "CloseCode",
    "ConcurrencyError",
    "Connection",
    "ConnectionClosed",
    "ConnectionClosedError",
    "ConnectionClosedOK",
    "Data",
    "DataLike",
    "DeflateParameters",
    "DuplicateParameter",
    "EventHandler",
    "EventServer",
    "HeaderLineTooLong",
    "Headers",
    "HeadersLike",
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
    "Listener",
    "ListenerClosed",
    "LoggerLike",
    "MultipleValuesError",
    "NegotiationError",
    "Origin",
    "Part",
    "PayloadTooBig",
    "PendingConnection",
    "PongEvent",
    "Prepared",
    "ProtocolError",
    "ProxyError",
    "Request",
    "RequestLineTooLong",
    "Response",
    "SecurityError",
    "ServeReport",
    "Server",
    "ServerConnection",
    "ServerTLS",
    "State",
    "StatusLike",
    "StatusLineTooLong",
    "Subprotocol",
    "TLSInfo",
    "TooManyFragments",
    "TooManyHeaders",
    "Topics",
    "WebSocketException",
    "__version__",
    "basic_auth",
    "broadcast",
    "connect",
    "listen",
    "listen_systemd",
    "reconnect",
    "serve",
    "serve_events",
    "unix_connect",
    "unix_serve",
]
