"""Why a connection was closed: codes and reasons (RFC 6455, section 7.4)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

__all__ = ["Close", "CloseCode"]


class CloseCode(IntEnum):
    """The codes that have a meaning of their own.

    1005, 1006 and 1015 are never sent: they stand for what happened instead of a code.
    """

    NORMAL_CLOSURE = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    UNSUPPORTED_DATA = 1003
    NO_STATUS_RCVD = 1005
    ABNORMAL_CLOSURE = 1006
    INVALID_DATA = 1007
    POLICY_VIOLATION = 1008
    MESSAGE_TOO_BIG = 1009
    MANDATORY_EXTENSION = 1010
    INTERNAL_ERROR = 1011
    SERVICE_RESTART = 1012
    TRY_AGAIN_LATER = 1013
    BAD_GATEWAY = 1014
    TLS_HANDSHAKE = 1015


@dataclass
class Close:
    """What a Close frame says.

    Attributes:
        code: Why, as a number.
        reason: Why, in words; often empty.

    Examples:
        >>> print(Close(CloseCode.GOING_AWAY, "see you"))
        1001 (going away) see you
        >>> print(Close(4000, ""))
        4000 (private use)
    """

    code: int
    reason: str

    def __str__(self) -> str:
        said = f"{self.code} ({_meaning(self.code)})"
        return f"{said} {self.reason}" if self.reason else said


def _meaning(code: int) -> str:
    if 3000 <= code < 4000:
        return "registered"
    if 4000 <= code < 5000:
        return "private use"
    try:
        return CloseCode(code).name.lower().replace("_", " ")
    except ValueError:
        return "unknown"
