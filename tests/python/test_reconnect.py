"""Connecting again and again: what is waited out, what is not, and what is said of it."""

from __future__ import annotations

import itertools
import logging
import socket
from collections.abc import Iterator
from typing import Any

import pytest
import talkws
from peers import PATIENCE, RawServer, echo, in_thread, serving


def at_once() -> Iterator[float]:
    return itertools.repeat(0.0)


def reconnect(uri: str, **options: Any) -> talkws.reconnect:
    return talkws.reconnect(uri, **{"reconnect_delays": at_once, **options})


def refuse(status: str) -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode()


def test_each_iteration_is_a_connection_which_is_closed_by_the_next() -> None:
    codes = []

    def handler(connection: talkws.ServerConnection) -> None:
        connection.send("hello")
        assert list(connection) == []
        codes.append(connection.close_code)

    with serving(handler) as server:
        seen: list[talkws.ClientConnection] = []
        for client in reconnect(server.url):
            assert all(before.state is talkws.State.CLOSED for before in seen)
            assert client.recv(PATIENCE) == "hello"
            seen.append(client)
            if len(seen) == 3:
                break
        assert len({client.id for client in seen}) == 3
    # Leaving the loop is no failure either.
    assert codes == [1000, 1000, 1000]


def test_a_lost_connection_is_followed_by_another() -> None:
    visits = itertools.count(1)

    def handler(connection: talkws.ServerConnection) -> None:
        visit = next(visits)
        connection.send(str(visit))
        if visit < 3:
            connection.close(1012, "again")
        else:
            connection.recv()

    seen: list[Any] = []
    with serving(handler) as server:
        for client in reconnect(server.url):
            try:
                for message in client:
                    seen.append(message)
                    if message == "3":
                        break
                else:
                    continue
                break
            except talkws.ConnectionClosed as closed:
                seen.append(closed.code)
        client.close()
    assert seen == ["1", 1012, "2", 1012, "3"]


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        refuse("500 Oh"),
        refuse("502 Oh"),
        refuse("503 Oh"),
        refuse("504 Oh"),
    ],
)
def test_what_may_pass_is_waited_out(
    raw_server: RawServer, answer: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "talkws.client")

    def answer_twice_and_upgrade() -> None:
        for _ in range(2):
            raw_server.accept_and_answer(answer).stream.close()
        with raw_server.accept_and_upgrade() as peer:
            peer.read_to_end()

    answering = in_thread(answer_twice_and_upgrade)
    delays = []

    def noted() -> Iterator[float]:
        for delay in (0.001, 0.002):
            delays.append(delay)
            yield delay

    for client in reconnect(raw_server.url, reconnect_delays=noted, close_timeout=0.01):
        assert client.state is talkws.State.OPEN
        break
    answering.result(PATIENCE)
    assert delays == [0.001, 0.002]
    told = [r for r in caplog.records if r.msg.startswith("connect failed")]
    assert [record.levelname for record in told] == ["INFO", "INFO"]
    assert "trying again in 0.0 seconds: dial ws://" in told[0].getMessage()


def test_nobody_listening_is_waited_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server: list[talkws.Server] = []

    def start_server_at_second_attempt() -> Iterator[float]:
        yield 0
        server.append(talkws.serve(echo, "127.0.0.1", port))
        loops.append(in_thread(server[0].serve_forever))
        yield 0

    loops: list[Any] = []
    for client in reconnect(
        f"ws://127.0.0.1:{port}", reconnect_delays=start_server_at_second_attempt
    ):
        client.send("at last")
        assert client.recv(PATIENCE) == "at last"
        break
    server[0].shutdown()
    loops[0].result(PATIENCE)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (refuse("401 No"), talkws.InvalidStatus),
        (refuse("404 No"), talkws.InvalidStatus),
        (b"220 smtp\r\n\r\n", talkws.InvalidMessage),
    ],
)
def test_what_will_not_pass_is_raised(
    raw_server: RawServer, answer: bytes, kind: type[Exception]
) -> None:
    answering = in_thread(lambda: raw_server.accept_and_answer(answer))
    with pytest.raises(kind):
        next(iter(reconnect(raw_server.url)))
    answering.result(PATIENCE).stream.close()


