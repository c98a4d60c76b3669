"""wss: whom a client trusts, what a server shows, and what contexts of ssl mean."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import talkws
from certificates import Identity, make
from peers import PATIENCE, echo


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="module")
def identity(folder: Path) -> Identity:
    return make(folder, "server")


@pytest.fixture(scope="module")
def client_identity(folder: Path) -> Identity:
    return make(folder, "client")


@contextmanager
def serving(tls: talkws.ServerTLS) -> Iterator[talkws.Server]:
    with talkws.serve(echo, "127.0.0.1", 0, ssl=tls) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def url(server: Any) -> str:
    return f"wss://127.0.0.1:{server.port}/"


def context_for(identity: Identity) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(identity.ca))


def test_messages_go_both_ways(identity: Identity) -> None:
    with serving(talkws.ServerTLS(identity.files)) as server:
        trusting = talkws.ClientTLS(ca_file=identity.ca)
        with talkws.connect(url(server), ssl=trusting) as ws:
            for message in ("hello", b"x" * 1_000_000):
                ws.send(message)
                assert ws.recv() == message
            assert ws.tls is not None
            assert ws.tls.version == "TLSv1.3"
            der = ssl.PEM_cert_to_DER_cert(identity.chain.read_text())
            assert ws.tls.peer_certificates == (der,)


def test_a_second_connection_resumes_the_session(identity: Identity) -> None:
    with serving(talkws.ServerTLS(identity.files)) as server:
        trusting = talkws.ClientTLS(ca_file=identity.ca)
        for is_resumed in (False, True):
            with talkws.connect(url(server), ssl=trusting) as ws:
                ws.send("")
                ws.recv()
                assert ws.tls is not None
                assert ws.tls.is_resumed is is_resumed


def test_a_context_of_ssl_says_whom_to_trust(identity: Identity) -> None:
    with serving(talkws.ServerTLS(identity.files)) as server:
        with talkws.connect(url(server), ssl=context_for(identity)) as ws:
            ws.send("hello")
            assert ws.recv() == "hello"
        for ours in (None, ssl.create_default_context()):
            with pytest.raises(ssl.SSLError, match="trusted"):
                talkws.connect(url(server), ssl=ours)
        lax = ssl.create_default_context()
        lax.check_hostname = False
        lax.verify_mode = ssl.CERT_NONE
        talkws.connect(url(server), ssl=lax).close()


def test_what_a_context_cannot_mean_here_is_said(identity: Identity) -> None:
    # What is no authority cannot be read out of a context.
    unreadable = ssl.create_default_context(cafile=str(identity.chain))
    no_name = context_for(identity)
    no_name.check_hostname = False
    old = context_for(identity)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    revoking = context_for(identity)
    revoking.verify_flags |= ssl.VerifyFlags.VERIFY_CRL_CHECK_LEAF
    for context, says in [
        (unreadable, "certificates"),
        (no_name, "check_hostname"),
        (old, "maximum_version"),
        (revoking, "verify_flags"),
    ]:
        with pytest.raises(NotImplementedError, match=says):
            talkws.connect("wss://127.0.0.1:1/", ssl=context)
    with pytest.raises(ValueError, match="for servers"):
        server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        talkws.connect("wss://127.0.0.1:1/", ssl=server_context)
    with pytest.raises(NotImplementedError, match="ServerTLS"):
        talkws.serve(echo, "127.0.0.1", 0, ssl=server_context)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="ClientTLS"):
        talkws.connect("wss://127.0.0.1:1/", ssl=1)  # type: ignore[call-overload]


def test_the_name_may_be_another(folder: Path) -> None:
    named = make(folder, "named", "DNS:chat.example")
    trusting = talkws.ClientTLS(ca_file=named.ca)
    with serving(talkws.ServerTLS(named.files)) as server:
        with pytest.raises(ssl.SSLError, match=r"but for chat\.example"):
            talkws.connect(url(server), ssl=trusting)
        name = "chat.example"
        talkws.connect(url(server), ssl=trusting, server_hostname=name).close()


def test_a_client_shows_its_certificate(
    identity: Identity, client_identity: Identity
) -> None:
    asking = talkws.ServerTLS(
        [identity.files],
        client_auth="required",
        client_ca_file=client_identity.ca,
    )
    with talkws.listen("wss://127.0.0.1:0", ssl=asking) as listener:
        seen: list[talkws.TLSInfo | None] = []

        def accept() -> None:
            with listener.accept().upgrade() as ws:
                seen.append(ws.tls)
                ws.send("welcome")

        thread = threading.Thread(target=accept)
        thread.start()
        bare = talkws.ClientTLS(ca_file=identity.ca)
        with pytest.raises(ssl.SSLError, match="wants a client certificate"):
            talkws.connect(listener.url, ssl=bare)
        showing = talkws.ClientTLS(
            ca_file=identity.ca, certificate=client_identity.files
        )
        with talkws.connect(listener.url, ssl=showing) as ws:
            assert ws.recv() == "welcome"
        thread.join()
    der = ssl.PEM_cert_to_DER_cert(client_identity.chain.read_text())
    assert seen[0] is not None
    assert seen[0].peer_certificates == (der,)


def test_certificates_are_renewed_by_reload(folder: Path, identity: Identity) -> None:
    current = make(folder, "current")
    old = talkws.ClientTLS(ca_data=current.ca.read_bytes())
    with serving(talkws.ServerTLS(current.files)) as server:
        shutil.copy(identity.chain, current.chain)
        shutil.copy(identity.key, current.key)
        talkws.connect(url(server), ssl=old).close()
        server.reload_tls()
        talkws.connect(url(server), ssl=context_for(identity)).close()
        current.key.write_text("no key")
        with pytest.raises(ValueError, match="PRIVATE KEY"):
            server.reload_tls()


def test_what_cannot_be_used_is_said(folder: Path, identity: Identity) -> None:
    with pytest.raises(FileNotFoundError):
        talkws.ClientTLS(ca_file=folder / "none.pem")
    with pytest.raises(ValueError, match="minimum_version"):
        talkws.ClientTLS(minimum_version="SSLv3")
    with pytest.raises(ValueError, match="44 characters"):
        talkws.ClientTLS(pins=["short"])
    with pytest.raises(ValueError, match="client_auth"):
        talkws.ServerTLS(identity.files, client_auth="perhaps")
    with pytest.raises(talkws.InvalidURI, match="needs a certificate"):
        talkws.listen("wss://127.0.0.1:0")


def websockets(*arguments: object) -> subprocess.Popen[str]:
    program = Path(__file__).with_name("websockets_over_tls.py")
    command = [sys.executable, str(program), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_websockets_talks_to_us(identity: Identity) -> None:
    with (
        serving(talkws.ServerTLS(identity.files)) as server,
        websockets("client", url(server), identity.ca) as client,
    ):
        assert client.communicate(timeout=PATIENCE)[0] == "100000\n"


def test_we_talk_to_websockets(identity: Identity) -> None:
    with websockets("server", *identity.files) as server:
        assert server.stdout is not None
        uri = f"wss://127.0.0.1:{int(server.stdout.readline())}/"
        with talkws.connect(uri, ssl=context_for(identity)) as ws:
            ws.send("x" * 100_000)
            assert ws.recv(PATIENCE) == "x" * 100_000
        assert server.wait(PATIENCE) == 0
