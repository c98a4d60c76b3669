# What each of these does stands in its docstring, which comes from the Rust sources.

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Literal, final

from typing_extensions import Buffer, Self, disjoint_base

from .handshake import Request, Response
from .headers import Headers, HeadersLike

__all__ = [
    "ClientConnection",
    "Connection",
    "Listener",
    "PendingConnection",
    "ServerConnection",
    "__version__",
    "connect",
    "listen",
]

__version__: str

@disjoint_base
class Connection:
    def send(self, message: str | Buffer) -> None: ...
    def recv(self, timeout: float | None = None) -> str | bytes: ...
    def close(self, code: int = 1000, reason: str = "") -> None: ...
    def ping(self, data: str | Buffer | None = None) -> None: ...
    @property
    def close_code(self) -> int | None: ...
    @property
    def close_reason(self) -> str | None: ...
    @property
    def subprotocol(self) -> str | None: ...
    @property
    def request(self) -> Request: ...
    @property
    def response(self) -> Response | None: ...
    @property
    def local_address(self) -> Any: ...
    @property
    def remote_address(self) -> Any: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...
    def __iter__(self) -> Self: ...
    def __next__(self) -> str | bytes: ...

class ClientConnection(Connection): ...
class ServerConnection(Connection): ...

@final
class PendingConnection:
    def upgrade(
        self,
        *,
        subprotocol: str | None = None,
        additional_headers: HeadersLike | None = None,
    ) -> ServerConnection: ...
    def refuse(self, status: int, body: str = "") -> None: ...
    @property
    def path(self) -> str: ...
    @property
    def query(self) -> str | None: ...
    @property
    def headers(self) -> Headers: ...
    @property
    def request(self) -> Request: ...
    @property
    def subprotocols(self) -> list[str]: ...
    @property
    def origin(self) -> str | None: ...
    @property
    def remote_address(self) -> Any: ...

@final
class Listener:
    def accept(self, timeout: float | None = None) -> PendingConnection: ...
    def close(self) -> None: ...
    @property
    def url(self) -> str: ...
    @property
    def port(self) -> int: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...
    def __iter__(self) -> Self: ...
    def __next__(self) -> PendingConnection: ...

def connect(
    uri: str,
    *,
    origin: str | None = None,
    subprotocols: Sequence[str] | None = None,
    additional_headers: HeadersLike | None = None,
    open_timeout: float | None = 10.0,
    close_timeout: float | None = 5.0,
    max_size: int | None = 16777216,
) -> ClientConnection: ...
def listen(
    url: str,
    *,
    origins: Sequence[str] | Literal["same-host"] | None = "same-host",
    subprotocols: Sequence[str] | None = None,
    open_timeout: float | None = 10.0,
    close_timeout: float | None = 5.0,
    max_size: int | None = 16777216,
) -> Listener: ...