@pytest.mark.parametrize(
    ("uri", "options", "kind"),
    [
        ("http://127.0.0.1/", {}, talkws.InvalidURI),
        ("ws://127.0.0.1:1/", {"compression": "gzip"}, ValueError),
        ("ws://127.0.0.1:1/", {"subprotocols": ["a b"]}, ValueError),
        ("ws://127.0.0.1:1/", {"no_such_option": 1}, TypeError),
    ],
)
def test_mistakes_are_not_made_again(
    uri: str, options: dict[str, Any], kind: type[Exception]
) -> None:
    with pytest.raises(kind):
        next(iter(reconnect(uri, **options)))


def nobody() -> str:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return f"ws://127.0.0.1:{free.getsockname()[1]}/"


def test_the_program_may_decide_what_is_waited_out() -> None:
    seen = []

    class Enough(Exception):
        pass

    def decide(exception: Exception) -> Exception | None:
        seen.append(type(exception))
        return None if len(seen) < 3 else Enough()

    with pytest.raises(Enough) as caught:
        next(iter(reconnect(nobody(), process_exception=decide)))
    assert seen == [ConnectionRefusedError] * 3
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)


def test_what_the_decision_raises_comes_out() -> None:
    def decide(exception: Exception) -> Exception | None:
        raise LookupError

    with pytest.raises(LookupError):
        next(iter(reconnect(nobody(), process_exception=decide)))


def test_when_the_delays_end_so_do_the_attempts() -> None:
    attempts = []

    def note(exception: Exception) -> None:
        attempts.append(exception)

    with pytest.raises(ConnectionRefusedError):
        for _ in reconnect(
            nobody(), reconnect_delays=lambda: iter([0, 0]), process_exception=note
        ):
            pass
    assert len(attempts) == 3


def test_delays_begin_anew_after_each_connection() -> None:
    begun = itertools.count()
    makers = []

    def delays() -> Iterator[float]:
        makers.append(next(begun))
        return at_once()

    with RawServer() as raw_server:

        def refuse_and_upgrade() -> None:
            for _ in range(2):
                raw_server.accept_and_answer(refuse("503 Oh")).stream.close()
                raw_server.accept_and_upgrade().stream.close()

        answering = in_thread(refuse_and_upgrade)
        connections = iter(reconnect(raw_server.url, reconnect_delays=delays))
        for _ in range(2):
            with pytest.raises(talkws.ConnectionClosedError):
                next(connections).recv(PATIENCE)
        answering.result(PATIENCE)
    assert makers == [0, 1]


def test_its_block_connects_once() -> None:
    with serving(echo) as server:
        connecting = reconnect(server.url)
        with connecting as client:
            client.send("hello")
            assert client.recv(PATIENCE) == "hello"
            with pytest.raises(RuntimeError, match="entered already"):
                with connecting:
                    pass
        assert client.state is talkws.State.CLOSED
        with connecting as another:
            assert another is not client
    with pytest.raises(ConnectionRefusedError):
        with reconnect(nobody()):
            pass


def test_connect_without_legacy_reconnects() -> None:
    with serving(echo) as server:
        connecting = talkws.connect(server.url, legacy=False)
        assert isinstance(connecting, talkws.reconnect)
        for client, _ in zip(connecting, range(2)):
            client.send("hello")
            assert client.recv(PATIENCE) == "hello"


def test_a_logger_of_ones_own_hears_of_it(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("mine")
    caplog.set_level(logging.INFO, "mine")
    with pytest.raises(ConnectionRefusedError):
        next(
            iter(reconnect(nobody(), logger=logger, reconnect_delays=lambda: iter([0])))
        )
    (record,) = [record for record in caplog.records if record.name == "mine"]
    assert "trying again" in record.getMessage()


def test_one_socket_makes_one_connection() -> None:
    with socket.socket() as sock:
        with pytest.raises(ValueError, match="one sock"):
            talkws.reconnect("ws://127.0.0.1/", sock=sock)


def test_default_delays_grow_to_their_limit() -> None:
    for _ in range(100):
        delays = list(itertools.islice(talkws.client.backoff(), 12))
        assert 0 <= delays[0] <= 5
        assert delays[1:] == sorted(delays[1:])
        assert delays[1] == 3
        assert delays[-1] == 60
