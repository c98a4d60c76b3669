"""wss that ends at nginx or HAProxy, in front of us and in front of a peer; and begins there."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Callable

import pytest
import talkws
import websockets.sync.server
from certificates import Identity, make
from peers import PATIENCE, echo

NGINX = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {chain};
        ssl_certificate_key {key};
        location / {{
            proxy_pass {scheme}://127.0.0.1:{behind};
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade;
            proxy_ssl_trusted_certificate {ca};
            proxy_ssl_verify on;
            proxy_ssl_name localhost;
        }}
    }}
}}
"""
HAPROXY = """
global
    log stderr local0 emerg
defaults
    mode http
    timeout connect 10s
    timeout client 60s
    timeout server 60s
    timeout tunnel 60s
frontend outside
    bind 127.0.0.1:{port} ssl crt {both} alpn http/1.1
    default_backend inside
backend inside
    server one 127.0.0.1:{behind}{backend_tls}
"""

Gateway = Callable[[Path, Identity, int, bool], tuple[list[str], int]]


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def nginx(
    folder: Path, identity: Identity, behind: int, is_secure: bool
) -> tuple[list[str], int]:
    port = free_port()
    config = folder / "nginx.conf"
    text = NGINX.format(
        folder=folder,
        port=port,
        behind=behind,
        chain=identity.chain,
        key=identity.key,
        ca=identity.ca,
        scheme="https" if is_secure else "http",
    )
    config.write_text(text)
    return ["nginx", "-p", str(folder), "-e", "stderr", "-c", str(config)], port


def haproxy(
    folder: Path, identity: Identity, behind: int, is_secure: bool
) -> tuple[list[str], int]:
    port = free_port()
    both = folder / "both.pem"
    both.write_text(identity.chain.read_text() + identity.key.read_text())
    tls = (
        f" ssl verify required ca-file {identity.ca} verifyhost localhost alpn http/1.1"
    )
    config = folder / "haproxy.cfg"
    text = HAPROXY.format(
        port=port,
        behind=behind,
        both=both,
        backend_tls=tls if is_secure else "",
    )
    config.write_text(text)
    return ["haproxy", "-db", "-f", str(config)], port


@contextmanager
def running(
    gateway: Gateway, folder: Path, identity: Identity, behind: int, is_secure: bool
) -> Iterator[str]:
    """The gateway in front of a port; its URL."""
    command, port = gateway(folder, identity, behind, is_secure)
    name = command[0]
    # Not on the path of all users.
    program = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if program is None:
        pytest.skip(f"no {name}; Debian, Ubuntu: apt install {name}")
    with subprocess.Popen([program, *command[1:]], stderr=subprocess.PIPE) as process:
        try:
            until_it_listens(process, port)
            yield f"wss://127.0.0.1:{port}/"
        finally:
            process.kill()


def until_it_listens(process: subprocess.Popen[bytes], port: int) -> None:
    end = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            continue
        return
    said = (
        process.stderr.read() if process.poll() is not None and process.stderr else b""
    )
    pytest.fail(f"it does not listen: {said.decode()}")


def talk(url: str, identity: Identity) -> None:
    """Has messages of many sizes sent back."""
    with talkws.connect(url, ssl=talkws.ClientTLS(ca_file=identity.ca)) as ws:
        for size in (0, 1, 125, 126, 16_384, 65_536, 1_000_000):
            ws.send("x" * size)
            assert ws.recv(PATIENCE) == "x" * size


@contextmanager
def in_the_background(server: talkws.Server) -> Iterator[int]:
    with server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.port
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    # The gateways know no addresses in certificates.
    host = "DNS:localhost,IP:127.0.0.1"
    return make(tmp_path_factory.mktemp("certificates"), "gateway", host)


@pytest.mark.parametrize("gateway", [nginx, haproxy])
@pytest.mark.parametrize("is_secure", [False, True], ids=["ws", "wss"])
def test_a_gateway_in_front_of_us(
    gateway: Gateway, is_secure: bool, identity: Identity, tmp_path: Path
) -> None:
    tls = talkws.ServerTLS(identity.files) if is_secure else None
    server = talkws.serve(echo, "127.0.0.1", 0, ssl=tls)
    with (
        in_the_background(server) as port,
        running(gateway, tmp_path, identity, port, is_secure) as url,
    ):
        talk(url, identity)


@pytest.mark.parametrize("gateway", [nginx, haproxy])
def test_a_gateway_in_front_of_a_peer(
    gateway: Gateway, identity: Identity, tmp_path: Path
) -> None:
    with websockets.sync.server.serve(echo, "127.0.0.1", 0, compression=None) as peer:  # type: ignore[arg-type]
        thread = threading.Thread(target=peer.serve_forever)
        thread.start()
        port = peer.socket.getsockname()[1]
        with running(gateway, tmp_path, identity, port, False) as url:
            talk(url, identity)
        peer.shutdown()
        thread.join()
