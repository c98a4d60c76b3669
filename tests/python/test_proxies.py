"""Proxies: those of Debian, and which of them is chosen."""

from __future__ import annotations

import socket
import ssl
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import talkws
from certificates import make
from peers import echo, serving
from services import free_port, running_service

# tinyproxy takes no more than these characters.
USER, PASSWORD = "talkws", "p4ssw0rd"
URL_USER = f"{USER}:{PASSWORD}"

TLS_TAKER = """
global
    log stderr local0 emerg
defaults
    mode tcp
    timeout connect 10s
    timeout client 60s
    timeout server 60s
listen proxy
    bind 127.0.0.1:{port} ssl crt {both}
    server one 127.0.0.1:{behind}
"""


def microsocks(port: int, directory: Path) -> Sequence[str]:
    return ["microsocks", "-i", "127.0.0.1", "-p", str(port)]


def microsocks_with_user(port: int, directory: Path) -> Sequence[str]:
    return [*microsocks(port, directory), "-u", USER, "-P", PASSWORD]


def tinyproxy(port: int, directory: Path) -> Sequence[str]:
    config = directory / "tinyproxy.conf"
    config.write_text(f"Port {port}\nListen 127.0.0.1\nTimeout 60\nMaxClients 10\n")
    return ["tinyproxy", "-d", "-c", str(config)]


def tinyproxy_with_user(port: int, directory: Path) -> Sequence[str]:
    command = tinyproxy(port, directory)
    with open(command[-1], "a", encoding="utf-8") as config:
        config.write(f"BasicAuth {USER} {PASSWORD}\n")
    return command


def squid(port: int, directory: Path) -> Sequence[str]:
    config = directory / "squid.conf"
    config.write_text(
        f"""http_port 127.0.0.1:{port}
acl CONNECT method CONNECT
acl forbidden port 9
http_access deny forbidden
http_access allow CONNECT
http_access deny all
cache deny all
pid_filename {directory}/squid.pid
access_log none
cache_log {directory}/cache.log
coredump_dir {directory}
pinger_enable off
shutdown_lifetime 0 seconds
"""
    )
    directory.chmod(0o777)
    return ["squid", "-N", "-f", str(config)]


def danted(port: int, directory: Path) -> Sequence[str]:
    config = directory / "danted.conf"
    config.write_text(
        f"""logoutput: {directory}/danted.log
internal: 127.0.0.1 port = {port}
external: 127.0.0.1
socksmethod: none
clientmethod: none
client pass {{ from: 127.0.0.0/8 to: 0.0.0.0/0 }}
socks block {{ from: 127.0.0.0/8 to: 0.0.0.0/0 port = 9 }}
socks pass {{ from: 127.0.0.0/8 to: 0.0.0.0/0 }}
"""
    )
    return ["danted", "-f", str(config), "-p", str(directory / "danted.pid")]


# A proxy, and by which URLs it is reached.
PROXIES = {
    "microsocks": (microsocks, ["socks5://", "socks5h://"]),
    "microsocks with a user": (
        microsocks_with_user,
        [f"socks5://{URL_USER}@", f"socks5h://{URL_USER}@"],
    ),
    "danted": (danted, ["socks5://", "socks5h://"]),
    "tinyproxy": (tinyproxy, ["http://", ""]),
    "tinyproxy with a user": (tinyproxy_with_user, [f"http://{URL_USER}@"]),
    "squid": (squid, ["http://"]),
}


@contextmanager
def proxy_running(name: str) -> Iterator[int]:
    make, _ = PROXIES[name]
    # Short-lived, and readable by the users that proxies become.
    with tempfile.TemporaryDirectory(prefix="talkws-proxy-") as directory:
        port = free_port()
        with running_service(make(port, Path(directory)), port, Path(directory)):
            yield port


@pytest.fixture
def echo_server() -> Iterator[talkws.Server]:
    with serving(echo, "127.0.0.1", 0, origins=None) as server:
        yield server


@pytest.mark.parametrize("name", PROXIES)
def test_a_proxy_carries_web_sockets(name: str, echo_server: talkws.Server) -> None:
    large = "x" * 1_000_000
    with proxy_running(name) as port:
        for scheme in PROXIES[name][1]:
            proxy = f"{scheme}127.0.0.1:{port}"
            # By name too, which is for whoever resolves it.
            for host in ("127.0.0.1", "localhost"):
                url = f"ws://{host}:{echo_server.port}/"
                with talkws.connect(url, proxy=proxy) as ws:
                    assert ws.remote_address[1] == port
                    for message in ("hello", large):
                        ws.send(message)
                        assert ws.recv() == message


