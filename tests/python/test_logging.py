"""News of the core, through Python's logging."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable

import pytest
import talkws
from peers import (
    FIN,
    PATIENCE,
    TEXT,
    RawPeer,
    RawServer,
    ask,
    connected,
    frame,
    in_thread,
)

CLIENT, SERVER = "talkws.client", "talkws.server"


def said(caplog: pytest.LogCaptureFixture, logger: str, level: int) -> str:
    """What a logger was told at this level."""
    return "\n".join(
        record.getMessage()
        for record in caplog.records
        if (record.name, record.levelno) == (logger, level)
    )


def violate(client: talkws.ClientConnection, peer: RawPeer) -> None:
    # A frame with a bit that nobody has agreed on.
    peer.send(frame(FIN | 0x40 | TEXT, b"?"))
    peer.stream.close()
    with pytest.raises(talkws.ConnectionClosedError):
        client.recv(PATIENCE)


def test_a_violation_is_a_warning(
    raw_server: RawServer, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING), raw_server.talking() as (client, peer):
        violate(client, peer)
    port = raw_server.socket.getsockname()[1]
    assert f"127.0.0.1:{port}" in said(caplog, CLIENT, logging.WARNING)
    assert {record.levelno for record in caplog.records} == {logging.WARNING}


def test_a_listener_tells_of_itself_and_of_whom_it_refuses(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.DEBUG), talkws.listen("ws://127.0.0.1:0") as listener:
        with ask(listener, headers="Origin: http://elsewhere.example\r\n") as peer:
            accepting = in_thread(listener.accept)
            assert "403" in peer.read_head()
            (_, port) = peer.stream.getsockname()
        listener.close()
        assert isinstance(accepting.exception(PATIENCE), talkws.ListenerClosed)
    assert f"listening on {listener.url}" in said(caplog, SERVER, logging.INFO)
    assert f"127.0.0.1:{port}" in said(caplog, SERVER, logging.DEBUG)


def test_nothing_is_said_of_what_nobody_wants_to_hear(
    raw_server: RawServer, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.CRITICAL), raw_server.talking() as (client, peer):
        violate(client, peer)
    assert not caplog.records


def test_with_debug_the_end_of_every_connection_is_told(
    listener: talkws.Listener, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        with connected(listener):
            pass
        assert said(caplog, CLIENT, logging.DEBUG)
        assert said(caplog, SERVER, logging.DEBUG)


class Handler(logging.Handler):
    """A handler that is a program of its own."""

    def __init__(self, call: Callable[[logging.LogRecord], object]) -> None:
        super().__init__()
        self.call = call

    def emit(self, record: logging.LogRecord) -> None:
        self.call(record)


def test_a_handler_may_use_the_connection_that_it_hears_of(
    listener: talkws.Listener, raw_server: RawServer
) -> None:
    heard: list[str] = []
    with connected(listener) as ends, raw_server.talking() as (client, peer):

        def tell(record: logging.LogRecord) -> None:
            # Of the very connection, and of another that works.
            try:
                client.send("of no use")
            except talkws.ConnectionClosedError as error:
                heard.append(type(error).__name__)
            ends[0].send(record.getMessage())
            heard.append(str(ends[1].recv(PATIENCE)))

        handler = Handler(tell)
        logger = logging.getLogger(CLIENT)
        logger.addHandler(handler)
        try:
            violating = in_thread(lambda: violate(client, peer))
            violating.result(PATIENCE)
        finally:
            logger.removeHandler(handler)
    assert heard[0] == "ConnectionClosedError"
    assert heard[1].startswith("connection with 127.0.0.1")


def test_news_of_other_threads_are_told(
    raw_server: RawServer, listener: talkws.Listener
) -> None:
    """Keepalive works in a thread of the core, in which Python never runs."""
    heard = threading.Event()

    def listen(record: logging.LogRecord) -> None:
        if "keepalive" in record.getMessage():
            heard.set()

    handler = Handler(listen)
    logger = logging.getLogger(CLIENT)
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        upgraded = in_thread(raw_server.accept_and_upgrade)
        silent = talkws.connect(raw_server.url, ping_interval=0.01, ping_timeout=0.01)
        with upgraded.result(PATIENCE) as peer, connected(listener) as ends:
            peer.read_to_end()
            # Whoever makes the next call tells of it.
            for number in range(10_000):
                ends[0].send(str(number))
                assert ends[1].recv(PATIENCE) == str(number)
                if heard.is_set():
                    break
            assert heard.is_set()
        assert silent.state is talkws.State.CLOSED
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def test_a_filter_that_fails_costs_no_message(
    raw_server: RawServer, listener: talkws.Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures: list[BaseException | None] = []
    monkeypatch.setattr(
        sys, "unraisablehook", lambda failure: failures.append(failure.exc_value)
    )

    def fail(_: logging.LogRecord) -> bool:
        raise KeyError("of the filter")

    logger = logging.getLogger(CLIENT)
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addFilter(fail)
    try:
        with connected(listener) as (client, server):
            client.send("here")
            upgraded = in_thread(raw_server.accept_and_upgrade)
            silent = talkws.connect(
                raw_server.url, ping_interval=0.01, ping_timeout=0.01
            )
            with upgraded.result(PATIENCE) as peer:
                peer.read_to_end()
            # Keepalive has news now, for whoever makes the next call.
            assert server.recv(PATIENCE) == "here"
        assert silent.state is talkws.State.CLOSED
    finally:
        logger.removeFilter(fail)
        logger.setLevel(level)
    assert isinstance(failures[0], KeyError)


def test_a_logger_of_the_program_is_that_of_its_connections() -> None:
    mine = logging.getLogger("a program")
    records: list[str] = []
    handler = Handler(lambda record: records.append(record.getMessage()))
    mine.addHandler(handler)
    mine.setLevel(logging.INFO)

    def fail(ws: talkws.ServerConnection) -> None:
        assert ws.logger is mine
        raise KeyError("of the handler")

    try:
        with talkws.serve(fail, "127.0.0.1", 0, logger=mine) as server:
            serving = in_thread(server.serve_forever)
            with talkws.connect(server.url, logger=mine) as client:
                assert client.logger is mine
                with pytest.raises(talkws.ConnectionClosedError):
                    client.recv(PATIENCE)
                assert client.close_code == 1011
        serving.result(PATIENCE)
    finally:
        mine.removeHandler(handler)
    assert records == ["connection handler failed", "server closed"]


def test_without_one_there_are_loggers_for_clients_and_servers(
    listener: talkws.Listener,
) -> None:
    with connected(listener) as (client, server):
        assert isinstance(client.logger, logging.Logger)
        assert isinstance(server.logger, logging.Logger)
        assert (client.logger.name, server.logger.name) == (CLIENT, SERVER)
