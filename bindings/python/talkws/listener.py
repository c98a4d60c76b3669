"""Listening, for programs that accept by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from . import _talkws
from .extensions.permessage_deflate import ServerPerMessageDeflateFactory
from .options import MaxQueue, deflate_of, max_queue_of
from .tls import server_tls_of
from .typing import Forwarding

__all__ = ["listen", "listen_systemd"]


def listen(
    url: str,
    *,
    ssl: _talkws.ServerTLS | None = None,
    origins: Sequence[str] | Literal["same-host"] | None = "same-host",
    extensions: Sequence[ServerPerMessageDeflateFactory] | None = None,
    subprotocols: Sequence[str] | None = None,
    compression: str | None = "deflate",
    unix_mode: int | None = None,
    trusted_proxies: Sequence[str] | None = None,
    forwarding: Forwarding | None = None,
    open_timeout: float | None = 10.0,
    ping_interval: float | None = 20.0,
    ping_timeout: float | None = 20.0,
    close_timeout: float | None = 5.0,
    max_size: int | None = 16_777_216,
    max_queue: MaxQueue = 16,
) -> _talkws.Listener:
    """Listen for WebSocket clients at ``url``, such as ``ws://localhost:8080/talk-to-server``.

    Port 0 takes a free one, see :attr:`Listener.port`. The path is the only one that is served,
    others get 404; a URL without a path, such as ``ws://localhost:8080``, serves all::

        with talkws.listen("ws://localhost:8080/talk-to-server") as listener:
            for pending in listener:
                with pending.upgrade() as ws:
                    print(ws.recv())
                    ws.send("Hello from server!")

    ``ws+unix:///run/app.sock:/talk-to-server`` listens on a Unix socket. A file of that name is
    replaced when it is a socket on which nobody listens any more; closing the listener removes its
    own. On Linux, ``ws+unix:@name:/talk-to-server`` is an abstract one, which has no file.

    Args:
        url: Where to listen.
        ssl: A :class:`ServerTLS`, to speak TLS with all clients: then ``url`` begins with ``wss``.
        origins: From which web pages browsers may connect; others get 403. ``"same-host"``: those
            of this very server. A sequence: these origins. ``None``: all. A client that sends no
            ``Origin`` is no browser, and not concerned.
        extensions: As for :func:`serve`.
        subprotocols: Subprotocols to agree on, the preferred one first.
        compression: As for :func:`serve`.
        unix_mode: The permissions of a Unix socket's file, such as ``0o660``: who may write to it
            may connect. ``None`` is what the umask leaves.
        trusted_proxies: Proxies in front of this server that are believed who their client is:
            addresses, networks such as ``10.0.0.0/8``, or ``unix`` for whoever comes through a Unix
            socket. ``remote_address`` is the client's then.
        forwarding: How they say it, all in the same way: in the header ``"Forwarded"`` (RFC 7239) or
            ``"X-Forwarded-For"``, or by the ``"PROXY"`` protocol of HAProxy, with which each of
            their connections must begin. Choose what they set: they may let other headers pass
            as the client has sent them.
        open_timeout: Seconds that a client may take for its request. ``None`` waits for ever.
        ping_interval: Seconds of silence after which a Ping is sent. ``None`` sends none.
        ping_timeout: Seconds of silence after that, until a connection is given up. ``None``
            never gives up.
        close_timeout: Seconds that closing a connection waits for the peer. ``None`` waits for
            ever.
        max_size: The largest message that may be received, in bytes. ``None`` for no limit.
        max_queue: As for :func:`connect`.

    Raises:
        InvalidURI: If ``url`` cannot be listened on.
        OSError: If the system does not allow it, or the address is in use.
    """
    return _listen(
        url,
        None,
        ssl=ssl,
        origins=origins,
        extensions=extensions,
        subprotocols=subprotocols,
        compression=compression,
        unix_mode=unix_mode,
        trusted_proxies=trusted_proxies,
        forwarding=forwarding,
        open_timeout=open_timeout,
        ping_interval=ping_interval,
        ping_timeout=ping_timeout,
        close_timeout=close_timeout,
        max_size=max_size,
        max_queue=max_queue,
    )


def listen_systemd(name: str | None = None, **kwargs: Any) -> _talkws.Listener:
    """Listen on the sockets that systemd has opened for this process by a socket unit.

    All paths are served. Each socket can be taken once.

    Args:
        name: Only those of this name (``FileDescriptorName=``, which is that of the unit unless
            given). ``None`` for all.
        kwargs: As for :func:`listen`.

    Raises:
        FileNotFoundError: If there are none.
        OSError: If one is no socket.
    """
    if kwargs.get("unix_mode") is not None:
        raise ValueError("unix_mode: systemd has made the file; see SocketMode=")
    return _listen("", (name,), **kwargs)


def _listen(
    url: str,
    systemd: tuple[str | None] | None,
    *,
    ssl: _talkws.ServerTLS | None = None,
    origins: Sequence[str] | Literal["same-host"] | None = "same-host",
    extensions: Sequence[ServerPerMessageDeflateFactory] | None = None,
    subprotocols: Sequence[str] | None = None,
    compression: str | None = "deflate",
    unix_mode: int | None = None,
    trusted_proxies: Sequence[str] | None = None,
    forwarding: Forwarding | None = None,
    open_timeout: float | None = 10.0,
    ping_interval: float | None = 20.0,
    ping_timeout: float | None = 20.0,
    close_timeout: float | None = 5.0,
    max_size: int | None = 16_777_216,
    max_queue: MaxQueue = 16,
) -> _talkws.Listener:
    _talkws.listen_to_core()
    return _talkws.listen(
        url,
        descriptors=None,
        tls=server_tls_of(ssl),
        origins=origins,
        subprotocols=subprotocols,
        require_subprotocol=False,
        plain_requests=False,
        unix_mode=unix_mode,
        trusted_proxies=trusted_proxies,
        forwarding=forwarding,
        systemd=systemd,
        open_timeout=open_timeout,
        close_timeout=close_timeout,
        keepalive=(ping_interval, ping_timeout),
        max_size=max_size,
        max_queue=max_queue_of(max_queue),
        deflate=deflate_of(compression, extensions, ServerPerMessageDeflateFactory),
    )
