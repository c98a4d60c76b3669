# What each of these does stands in its docstring, which comes from the Rust sources.

from collections.abc import Callable, Sequence
from os import PathLike
from types import TracebackType
from typing import Any, Literal, final, overload

from typing_extensions import Buffer, Self, disjoint_base

from .extensions.permessage_deflate import Deflate
from .handshake import Request, Response
from .headers import Headers, HeadersLike
from .server import ServerConnection
from .tls import TLSInfo
from .typing import Data, DataLike, Forwarding, Message

__all__ = [
    "ClientTLS",
    "Connection",
    "Dialled",
    "Listener",
    "PendingConnection",
    "PongEvent",
    "Prepared",
    "ServerTLS",
    "Topics",
    "__version__",
    "check_close",
    "dial",
    "listen",
    "listen_to_core",
    "offer",
]

__version__: str

@disjoint_base
class Connection:
    def __new__(
        cls, opening: Dialled | PendingConnection, *_args: Any, **_kwargs: Any
    ) -> Self: ...
    def _upgrade(
        self, subprotocol: str | None, headers: HeadersLike | None
    ) -> None: ...
    def _recv_part(self) -> tuple[bytes, bool, bool]: ...
    def _recv_into(
        self, buffer: Buffer, timeout: float | None
    ) -> tuple[int, bool, bool]: ...
    def _state(self) -> int: ...
    def _deflate_parameters(self) -> tuple[bool, bool, int, int] | None: ...
    def send(
        self, message: Message, text: bool | None = None, *, compress: bool = True
    ) -> None: ...
    @overload
    def recv(self, timeout: float | None, decode: Literal[True]) -> str: ...
    @overload
    def recv(self, timeout: float | None, decode: Literal[False]) -> bytes: ...
    @overload
    def recv(self, timeout: float | None = None, *, decode: Literal[True]) -> str: ...
    @overload
    def recv(
        self, timeout: float | None = None, *, decode: Literal[False]
    ) -> bytes: ...
    @overload
    def recv(
        self, timeout: float | None = None, decode: bool | None = None
    ) -> Data: ...
    def send_prepared(self, message: Prepared) -> None: ...
    def set_backlog(self, limit: int = 1048576, policy: str = "wait") -> None: ...
    @property
    def backlog(self) -> int: ...
    @property
    def messages_dropped(self) -> int: ...
    def close(self, code: int = 1000, reason: str = "") -> None: ...
    def wait_closed(self, timeout: float | None = None) -> bool: ...
    def ping(
        self, data: DataLike | None = None, *, ack_on_close: bool = False
    ) -> PongEvent: ...
    def pong(self, data: DataLike | None = None) -> None: ...
    def fileno(self) -> int: ...
    @property
    def latency(self) -> float: ...
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
    def tls(self) -> TLSInfo | None: ...
    @property
    def local_address(self) -> Any: ...
    @property
    def remote_address(self) -> Any: ...
    @property
    def direct_remote_address(self) -> Any: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> None: ...
    def __iter__(self) -> Self: ...
    def __next__(self) -> Data: ...

@final
class PongEvent:
    def wait(self, timeout: float | None = None) -> bool: ...
    def is_set(self) -> bool: ...

@final
class Dialled: ...

@final
class PendingConnection:
    def upgrade(
        self,
        *,
        subprotocol: str | None = None,
        additional_headers: HeadersLike | None = None,
    ) -> ServerConnection: ...
    def refuse(
        self,
        status: int,
        body: DataLike | None = None,
        *,
        additional_headers: HeadersLike | None = None,
    ) -> None: ...
    def _response(
        self, subprotocol: str | None, headers: HeadersLike | None
    ) -> Response: ...
    @property
    def is_upgrade(self) -> bool: ...
    @property
    def tls(self) -> TLSInfo | None: ...
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
    @property
    def direct_remote_address(self) -> Any: ...

@final
class Listener:
    def accept(self, timeout: float | None = None) -> PendingConnection: ...
    def close(self) -> None: ...
    def reload_tls(self) -> None: ...
    def _serve(
        self,
        threads: int,
        *,
        request: Callable[[PendingConnection], Connection | None],
        opened: Callable[[Any], object],
        message: Callable[[Any, Any], object],
        failed: Callable[[Any, BaseException], object],
        ended: Callable[[Any], object],
    ) -> tuple[int, int]: ...
    def _shutdown(self, code: int, reason: str, timeout: float) -> None: ...
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

@final
class Prepared:
    def __new__(cls, message: DataLike, text: bool | None = None) -> Self: ...
    def __len__(self) -> int: ...

@final
class Topics:
    def __new__(cls) -> Self: ...
    def subscribe(self, topic: str, connection: Connection) -> bool: ...
    def unsubscribe(self, topic: str, connection: Connection) -> bool: ...
    def unsubscribe_all(self, connection: Connection) -> int: ...
    def publish(self, topic: str, message: Prepared) -> tuple[int, int, int]: ...
    def subscribers(self, topic: str) -> int: ...

@final
class ClientTLS:
    def __new__(
        cls,
        *,
        ca_file: str | PathLike[str] | None = None,
        ca_data: bytes | None = None,
        system_cas: bool | None = None,
        crl_file: str | PathLike[str] | None = None,
        certificate: tuple[str | PathLike[str], str | PathLike[str]] | None = None,
        minimum_version: str = "TLSv1.2",
        pins: Sequence[str] | None = None,
        danger_accept_any_certificate: bool = False,
    ) -> Self: ...

@final
class ServerTLS:
    def __new__(
        cls,
        certificates: tuple[str | PathLike[str], str | PathLike[str]]
        | Sequence[tuple[str | PathLike[str], str | PathLike[str]]],
        *,
        client_auth: str = "none",
        client_ca_file: str | PathLike[str] | None = None,
        crl_file: str | PathLike[str] | None = None,
        minimum_version: str = "TLSv1.2",
    ) -> Self: ...

def dial(
    uri: str,
    *,
    descriptor: int | None,
    tls: ClientTLS | None,
    server_hostname: str | None,
    origin: str | None,
    subprotocols: Sequence[str] | None,
    headers: HeadersLike | None,
    proxy: str | Literal[True] | None,
    proxy_tls: ClientTLS | None,
    proxy_server_hostname: str | None,
    max_redirects: int,
    open_timeout: float | None,
    close_timeout: float | None,
    keepalive: tuple[float | None, float | None],
    max_size: int | None,
    max_queue: int | None,
    deflate: Deflate | None,
) -> Dialled: ...
def listen(
    url: str,
    *,
    descriptors: Sequence[int] | None,
    tls: ServerTLS | None,
    origins: Sequence[str] | Literal["same-host"] | None,
    subprotocols: Sequence[str] | None,
    require_subprotocol: bool,
    plain_requests: bool,
    unix_mode: int | None,
    trusted_proxies: Sequence[str] | None,
    forwarding: Forwarding | None,
    systemd: tuple[str | None] | None,
    open_timeout: float | None,
    close_timeout: float | None,
    keepalive: tuple[float | None, float | None],
    max_size: int | None,
    max_queue: int | None,
    deflate: Deflate | None,
) -> Listener: ...
def offer(connections: Sequence[Connection], message: Prepared) -> list[int]: ...
def check_close(code: int, reason: str) -> None: ...
def listen_to_core() -> None: ...
