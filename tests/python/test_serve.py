"""Serving: where it listens, a handler for each connection, and what becomes of handlers."""

from __future__ import annotations

import gc
import logging
import os
import socket
import threading
from typing import Any

import pytest
import talkws
from peers import PATIENCE, ask, echo, exchange, in_thread, needs_ipv6, serving


def records_of(caplog: pytest.LogCaptureFixture, name: str) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.name == name]


def test_each_connection_has_a_thread() -> None:
    together = threading.Barrier(3, timeout=PATIENCE)
    threads = []

    def handler(connection: talkws.ServerConnection) -> None:
        threads.append(threading.get_ident())
        together.wait()

    with serving(handler) as server:
        clients = [talkws.connect(server.url) for _ in range(2)]
        together.wait()
        for client in clients:
            assert list(client) == []
            assert client.close_code == 1000
    assert len(set(threads)) == 2


@pytest.mark.parametrize(
    "host",
    [None, "", "localhost", "127.0.0.1", pytest.param("::1", marks=needs_ipv6)],
)
def test_a_host_is_listened_at(host: str | None) -> None:
    with serving(echo, host, 0) as server:
        assert server.port > 0
        exchange(server.url)
        for listening in server.sockets:
            assert listening.getsockname()[1] == server.port
            loopback = "[::1]" if listening.family == socket.AF_INET6 else "127.0.0.1"
            exchange(f"ws://{loopback}:{server.port}/any/path")


@needs_ipv6
def test_every_interface_means_both_families() -> None:
    with serving(echo, None, None) as server:
        families = {listening.family for listening in server.sockets}
        assert families == {socket.AF_INET, socket.AF_INET6}


def test_a_server_says_where_it_is() -> None:
    with talkws.serve(echo, "127.0.0.1", 0) as server:
        assert server.socket is server.sockets[0]
        assert server.socket.getsockname() == ("127.0.0.1", server.port)
        assert server.fileno() == server.socket.fileno() >= 0
        assert server.url == f"ws://127.0.0.1:{server.port}"
        assert repr(server) == f"<talkws.Server {server.url}>"
    assert server.fileno() == -1


def test_clients_may_come_before_anybody_serves() -> None:
    with talkws.serve(echo, "127.0.0.1", 0) as server:
        asking = in_thread(lambda: exchange(server.url))
        serving = in_thread(server.serve_forever)
        asking.result(PATIENCE)
    serving.result(PATIENCE)


def test_a_port_in_use_is_an_os_error() -> None:
    with talkws.serve(echo, "127.0.0.1", 0) as server:
        with pytest.raises(OSError):
            talkws.serve(echo, "127.0.0.1", server.port)


def test_many_threads_may_serve() -> None:
    with serving(echo, loops=3) as server:
        clients = [in_thread(lambda: exchange(server.url)) for _ in range(20)]
        for client in clients:
            client.result(PATIENCE)


def test_a_connection_knows_its_server() -> None:
    seen: list[Any] = []

    def handler(connection: talkws.ServerConnection) -> None:
        seen.append(connection.server)
        seen.append(connection in server.connections)
        assert connection.response is not None
        seen.append(connection.response.status_code)

    with serving(handler) as server:
        with talkws.connect(server.url) as client:
            assert list(client) == []
        assert seen == [server, True, 101]
    assert server.connections == set()


def test_a_connection_that_is_being_closed_is_not_among_the_open_ones() -> None:
    closed, looked = threading.Event(), threading.Event()

    def handler(connection: talkws.ServerConnection) -> None:
        assert list(connection) == []
        closed.set()
        assert looked.wait(PATIENCE)

    with serving(handler) as server:
        try:
            talkws.connect(server.url).close()
            assert closed.wait(PATIENCE)
            assert server.connections == set()
        finally:
            looked.set()


