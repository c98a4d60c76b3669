"""Sockets that the program makes itself, or says how to make, on both sides."""

from __future__ import annotations

import errno
import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import talkws
from peers import (
    PATIENCE,
    RawServer,
    echo,
    exchange,
    in_thread,
    needs_ipv6,
    serving,
)


@pytest.fixture
def echo_server() -> Iterator[talkws.Server]:
    with serving(echo) as server:
        yield server


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a Unix socket may be: its whole path must be short."""
    monkeypatch.chdir(tmp_path)
    return Path("socket")


def connected_to(server: talkws.Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), PATIENCE)


def descriptors() -> int:
    return len(os.listdir("/dev/fd"))


def check(client: talkws.ClientConnection) -> None:
    client.send("hello")
    assert client.recv(PATIENCE) == "hello"


@pytest.mark.parametrize("timeout", [None, 0.001, 0], ids=str)
def test_a_connected_socket_is_taken_over(
    echo_server: talkws.Server, timeout: float | None
) -> None:
    sock = connected_to(echo_server)
    name = sock.getsockname()
    # Its own timeout is none of the connection.
    sock.settimeout(timeout)
    with talkws.connect("ws://example.com/path", sock=sock) as client:
        assert sock.fileno() == -1
        assert client.local_address == name
        assert client.request is not None
        assert client.request.headers["Host"] == "example.com"
        with pytest.raises(TimeoutError):
            client.recv(0.01)
        check(client)


def test_what_cannot_be_taken_over_is_said(echo_server: talkws.Server) -> None:
    closed = connected_to(echo_server)
    closed.close()
    with pytest.raises(ValueError, match="closed"):
        talkws.connect(echo_server.url, sock=closed)
    with pytest.raises(OSError, match="sending the request"):
        talkws.connect(echo_server.url, sock=socket.socket())
    with pytest.raises(TypeError, match="source_address and sock exclude"):
        with connected_to(echo_server) as sock:
            talkws.connect(echo_server.url, sock=sock, source_address=("", 0))


def test_a_tls_socket_is_refused(echo_server: talkws.Server) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    sock = connected_to(echo_server)
    with context.wrap_socket(
        sock, server_hostname="localhost", do_handshake_on_connect=False
    ) as wrapped:
        with pytest.raises(NotImplementedError, match="SSLSocket"):
            talkws.connect(echo_server.url, sock=wrapped)
    listening = socket.create_server(("127.0.0.1", 0))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with context.wrap_socket(listening, server_side=True) as wrapped:
        with pytest.raises(NotImplementedError, match="SSLSocket"):
            talkws.serve(echo, sock=wrapped)
        # It stays whose it was.
        assert wrapped.fileno() >= 0


def test_a_failure_leaves_no_descriptor(raw_server: RawServer) -> None:
    def fail(answer: bytes, kind: type[Exception], **options: Any) -> None:
        before = descriptors()
        address = raw_server.socket.getsockname()
        sock = socket.create_connection(address)
        answering = in_thread(lambda: raw_server.accept_and_answer(answer))
        with pytest.raises(kind):
            if answer:
                talkws.connect(raw_server.url, sock=sock, **options)
            else:
                talkws.connect(raw_server.url, sock=sock, open_timeout=0.01, **options)
        answering.result(PATIENCE).stream.close()
        assert sock.fileno() == -1
        assert descriptors() == before

    fail(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", talkws.InvalidStatus)
    fail(b"nonsense\r\n\r\n", talkws.InvalidMessage)
    fail(b"", TimeoutError)


def test_a_source_address_is_connected_from(echo_server: talkws.Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        source = free.getsockname()
    with talkws.connect(echo_server.url, source_address=source) as client:
        assert client.local_address == source
        check(client)


def test_another_address_may_be_connected_to(echo_server: talkws.Server) -> None:
    address = ("127.0.0.1", echo_server.port)
    with talkws.connect("ws://no-such-host.invalid/", address=address) as client:
        assert client.request is not None
        assert client.request.headers["Host"] == "no-such-host.invalid"
        check(client)


@pytest.mark.parametrize(
    ("uri", "kind"),
    [
        ("http://127.0.0.1/", talkws.InvalidURI),
        ("ws://127.0.0.1:99999/", talkws.InvalidURI),
        ("ws://[::1/", talkws.InvalidURI),
        ("ws:///", talkws.InvalidURI),
        ("", talkws.InvalidURI),
    ],
)
def test_what_is_no_uri_is_said_before_anything_is_opened(
    uri: str, kind: type[Exception]
) -> None:
    with pytest.raises(kind):
        talkws.connect(uri, source_address=("127.0.0.1", 0))


def test_a_listening_socket_may_be_served() -> None:
    sock = socket.create_server(("127.0.0.1", 0))
    with serving(echo, sock=sock) as server:
        assert server.socket is sock
        assert server.port == sock.getsockname()[1]
        exchange(server.url)
    assert sock.fileno() == -1


@pytest.mark.parametrize(
    "options", [{"host": ""}, {"port": 0}, {"reuse_port": True}, {"open_timeout": "x"}]
)
def test_a_socket_that_is_not_served_stays_open(options: dict[str, Any]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        with pytest.raises((TypeError, ValueError)):
            talkws.serve(echo, sock=sock, **options)
        assert sock.fileno() >= 0


def test_a_connected_socket_may_be_served_as_the_only_client() -> None:
    ours, theirs = socket.socketpair()
    with theirs, talkws.serve(echo, sock=ours) as server:

        def talk() -> None:
            with talkws.connect("ws://localhost/", sock=theirs) as client:
                check(client)

        client = in_thread(talk)
        server.serve_forever()
        server.shutdown(close_connections=False)
        client.result(PATIENCE)


def test_only_a_listening_socket_can_be_served() -> None:
    with socket.socket() as sock:
        with pytest.raises(ValueError, match="does not listen"):
            talkws.serve(echo, sock=sock)
    with pytest.raises(ValueError, match="closed"):
        talkws.serve(echo, sock=sock)


def test_one_family_may_be_chosen() -> None:
    with serving(echo, "localhost", 0, family=socket.AF_INET) as server:
        assert [one.family for one in server.sockets] == [socket.AF_INET]
        exchange(f"ws://127.0.0.1:{server.port}")


@needs_ipv6
def test_one_socket_may_be_there_for_both_families() -> None:
    with serving(echo, None, 0, dualstack_ipv6=True) as server:
        assert [one.family for one in server.sockets] == [socket.AF_INET6]
        exchange(f"ws://127.0.0.1:{server.port}")
        exchange(f"ws://[::1]:{server.port}")
    with pytest.raises(ValueError):
        talkws.serve(echo, None, 0, dualstack_ipv6=True, family=socket.AF_INET)


def test_a_port_may_be_shared() -> None:
    with serving(echo, "127.0.0.1", 0, reuse_port=True) as first:
        with serving(echo, "127.0.0.1", first.port, reuse_port=True) as second:
            for _ in range(10):
                exchange(second.url)


@pytest.mark.parametrize("uri", [None, "ws://example.com/chat"])
def test_a_unix_socket_carries_web_sockets(path: Path, uri: str | None) -> None:
    seen = []

    def handler(connection: talkws.ServerConnection) -> None:
        seen.append((connection.request.path, connection.request.headers["Host"]))
        assert connection.remote_address is None
        echo(connection)

    with talkws.unix_serve(handler, path) as server:
        serving = in_thread(server.serve_forever)
        assert server.fileno() >= 0
        assert "talkws.Server" in repr(server)
        with talkws.unix_connect(path, uri) as client:
            assert client.local_address is None
            check(client)
    serving.result(PATIENCE)
    assert seen == [("/chat", "example.com") if uri else ("/", "localhost")]
    assert path.exists()


def test_unix_sockets_may_be_given(path: Path) -> None:
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    listening.listen()
    with talkws.unix_serve(echo, sock=listening) as server:
        serving = in_thread(server.serve_forever)
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(str(path))
        with talkws.unix_connect(sock=sock) as client:
            check(client)
    serving.result(PATIENCE)
    assert listening.fileno() == -1


def test_a_unix_socket_that_cannot_be_is_an_os_error(path: Path) -> None:
    before = descriptors()
    with pytest.raises(FileNotFoundError):
        talkws.unix_connect(path)
    with closing(socket.socket(socket.AF_UNIX)) as nobody:
        nobody.bind(str(path))
        with pytest.raises(ConnectionRefusedError):
            talkws.unix_connect(path)
    with pytest.raises(OSError) as caught:
        talkws.unix_serve(echo, path)
    assert caught.value.errno == errno.EADDRINUSE
    # It was there before, and belongs to somebody else.
    assert path.exists()
    assert descriptors() == before


@pytest.mark.parametrize(
    "options", [{"compression": "gzip"}, {"max_queue": 0}, {"no_such_option": 1}]
)
def test_options_that_cannot_be_leave_no_unix_socket(
    path: Path, options: dict[str, Any]
) -> None:
    before = descriptors()
    with pytest.raises((TypeError, ValueError, NotImplementedError)):
        talkws.unix_serve(echo, path, **options)
    assert not path.exists()
    with talkws.unix_serve(echo, path):
        within = descriptors()
        with pytest.raises((TypeError, ValueError, NotImplementedError)):
            talkws.unix_connect(path, **options)
        assert descriptors() == within
    assert descriptors() == before


def test_either_path_or_socket_is_needed(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        for options in ({}, {"path": path, "sock": sock}):
            with pytest.raises(ValueError, match="either path or sock"):
                talkws.unix_connect(**options)  # type: ignore[arg-type]
            with pytest.raises(ValueError, match="either path or sock"):
                talkws.unix_serve(echo, **options)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="connects once"):
        talkws.unix_connect(path, legacy=False)


def test_a_unix_socket_has_a_url(path: Path) -> None:
    url = f"ws+unix:{path}:/chat"
    with talkws.listen(url, unix_mode=0o640) as listener:
        assert (listener.url, listener.port) == (url, 0)
        assert path.stat().st_mode & 0o777 == 0o640
        dialled = in_thread(lambda: talkws.connect(f"{url}?room=1"))
        server = listener.accept(PATIENCE).upgrade()
        client = dialled.result(PATIENCE)
        assert client.request.path == "/chat?room=1"
        assert server.remote_address is None
        client.send("hello")
        assert server.recv(PATIENCE) == "hello"
        closed = in_thread(client.close)
        assert server.wait_closed(PATIENCE)
        closed.result(PATIENCE)
    assert not path.exists()
    with pytest.raises(ValueError, match="unix_mode=0o1000"):
        talkws.listen(url, unix_mode=0o1000)
    with pytest.raises(FileNotFoundError, match="socket"):
        talkws.connect(url)
