"""What a connection says of itself, from before the handshake to after the end."""

from __future__ import annotations

import select
import threading
import uuid
from typing import Any

import pytest
import talkws
from peers import CLOSE, FIN, PATIENCE, TEXT, Pair, RawServer, ask, frame, in_thread
from talkws import State


def test_a_state_follows_a_connection_through_its_life(raw_server: RawServer) -> None:
    with raw_server.talking() as (client, peer):
        states = [client.state]
        assert (client.close_code, client.close_reason) == (None, None)
        closing = in_thread(lambda: client.close(1001, "going"))
        assert peer.read_frame() == (FIN | CLOSE, b"\x03\xe9going")
        states.append(client.state)
        assert (client.close_code, client.close_reason) == (None, None)
        peer.send(frame(FIN | CLOSE, b"\x0f\xa0seen"))
        peer.stream.close()
        closing.result(PATIENCE)
        states.append(client.state)
        assert states == [State.OPEN, State.CLOSING, State.CLOSED]
        assert (client.close_code, client.close_reason) == (4000, "seen")


def test_a_lost_connection_is_closed(raw_server: RawServer) -> None:
    with raw_server.talking() as (client, peer):
        peer.stream.close()
        with pytest.raises(talkws.ConnectionClosedError):
            client.recv()
        assert client.state is State.CLOSED
        assert (client.close_code, client.close_reason) == (1006, "")


def test_states_are_the_numbers_of_other_libraries() -> None:
    assert [*State] == [0, 1, 2, 3]
    assert [state.name for state in State] == [
        "CONNECTING",
        "OPEN",
        "CLOSING",
        "CLOSED",
    ]


def test_an_id_is_stable_and_unique(pair: Pair) -> None:
    client, server = pair
    assert isinstance(client.id, uuid.UUID)
    assert client.id == client.id != server.id


def test_threads_agree_on_an_id(pair: Pair) -> None:
    barrier = threading.Barrier(8)

    def ask_for_id() -> uuid.UUID:
        barrier.wait(PATIENCE)
        return pair[0].id

    asking = [in_thread(ask_for_id) for _ in range(8)]
    assert len({each.result(PATIENCE) for each in asking}) == 1


def test_a_descriptor_tells_when_to_receive(raw_server: RawServer) -> None:
    with raw_server.talking() as (client, peer):
        assert select.select([client], [], [], 0)[0] == []
        received: list[Any] = []
        peer.send(b"".join(frame(FIN | TEXT, b"%d" % number) for number in range(100)))
        while len(received) < 100:
            assert select.select([client], [], [], PATIENCE)[0] == [client]
            try:
                while True:
                    received.append(client.recv(0))
            except TimeoutError:
                pass
        assert received == [str(number) for number in range(100)]
        assert select.select([client], [], [], 0)[0] == []
        peer.stream.close()
        # The end makes it ready too.
        assert select.select([client], [], [], PATIENCE)[0] == [client]
        with pytest.raises(talkws.ConnectionClosedError):
            client.recv(0)


def test_addresses_and_heads_outlive_the_connection(
    listener: talkws.Listener, pair: Pair
) -> None:
    client, server = pair
    for _ in range(2):
        assert client.local_address == server.remote_address
        assert client.remote_address == server.local_address
        assert client.remote_address == ("127.0.0.1", listener.port)
        assert client.request.path == server.request.path == "/"
        assert client.response is not None
        assert client.response.status_code == 101
        assert client.subprotocol is server.subprotocol is None
        closing = in_thread(server.close)
        client.close()
        closing.result(PATIENCE)


@pytest.mark.parametrize(
    "name", ["latency", "close_code", "subprotocol", "request", "state", "id"]
)
def test_what_a_connection_says_is_not_for_programs_to_set(
    pair: Pair, name: str
) -> None:
    with pytest.raises(AttributeError):
        setattr(pair[0], name, None)


