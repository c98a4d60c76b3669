"""Blocking WebSocket clients and servers.

A client::

    import talkws

    with talkws.connect("ws://localhost:8080/talk-to-server") as ws:
        ws.send("Hello from client!")
        print("Received:", ws.recv())

A server, which answers one client after the other::

    import talkws

    with talkws.listen("ws://localhost:8080/talk-to-server") as listener:
        for pending in listener:
            with pending.upgrade() as ws:
                for message in ws:
                    print("Message:", message)
                    ws.send("Hello from server!")

``str`` is text, ``bytes`` is binary. Names are those of ``websockets.sync`` wherever the meaning
is the same. Everything may be called from any thread at any time: one thread may wait in
:meth:`Connection.recv` while others :meth:`Connection.send`. Whatever waits releases the GIL, and
Ctrl-C ends it: the connection goes on as if the call had not been made.

Exceptions are in :mod:`talkws.exceptions`; besides them there is ``TimeoutError`` when time is
up, ``OSError`` for the network, and ``ValueError`` or ``TypeError`` for arguments that cannot be.
"""

from __future__ import annotations

from ._talkws import (
    ClientConnection,
    Connection,
    Listener,
    PendingConnection,
    ServerConnection,
    __version__,
    connect,
    listen,
)
from .close import Close, CloseCode
from .exceptions import (
    ConcurrencyError,
    ConnectionClosed,
    ConnectionClosedError,
    ConnectionClosedOK,
    InvalidHandshake,
    InvalidMessage,
    InvalidState,
    InvalidStatus,
    InvalidURI,
    ListenerClosed,
    NegotiationError,
    PayloadTooBig,
    ProtocolError,
    WebSocketException,
)
from .handshake import Request, Response
from .headers import Headers, HeadersLike, MultipleValuesError

__all__ = [
    "ClientConnection",
    "Close",
    "CloseCode",
    "ConcurrencyError",
    "Connection",
    "ConnectionClosed",
    "ConnectionClosedError",
    "ConnectionClosedOK",
    "Headers",
    "HeadersLike",
    "InvalidHandshake",
    "InvalidMessage",
    "InvalidState",
    "InvalidStatus",
    "InvalidURI",
    "Listener",
    "ListenerClosed",
    "MultipleValuesError",
    "NegotiationError",
    "PayloadTooBig",
    "PendingConnection",
    "ProtocolError",
    "Request",
    "Response",
    "ServerConnection",
    "WebSocketException",
    "__version__",
    "connect",
    "listen",
]