def test_a_proxy_may_be_reached_by_tls(
    echo_server: talkws.Server, tmp_path: Path
) -> None:
    """HAProxy takes the TLS off in front of a proxy that knows none."""
    identity = make(tmp_path, "proxy", "DNS:proxy.example")
    both = tmp_path / "both.pem"
    both.write_text(identity.chain.read_text() + identity.key.read_text())
    trusted = talkws.ClientTLS(ca_file=identity.ca)
    port, config = free_port(), tmp_path / "haproxy.cfg"
    with proxy_running("tinyproxy") as behind:
        config.write_text(TLS_TAKER.format(port=port, both=both, behind=behind))
        command = ["haproxy", "-db", "-f", str(config)]
        with running_service(command, port, tmp_path):
            proxy, name = f"https://127.0.0.1:{port}", "proxy.example"

            def connect(**options: Any) -> talkws.ClientConnection:
                ws: talkws.ClientConnection
                ws = talkws.connect(echo_server.url, proxy=proxy, **options)
                return ws

            with connect(proxy_ssl=trusted, proxy_server_hostname=name) as ws:
                ws.send("hello")
                assert ws.recv() == "hello"
            for options, says in (
                ({}, "TLS with the proxy: .* nobody who is trusted"),
                ({"proxy_ssl": trusted}, "127.0.0.1"),
                ({"ssl": trusted, "server_hostname": name}, "proxy"),
            ):
                with pytest.raises(ssl.SSLError, match=says):
                    connect(**options)
    with pytest.raises(TypeError, match="^proxy_ssl="):
        talkws.connect(echo_server.url, proxy_ssl=object())  # type: ignore[call-overload]


def test_a_proxy_that_wants_a_password_says_so(echo_server: talkws.Server) -> None:
    with proxy_running("tinyproxy with a user") as port:
        for user in ("", "talkws:wrong@"):
            proxy = f"http://{user}127.0.0.1:{port}"
            with pytest.raises(talkws.InvalidProxyStatus, match="user") as caught:
                talkws.connect(echo_server.url, proxy=proxy)
            # tinyproxy says 401 where 407 is meant, depending on its version.
            assert caught.value.response.status_code in {401, 407}
            assert "wrong" not in str(caught.value)


def test_a_socks_proxy_that_wants_a_password_says_so(
    echo_server: talkws.Server,
) -> None:
    with proxy_running("microsocks with a user") as port:
        for user in ("", "talkws:wrong@"):
            proxy = f"socks5h://{user}127.0.0.1:{port}"
            with pytest.raises(talkws.ProxyError, match="password") as caught:
                talkws.connect(echo_server.url, proxy=proxy)
            assert "wrong" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "scheme", "says"),
    [
        ("squid", "http", "403 Forbidden"),
        ("danted", "socks5", "rules do not allow"),
    ],
)
def test_what_a_proxy_forbids_is_told(name: str, scheme: str, says: str) -> None:
    with proxy_running(name) as port:
        with pytest.raises(talkws.ProxyError, match=says):
            talkws.connect("ws://127.0.0.1:9/", proxy=f"{scheme}://127.0.0.1:{port}")


@pytest.mark.parametrize("name", ["squid", "tinyproxy", "microsocks", "danted"])
def test_a_server_that_is_not_there_is_the_proxys_news(name: str) -> None:
    scheme = PROXIES[name][1][0]
    with proxy_running(name) as port:
        # Each has words of its own for why.
        with pytest.raises(talkws.ProxyError, match=r"asked for 127\.0\.0\.1:.*: "):
            talkws.connect(
                f"ws://127.0.0.1:{free_port()}/", proxy=f"{scheme}127.0.0.1:{port}"
            )


def test_the_environment_names_a_proxy(
    echo_server: talkws.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    monkeypatch.setenv("all_proxy", f"http://127.0.0.1:{port}")
    with pytest.raises(ConnectionRefusedError, match=f"127.0.0.1:{port}"):
        talkws.connect(echo_server.url)
    with pytest.raises(ConnectionRefusedError, match=f"127.0.0.1:{port}"):
        talkws.connect(echo_server.url, proxy=True)
    with talkws.connect(echo_server.url, proxy=None) as ws:
        ws.send("direct")
        assert ws.recv() == "direct"
    # A socket of one's own has its way already.
    with socket.create_connection(("127.0.0.1", echo_server.port)) as sock:
        talkws.connect(echo_server.url, sock=sock).close()
    monkeypatch.setenv("no_proxy", "127.0.0.0/8")
    talkws.connect(echo_server.url).close()
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("all_proxy", "ftp://u:secret@h")
    with pytest.raises(talkws.ProxyError, match="all_proxy") as caught:
        talkws.connect(echo_server.url)
    assert "secret" not in str(caught.value)


def test_what_is_no_proxy_is_refused() -> None:
    url = "ws://127.0.0.1:1/"
    with pytest.raises(talkws.InvalidProxy, match="scheme must be") as caught:
        talkws.connect(url, proxy="ftp://u:secret@h")
    assert "secret" not in str(caught.value)
    for nothing in (False, 1, object()):
        with pytest.raises(TypeError, match="proxy: expected"):
            talkws.connect(url, proxy=nothing)  # type: ignore[call-overload]
    with pytest.raises(ValueError, match="source_address and a proxy"):
        talkws.connect(url, proxy="http://h", source_address=("127.0.0.1", 0))
    with socket.socket() as sock, pytest.raises(ValueError, match="sock and a proxy"):
        talkws.connect(url, proxy="http://h", sock=sock)
