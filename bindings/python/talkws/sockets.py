"""Listening sockets: one for each address of a host."""

from __future__ import annotations

import errno
import socket
from typing import Any

__all__ = ["create_servers"]

# How often a free port is looked for that is free at every address.
_ATTEMPTS = 16


def create_servers(
    host: str | None, port: int | None, **kwargs: Any
) -> list[socket.socket]:
    """Listen at every address of a host, all on one port; 0 or ``None`` takes a free one.

    Args:
        host: A name or address; ``None`` or empty for every interface.
        port: The port.
        kwargs: What else :func:`socket.create_server` takes.
    """
    kwargs.setdefault("backlog", 1024)
    if kwargs.get("dualstack_ipv6"):
        # One socket for both families.
        kwargs.setdefault("family", socket.AF_INET6)
        return [socket.create_server((host or "", port or 0), **kwargs)]
    family = kwargs.pop("family", socket.AF_UNSPEC)
    found = socket.getaddrinfo(
        host or None,
        port or 0,
        family=family,
        type=socket.SOCK_STREAM,
        flags=socket.AI_PASSIVE,
    )
    # IPv4 comes first; what the resolver names twice is listened at once.
    addresses = sorted({(info[0], info[4]) for info in found}, key=lambda a: a[0])
    attempts = 1 if port else _ATTEMPTS
    while True:
        attempts -= 1
        try:
            return _create_all(addresses, kwargs)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or not attempts:
                raise


def _create_all(addresses: list[Any], kwargs: dict[str, Any]) -> list[socket.socket]:
    sockets: list[socket.socket] = []
    unusable: OSError | None = None
    try:
        for family, address in addresses:
            if sockets:
                address = (address[0], sockets[0].getsockname()[1], *address[2:])
            try:
                sockets.append(socket.create_server(address, family=family, **kwargs))
            except OSError as error:
                # A host may have addresses of a family that this machine does not speak.
                if error.errno not in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}:
                    raise
                unusable = error
    except BaseException:
        for listening in sockets:
            listening.close()
        raise
    if not sockets:
        raise unusable or OSError(f"listen: {addresses}: no address")
    return sockets
