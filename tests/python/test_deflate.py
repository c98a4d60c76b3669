"""permessage-deflate: what is agreed upon, and what goes and comes, against Python's own zlib."""

from __future__ import annotations

import random
import socket
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest
import talkws
from deflating import RSV1, Inflating, deflate_all, send_fragments
from peers import (
    BINARY,
    CLOSE,
    FIN,
    PATIENCE,
    TEXT,
    RawPeer,
    RawServer,
    echo,
    frame,
    in_thread,
    serving,
)
from talkws.extensions.permessage_deflate import (
    ClientPerMessageDeflateFactory,
    ServerPerMessageDeflateFactory,
)


def messages(seed: int) -> list[bytes]:
    """Messages of every kind: text and noise, empty ones and long ones, repeated and not."""
    chance = random.Random(seed)
    words = [b'"id": ', b'"name": ', b"true, ", b"{", b"}, ", "Grüße 🦀".encode()]
    made = []
    for _ in range(12):
        size = chance.choice([0, 1, 100, 1000, 40_000])
        if chance.random() < 0.3:
            made.append(chance.randbytes(size))
        else:
            made.append(b"".join(chance.choice(words) for _ in range(size // 6)))
        if chance.random() < 0.3:
            made.append(chance.choice(made))
    return made


@contextmanager
def talking_with(
    settings: dict[str, Any], **options: Any
) -> Iterator[tuple[talkws.ClientConnection, RawPeer]]:
    """A client that offers with these settings, and a raw peer that agrees to them."""
    answer = "permessage-deflate"
    for name, value in settings.items():
        if "takeover" in name:
            answer += f"; {name}"
        elif "window" in name:
            answer += f"; {name}={value}"
    factory = ClientPerMessageDeflateFactory(**settings)
    headers = f"Sec-WebSocket-Extensions: {answer}\r\n"
    with RawServer() as server:
        accepting = in_thread(lambda: server.accept_and_upgrade(headers=headers))
        client = talkws.connect(server.url, extensions=[factory], **options)
        with accepting.result(PATIENCE) as peer:
            yield client, peer
        client.close()


SETTINGS: list[dict[str, Any]] = [
    {},
    {"server_no_context_takeover": True},
    {"client_no_context_takeover": True},
    {"server_max_window_bits": 9, "client_max_window_bits": 9},
    {"server_max_window_bits": 8, "client_max_window_bits": 10},
    {"compress_settings": {"level": 1, "memLevel": 1}},
    {"compress_settings": {"level": 9, "memLevel": 9}, "threshold": 0},
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("seed", range(3))
def test_what_is_sent_is_what_zlib_inflates(
    settings: dict[str, Any], seed: int
) -> None:
    with talking_with(settings) as (client, peer):
        bits = settings.get("client_max_window_bits", 15)
        inflating = Inflating(bits, settings.get("client_no_context_takeover", False))
        for message in messages(seed):
            sending = in_thread(partial(client.send, message))
            first, payload = peer.read_frame()
            sending.result(PATIENCE)
            if first & RSV1:
                payload = inflating.message(payload)
            assert (first & ~RSV1, payload) == (FIN | BINARY, message)


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("fragment", [1 << 20, 1000, 7])
def test_what_zlib_deflates_is_received(
    settings: dict[str, Any], seed: int, fragment: int
) -> None:
    sent = messages(seed)
    if fragment == 7:
        sent = [message[:2000] for message in sent]
    with talking_with(settings) as (client, peer):
        bits = settings.get("server_max_window_bits", 15)
        alone = settings.get("server_no_context_takeover", False)

        def send_all() -> None:
            for payload in deflate_all(sent, max(bits, 9), alone, seed):
                send_fragments(peer, payload, fragment)

        sending = in_thread(send_all)
        for message in sent:
            assert client.recv(PATIENCE) == message
        sending.result(PATIENCE)


@pytest.mark.parametrize("compression", ["deflate", None])
def test_compression_is_agreed_upon_unless_one_end_does_not_want_it(
    compression: str | None,
) -> None:
    for at_server, at_client in ((compression, "deflate"), ("deflate", compression)):
        with serving(echo, compression=at_server) as server:
            with talkws.connect(server.url, compression=at_client) as client:
                agreed = client.deflate_parameters
                assert client.response is not None
                header = client.response.headers.get("Sec-WebSocket-Extensions")
                if compression is None:
                    assert (agreed, header) == (None, None)
                else:
                    assert agreed == talkws.DeflateParameters(False, False, 15, 15)
                    assert header == "permessage-deflate"
                client.send("Hello" * 1000)
                assert client.recv(PATIENCE) == "Hello" * 1000


def test_extensions_say_how_to_compress() -> None:
    seen = []

    def handler(connection: talkws.ServerConnection) -> None:
        seen.append(connection.deflate_parameters)
        echo(connection)

    at_server = ServerPerMessageDeflateFactory(
        server_no_context_takeover=True, client_max_window_bits=11
    )
    at_client = ClientPerMessageDeflateFactory(server_max_window_bits=10)
    with serving(handler, compression=None, extensions=[at_server]) as server:
        with talkws.connect(server.url, extensions=[at_client]) as client:
            client.send("Hello" * 1000)
            assert client.recv(PATIENCE) == "Hello" * 1000
            expected = talkws.DeflateParameters(True, False, 10, 11)
            assert client.deflate_parameters == expected
    assert seen == [expected]


def test_a_server_that_does_not_agree_is_an_error() -> None:
    factory = ClientPerMessageDeflateFactory(server_no_context_takeover=True)
    headers = "Sec-WebSocket-Extensions: permessage-deflate\r\n"
    with RawServer() as server:
        accepting = in_thread(lambda: server.accept_and_upgrade(headers=headers))
        with pytest.raises(talkws.InvalidMessage, match="server_no_context_takeover"):
            talkws.connect(server.url, extensions=[factory])
        accepting.result(PATIENCE).stream.close()


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({"server_max_window_bits": 7}, ValueError),
        ({"client_max_window_bits": 16}, ValueError),
        ({"compress_settings": {"level": 0}}, ValueError),
        ({"compress_settings": {"memLevel": 10}}, ValueError),
        ({"compress_settings": {"wbits": 15}}, ValueError),
        ({"compress_settings": {"strategy": 1}}, NotImplementedError),
        ({"threshold": -1}, ValueError),
    ],
    ids=str,
)
def test_what_cannot_be_chosen_is_refused(
    settings: dict[str, Any], kind: type[Exception]
) -> None:
    for factory in (ClientPerMessageDeflateFactory, ServerPerMessageDeflateFactory):
        with pytest.raises(kind):
            factory(**settings)


def test_a_server_cannot_require_what_it_does_not_need() -> None:
    with pytest.raises(NotImplementedError, match="any window can be inflated"):
        ServerPerMessageDeflateFactory(require_client_max_window_bits=True)


@pytest.fixture
def talking() -> Iterator[tuple[RawPeer, talkws.ClientConnection]]:
    with talking_with({}, max_size=100_000) as (client, peer):
        yield peer, client


def test_a_client_offers_to_compress(
    talking: tuple[RawPeer, talkws.ClientConnection],
) -> None:
    _, client = talking
    offer = "permessage-deflate; client_max_window_bits"
    assert client.request.headers["Sec-WebSocket-Extensions"] == offer


def test_a_message_goes_as_it_is_when_the_caller_says_so(
    talking: tuple[RawPeer, talkws.ClientConnection],
) -> None:
    peer, client = talking
    text = "Hello" * 100
    client.send(text, compress=False)
    assert peer.read_frame() == (FIN | TEXT, text.encode())
    client.send([text, text], compress=False)
    assert [peer.read_frame()[0] for _ in range(3)] == [TEXT, 0, FIN]
    client.send("small")
    assert peer.read_frame() == (FIN | TEXT, b"small")
    client.send(text)
    first, payload = peer.read_frame()
    assert first == FIN | RSV1 | TEXT
    assert len(payload) < 50


def test_the_parts_of_an_iterable_are_one_compressed_message(
    talking: tuple[RawPeer, talkws.ClientConnection],
) -> None:
    peer, client = talking
    inflating = Inflating(15, alone=False)
    for _ in range(2):
        client.send(["Hello" * 100, "x", "Hello" * 100])
        frames = [peer.read_frame() for _ in range(4)]
        assert [first for first, _ in frames] == [RSV1 | TEXT, 0, 0, FIN]
        payload = b"".join(payload for _, payload in frames)
        expected = "Hello" * 100 + "x" + "Hello" * 100
        assert inflating.message(payload) == expected.encode()


def test_a_bomb_ends_the_connection_with_1009(
    talking: tuple[RawPeer, talkws.ClientConnection],
) -> None:
    peer, client = talking
    [bomb] = deflate_all([bytes(10 << 20)], 15, False, 0)
    peer.send(frame(FIN | RSV1 | BINARY, bomb))
    receiving = in_thread(lambda: client.recv(PATIENCE))
    first, payload = peer.read_frame()
    assert (first, payload[:2]) == (FIN | CLOSE, (1009).to_bytes(2, "big"))
    peer.stream.shutdown(socket.SHUT_RDWR)
    with pytest.raises(talkws.ConnectionClosedError) as caught:
        receiving.result(PATIENCE)
    assert isinstance(caught.value.__cause__, talkws.PayloadTooBig)


def test_what_cannot_be_inflated_ends_the_connection_with_1002(
    talking: tuple[RawPeer, talkws.ClientConnection],
) -> None:
    peer, client = talking
    with pytest.raises(zlib.error):
        zlib.decompressobj(-15).decompress(b"\x07")
    peer.send(frame(FIN | RSV1 | BINARY, b"\x07"))
    receiving = in_thread(lambda: client.recv(PATIENCE))
    first, payload = peer.read_frame()
    assert (first, payload[:2]) == (FIN | CLOSE, (1002).to_bytes(2, "big"))
    peer.stream.shutdown(socket.SHUT_RDWR)
    with pytest.raises(talkws.ConnectionClosedError, match="cannot be inflated"):
        receiving.result(PATIENCE)


def test_a_compressed_message_is_received_in_pieces(
    talking: tuple[RawPeer, talkws.ClientConnection],
) -> None:
    peer, client = talking
    text = "Grüße, 世界! " * 5000
    sent = text.encode()[:99_999].decode(errors="ignore")
    for payload in deflate_all([sent.encode()] * 2, 15, False, 0):
        send_fragments(peer, payload, 1000, TEXT)
    assert "".join(client.recv_streaming(decode=True)) == sent
    buffer, got = bytearray(1000), b""
    while True:
        part = client.recv_into(buffer, PATIENCE)
        got += buffer[: part.size]
        if part.is_last:
            break
    assert got == sent.encode()