def test_a_repr_says_who_talks_to_whom_and_how_far_it_is(pair: Pair) -> None:
    client, server = pair
    (host, port), (_, own) = client.remote_address, client.local_address
    assert repr(client) == (
        f"<talkws.ClientConnection {host}:{own} to {host}:{port}, open>"
    )
    closing = in_thread(server.close)
    client.close()
    closing.result(PATIENCE)
    assert repr(server).startswith("<talkws.ServerConnection ")
    assert repr(server).endswith(", closed>")


class Chatty(talkws.ClientConnection):
    """A client of a program's own."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sent = 0

    def send(
        self, message: Any, text: bool | None = None, *, compress: bool = True
    ) -> None:
        super().send(message, text)
        self.sent += 1


class Greeter(talkws.ServerConnection):
    """A server's connection of a program's own."""

    def greet(self) -> None:
        self.send(f"Hello, {self.request.path}!")


def test_programs_may_derive_from_connections() -> None:
    def handle(ws: talkws.ServerConnection) -> None:
        assert isinstance(ws, Greeter)
        ws.greet()
        ws.send(ws.recv(PATIENCE))

    with talkws.serve(handle, "127.0.0.1", 0, create_connection=Greeter) as server:
        serving = in_thread(server.serve_forever)
        with talkws.connect(f"{server.url}/me", create_connection=Chatty) as client:
            assert isinstance(client, Chatty)
            assert client.recv(PATIENCE) == "Hello, /me!"
            client.send("one")
            assert client.recv(PATIENCE) == "one"
            assert client.sent == 1
            assert repr(client).startswith("<talkws.Chatty ")
    serving.result(PATIENCE)


def test_nobody_makes_a_connection_of_nothing() -> None:
    for nothing in (None, "ws://127.0.0.1/", object()):
        with pytest.raises(TypeError, match="made by connect"):
            talkws.ClientConnection(nothing)  # type: ignore[arg-type]


def test_before_the_handshake_a_connection_carries_nothing() -> None:
    seen: list[Any] = []

    def look(ws: talkws.ServerConnection, request: talkws.Request) -> None:
        seen.append((ws.state, ws.request is request, ws.response, ws.close_code))
        seen.append((ws.remote_address is not None, ws.latency))
        seen.append(repr(ws).endswith(", connecting>"))
        assert ws.fileno() >= 0
        for call in (
            lambda: ws.send("too early"),
            lambda: ws.recv(0),
            lambda: next(ws),
            lambda: next(ws.recv_streaming()),
            lambda: ws.recv_into(bytearray(1)),
            lambda: ws.ping(),
            lambda: ws.pong(),
            lambda: ws.wait_closed(0),
        ):
            with pytest.raises(talkws.InvalidState, match="opening handshake"):
                call()
        seen.append("all refused")

    def handle(ws: talkws.ServerConnection) -> None:
        seen.append(ws.state)
        ws.send("now")

    with talkws.serve(handle, "127.0.0.1", 0, process_request=look) as server:
        serving = in_thread(server.serve_forever)
        with talkws.connect(server.url) as client:
            assert client.recv(PATIENCE) == "now"
    serving.result(PATIENCE)
    assert seen == [
        (State.CONNECTING, True, None, None),
        (True, 0.0),
        True,
        "all refused",
        State.OPEN,
    ]


def test_who_was_refused_is_closed() -> None:
    refused: list[talkws.ServerConnection] = []

    def refuse(ws: talkws.ServerConnection, request: talkws.Request) -> talkws.Response:
        refused.append(ws)
        return ws.respond(404, "not here\n")

    with talkws.serve(print, "127.0.0.1", 0, process_request=refuse) as server:
        serving = in_thread(server.serve_forever)
        with ask(server) as peer:
            assert "404" in peer.read_head()
    serving.result(PATIENCE)
    (ws,) = refused
    assert ws.state is State.CLOSED
    assert repr(ws).endswith(", closed>")
    with pytest.raises(talkws.InvalidState):
        ws.recv()