def test_a_handler_that_raises_is_told_of_and_closes_with_1011(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def handler(connection: talkws.ServerConnection) -> None:
        raise LookupError("nothing here")

    with serving(handler) as server:
        with talkws.connect(server.url) as client:
            with pytest.raises(talkws.ConnectionClosedError) as caught:
                client.recv(PATIENCE)
            assert caught.value.code == 1011
    (record,) = [r for r in records_of(caplog, "talkws.server") if r.exc_info]
    assert record.levelno == logging.ERROR
    assert record.exc_info and isinstance(record.exc_info[1], LookupError)


def test_a_lost_connection_is_no_failure_of_the_handler(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "talkws.server")

    def handler(connection: talkws.ServerConnection) -> None:
        connection.send("here")
        while True:
            connection.recv()

    # A server each: the end of one waits for what its handler says.
    for code in (1000, 4000):
        with serving(handler) as server, talkws.connect(server.url) as client:
            assert client.recv(PATIENCE) == "here"
            client.close(code)
    with serving(handler) as server, ask(server) as peer:
        peer.read_head()
        assert peer.read_frame()[1] == b"here"
        # The end of the stream, and then that of the server's.
        peer.stream.shutdown(socket.SHUT_WR)
        peer.read_to_end()
    ended = [
        (record.levelname, record.getMessage().partition(": ")[2])
        for record in records_of(caplog, "talkws.server")
        if record.getMessage().startswith("handler ended")
    ]
    assert [level for level, _ in ended] == ["DEBUG", "INFO", "INFO"]
    assert "4000" in ended[1][1]
    assert "without a Close frame" in ended[2][1]
    assert not [record for record in caplog.records if record.exc_info]


def test_a_logger_of_ones_own_hears_of_the_handler(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def handler(connection: talkws.ServerConnection) -> None:
        assert connection.logger is server.logger
        raise LookupError

    logger = logging.getLogger("mine")
    with serving(handler, logger=logger) as server:
        with talkws.connect(server.url) as client:
            with pytest.raises(talkws.ConnectionClosedError):
                client.recv(PATIENCE)
    assert [record.name for record in caplog.records if record.exc_info] == ["mine"]


def test_without_a_thread_a_client_gets_503(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    start = threading.Thread.start

    def refuse_handlers(thread: threading.Thread) -> None:
        if thread.name == "talkws-handler":
            raise RuntimeError("can't start new thread")
        start(thread)

    with serving(echo) as server:
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", refuse_handlers)
            with pytest.raises(talkws.InvalidStatus) as caught:
                talkws.connect(server.url)
        assert caught.value.response.status_code == 503
        exchange(server.url)
    assert "no thread for a client" in caplog.text


def test_nothing_is_left_of_a_server() -> None:
    def serve_some() -> None:
        with serving(echo, loops=2) as server:
            clients = [talkws.connect(server.url) for _ in range(3)]
            for client in clients:
                client.send("hello")
                assert client.recv(PATIENCE) == "hello"
            # One that has not asked yet, one whose handler talks, one that is gone.
            silent = socket.create_connection(("127.0.0.1", server.port))
            clients.pop().close()
            ends = [in_thread(lambda ws=ws: list(ws)) for ws in clients]  # type: ignore[misc]
        silent.close()
        assert [end.result(PATIENCE) for end in ends] == [[], []]
        assert server.connections == set()

    serve_some()
    gc.collect()
    before = len(os.listdir("/dev/fd"))
    for _ in range(10):
        serve_some()
    assert [t for t in threading.enumerate() if t.name == "talkws-handler"] == []
    gc.collect()
    assert len(os.listdir("/dev/fd")) == before


@pytest.mark.parametrize(
    "options",
    [
        {"origins": "http://a.example"},
        {"subprotocols": "chat"},
        {"open_timeout": float("nan")},
        {"ping_interval": 0},
        {"max_queue": 0},
        {"compression": "gzip"},
        {"extensions": [None]},
        {"no_such_option": 1},
    ],
    ids=str,
)
def test_options_that_cannot_be_leave_nothing_open(options: dict[str, Any]) -> None:
    before = len(os.listdir("/dev/fd"))
    with pytest.raises((TypeError, ValueError, NotImplementedError)):
        talkws.serve(echo, "127.0.0.1", 0, **options)
    assert len(os.listdir("/dev/fd")) == before
