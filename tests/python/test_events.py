"""Serving by events: what a handler is told, and what it may do."""

from __future__ import annotations

import http
import logging
import os
import queue
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import talkws
from peers import PATIENCE, in_thread


class Program(talkws.EventHandler):
    """Does what its messages say, and sends back those that say nothing."""

    def __init__(self) -> None:
        self.told: queue.Queue[tuple[str, Any]] = queue.Queue()
        self.server: talkws.EventServer | None = None

    def on_open(self, ws: talkws.ServerConnection) -> None:
        self.told.put(("open", ws))

    def on_message(self, ws: talkws.ServerConnection, message: str | bytes) -> None:
        if message == "fail":
            raise LookupError("as the test wants it")
        if message == "close":
            ws.close(4000, "as you said")
        elif message == "read":
            with pytest.raises(talkws.ConcurrencyError):
                ws.recv()
            ws.send("it is not to be read")
        elif message == "shut down":
            assert self.server is not None
            self.server.shutdown()
        else:
            ws.send(message)

    def on_close(self, ws: talkws.ServerConnection) -> None:
        self.told.put(("close", (ws.close_code, ws.close_reason)))

    def hears(self, what: str) -> Any:
        told, value = self.told.get(timeout=PATIENCE)
        assert told == what
        return value


@contextmanager
def serving(
    program: talkws.EventHandler, **options: Any
) -> Iterator[talkws.EventServer]:
    with talkws.serve_events(program, "127.0.0.1", 0, **options) as server:
        serving = in_thread(server.serve_forever)
        yield server
    assert isinstance(serving.result(PATIENCE), talkws.ServeReport)


@pytest.mark.parametrize("threads", [1, 3])
def test_a_handler_is_told_what_happens(threads: int) -> None:
    program = Program()
    with serving(program, threads=threads) as server:
        with talkws.connect(server.url) as client:
            ws = program.hears("open")
            assert ws.server is server
            for message in ("hello", "grüße" * 20_000, b"", b"\0" * 100_000):
                client.send(message)
                assert client.recv(PATIENCE) == message
            # Any thread may write.
            ws.send("from elsewhere")
            assert client.recv(PATIENCE) == "from elsewhere"
            client.send("read")
            assert client.recv(PATIENCE) == "it is not to be read"
            client.close(4001, "bye")
        assert program.hears("close") == (4001, "bye")


def test_a_handler_closes_without_waiting() -> None:
    program = Program()
    with serving(program) as server, talkws.connect(server.url) as client:
        program.hears("open")
        client.send("close")
        with pytest.raises(talkws.ConnectionClosedError) as closed:
            client.recv(PATIENCE)
        assert closed.value.rcvd == talkws.Close(4000, "as you said")
        assert program.hears("close")[0] == 4000


def test_a_failure_is_logged_and_ends_its_connection(
    caplog: pytest.LogCaptureFixture,
) -> None:
    program = Program()
    with serving(program) as server:
        with (
            talkws.connect(server.url) as other,
            talkws.connect(server.url) as client,
        ):
            client.send("fail")
            with pytest.raises(talkws.ConnectionClosedError) as closed:
                client.recv(PATIENCE)
            assert closed.value.rcvd is not None and closed.value.rcvd.code == 1011
            other.send("still there")
            assert other.recv(PATIENCE) == "still there"
    [record] = [one for one in caplog.records if one.levelno == logging.ERROR]
    assert record.exc_info and isinstance(record.exc_info[1], LookupError)


def test_a_failure_at_a_request_is_logged_and_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def make(*_: Any, **__: Any) -> talkws.ServerConnection:
        raise LookupError("as the test wants it")

    with serving(Program(), create_connection=make) as server:
        with pytest.raises(talkws.InvalidStatus) as refused:
            talkws.connect(server.url)
        assert refused.value.response.status_code == 500
    [record] = [one for one in caplog.records if one.levelno == logging.ERROR]
    assert record.exc_info and isinstance(record.exc_info[1], LookupError)


def test_requests_are_looked_at_and_refused() -> None:
    def process_request(
        ws: talkws.ServerConnection, request: talkws.Request
    ) -> talkws.Response | None:
        if request.path == "/no":
            return ws.respond(http.HTTPStatus.FORBIDDEN, "no\n")
        return None

    options: dict[str, Any] = {"process_request": process_request}
    with serving(Program(), subprotocols=["chat"], **options) as server:
        with talkws.connect(server.url, subprotocols=["chat"]) as client:
            assert client.subprotocol == "chat"
        with pytest.raises(talkws.InvalidStatus) as refused:
            talkws.connect(f"{server.url}/no", subprotocols=["chat"])
        assert refused.value.response.status_code == 403


def test_a_handler_may_shut_down() -> None:
    program = Program()
    with talkws.serve_events(program, "127.0.0.1", 0) as server:
        program.server = server
        serving = in_thread(server.serve_forever)
        with talkws.connect(server.url) as client:
            client.send("shut down")
            with pytest.raises(talkws.ConnectionClosedOK) as closed:
                client.recv(PATIENCE)
            assert closed.value.rcvd is not None and closed.value.rcvd.code == 1001
        assert serving.result(PATIENCE) == talkws.ServeReport(1, 0)
        # Nothing is left to serve.
        assert server.serve_forever() == talkws.ServeReport(1, 0)


def test_a_server_that_never_served_shuts_down() -> None:
    with talkws.serve_events(Program(), "127.0.0.1", 0) as server:
        with pytest.raises(ValueError, match="not a code"):
            server.shutdown(70_000)
    assert server.serve_forever() == talkws.ServeReport(0, 0)
    with pytest.raises(OSError, match="."):
        talkws.connect(server.url, open_timeout=PATIENCE)
    for threads in (0, 1025):
        with pytest.raises(ValueError, match="threads"):
            talkws.serve_events(Program(), "127.0.0.1", 0, threads=threads)


def test_ctrl_c_ends_serving_and_closes() -> None:
    program = Program()
    with pytest.raises(KeyboardInterrupt):
        with talkws.serve_events(program, "127.0.0.1", 0) as server:

            def talk() -> int | None:
                with talkws.connect(server.url) as client:
                    client.send("hello")
                    assert client.recv(PATIENCE) == "hello"
                    os.kill(os.getpid(), signal.SIGINT)
                    client.wait_closed()
                    return client.close_code

            client = in_thread(talk)
            server.serve_forever()
    assert client.result(PATIENCE) == 1001
    assert "talkws-events" not in [thread.name for thread in threading.enumerate()]
