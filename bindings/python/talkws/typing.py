"""The types that stand in signatures."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Literal, Union

if sys.version_info >= (3, 12):
    from collections.abc import Buffer
elif TYPE_CHECKING:
    from typing_extensions import Buffer
else:
    Buffer = Any

__all__ = [
    "Buffer",
    "Data",
    "DataLike",
    "Forwarding",
    "LoggerLike",
    "Message",
    "Origin",
    "PathLike",
    "StatusLike",
    "Subprotocol",
]

Data = Union[str, bytes]
"""What is received."""

DataLike = Union[str, Buffer]
"""What is sent."""

# stubtest takes a Literal of several for a Union, which it is not until this is one.
Forwarding = Union[  # noqa: PYI030
    Literal["Forwarded"], Literal["X-Forwarded-For"], Literal["PROXY"]
]
"""How proxies in front of a server say who their client is."""

Message = Union[DataLike, Iterable[DataLike]]
"""What is sent, at once or in parts."""

LoggerLike = Union[logging.Logger, "logging.LoggerAdapter[Any]"]
"""A logger, or an adapter of one."""

Origin = str
"""Where a web page comes from, such as ``https://example.org``."""

PathLike = Union[str, "os.PathLike[str]"]
"""A path in the file system."""

StatusLike = Union[HTTPStatus, int]
"""A status of HTTP."""

Subprotocol = str
"""The name of a subprotocol."""
