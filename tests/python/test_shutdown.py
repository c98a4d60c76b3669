"""Shutting a server down: from wherever, however often, whatever its handlers do."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import talkws
from peers import PATIENCE, echo, in_thread, serving


def wait_for_end(connection: talkws.ServerConnection) -> None:
    """A handler that ends with its connection."""
    list(connection)


def close_of(client: talkws.ClientConnection) -> tuple[int | None, str | None]:
    """With what the server closes."""
    with pytest.raises(talkws.ConnectionClosed):
        client.recv(PATIENCE)
    return client.close_code, client.close_reason


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [((), (1001, "")), ((True, 1012, "new version"), (1012, "new version"))],
)
def test_connections_are_closed(
    arguments: tuple[bool, int, str], expected: tuple[int, str]
) -> None:
    with serving(wait_for_end) as server:
        clients = [talkws.connect(server.url) for _ in range(3)]
        shutting_down = in_thread(lambda: server.shutdown(*arguments))
        assert [close_of(client) for client in clients] == [expected] * 3
        shutting_down.result(PATIENCE)
        with pytest.raises(ConnectionRefusedError):
            talkws.connect(server.url)


@pytest.mark.parametrize(
    ("code", "reason"), [(1006, ""), (70000, ""), (1000, "x" * 124)]
)
def test_what_no_close_frame_can_say_is_refused_before_anything_ends(
    code: int, reason: str
) -> None:
    with serving(echo) as server:
        with talkws.connect(server.url) as client:
            with pytest.raises(ValueError, match="close"):
                server.shutdown(code=code, reason=reason)
            client.send("still there?")
            assert client.recv(PATIENCE) == "still there?"
        talkws.connect(server.url).close()


def test_connections_may_go_on() -> None:
    with serving(echo) as server:
        client = talkws.connect(server.url)
        shutting_down = in_thread(lambda: server.shutdown(close_connections=False))
        # The listener is closed first: nobody comes any more.
        while True:
            try:
                talkws.connect(server.url).close()
            except (OSError, talkws.InvalidHandshake):
                break
        client.send("still there?")
        assert client.recv(PATIENCE) == "still there?"
        client.close()
        shutting_down.result(PATIENCE)


def test_connections_that_went_on_may_be_closed_later() -> None:
    with serving(wait_for_end) as server:
        client = talkws.connect(server.url)
        waiting = in_thread(lambda: server.shutdown(close_connections=False))
        closing = in_thread(server.shutdown)
        assert close_of(client) == (1001, "")
        waiting.result(PATIENCE)
        closing.result(PATIENCE)


def test_it_waits_for_handlers_that_ignore_the_end() -> None:
    order = []
    released = threading.Event()

    def handler(connection: talkws.ServerConnection) -> None:
        connection.send("here")
        list(connection)
        assert released.wait(PATIENCE)
        order.append("handler")

    with serving(handler) as server:
        client = talkws.connect(server.url)
        assert client.recv(PATIENCE) == "here"
        shutting_down = in_thread(server.shutdown)
        shutting_down.add_done_callback(lambda _: order.append("shutdown"))
        assert close_of(client) == (1001, "")
        released.set()
        shutting_down.result(PATIENCE)
    assert order == ["handler", "shutdown"]


def test_once_is_enough_and_twice_is_no_harm() -> None:
    with serving(wait_for_end) as server:
        client = talkws.connect(server.url)
        shutting_down = [in_thread(server.shutdown) for _ in range(3)]
        assert close_of(client) == (1001, "")
        for future in shutting_down:
            future.result(PATIENCE)
        server.shutdown()
    # Nothing is left to serve.
    server.serve_forever()


def test_a_handler_may_shut_its_server_down() -> None:
    said: list[talkws.State] = []

    def handler(connection: talkws.ServerConnection) -> None:
        connection.recv()
        server.shutdown(reason="you said so")
        said.append(connection.state)

    with serving(handler) as server:
        client = talkws.connect(server.url)
        client.send("stop")
        assert close_of(client) == (1001, "you said so")
    assert said == [talkws.State.CLOSED]


def test_handlers_may_shut_their_server_down_at_once() -> None:
    together = threading.Barrier(2, timeout=PATIENCE)

    def handler(connection: talkws.ServerConnection) -> None:
        together.wait()
        server.shutdown()

    with serving(handler) as server:
        clients = [talkws.connect(server.url) for _ in range(2)]
        assert [close_of(client) for client in clients] == [(1001, "")] * 2


def test_a_handshake_that_goes_on_ends_with_503() -> None:
    looking, released = threading.Event(), threading.Event()

    def look(connection: talkws.ServerConnection, request: talkws.Request) -> None:
        looking.set()
        assert released.wait(PATIENCE)

    with serving(echo, process_request=look) as server:
        connecting = in_thread(lambda: talkws.connect(server.url))
        assert looking.wait(PATIENCE)
        shutting_down = in_thread(server.shutdown)
        # Past this it is shutting down.
        server.serve_forever()
        released.set()
        with pytest.raises(talkws.InvalidStatus) as caught:
            connecting.result(PATIENCE)
        assert caught.value.response.status_code == 503
        shutting_down.result(PATIENCE)


def test_process_request_may_shut_its_server_down() -> None:
    def look(connection: talkws.ServerConnection, request: talkws.Request) -> None:
        server.shutdown()

    with serving(echo, process_request=look) as server:
        with pytest.raises(talkws.InvalidStatus, match="503"):
            talkws.connect(server.url)


def test_a_signal_handler_may_shut_down_while_a_thread_is_being_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    start = threading.Thread.start

    def start_after_a_signal(thread: threading.Thread) -> None:
        if thread.name == "talkws-handler":
            server.shutdown()
        start(thread)

    with serving(echo) as server:
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", start_after_a_signal)
            with pytest.raises(talkws.InvalidStatus, match="503"):
                talkws.connect(server.url)


def test_ctrl_c_while_a_thread_is_being_started_leaves_nobody_to_wait_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    start = threading.Thread.start

    def interrupt(thread: threading.Thread) -> None:
        if thread.name == "talkws-handler":
            raise KeyboardInterrupt
        start(thread)

    with talkws.serve(echo, "127.0.0.1", 0) as server:
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", interrupt)
            connecting = in_thread(lambda: talkws.connect(server.url))
            with pytest.raises(KeyboardInterrupt):
                server.serve_forever()
        with pytest.raises(talkws.InvalidStatus, match="503"):
            connecting.result(PATIENCE)


def test_connections_are_closed_without_threads_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    start = threading.Thread.start

    def refuse_closers(thread: threading.Thread) -> None:
        if thread.name == "talkws-closer":
            raise RuntimeError("can't start new thread")
        start(thread)

    with serving(wait_for_end) as server:
        clients = [talkws.connect(server.url) for _ in range(2)]
        ends = [in_thread(lambda client=client: close_of(client)) for client in clients]  # type: ignore[misc]
        monkeypatch.setattr(threading.Thread, "start", refuse_closers)
        server.shutdown()
        assert [end.result(PATIENCE) for end in ends] == [(1001, "")] * 2


@pytest.mark.parametrize(
    ("scenario", "code", "said"),
    [
        ("ctrl_c", 1001, "KeyboardInterrupt"),
        ("ctrl_c_while_handlers_ignore_the_end", 1001, "KeyboardInterrupt"),
        ("ctrl_c_while_the_client_is_silent", None, "KeyboardInterrupt"),
        ("shutdown_in_a_signal_handler", 1012, "shut down"),
        ("shutdown_in_a_signal_handler_while_others_serve", 1012, "shut down"),
    ],
)
def test_a_signal_ends_serving_in_the_main_thread(
    scenario: str, code: int | None, said: str
) -> None:
    program = subprocess.Popen(
        [
            *(sys.executable, "-X", "faulthandler"),
            *(Path(__file__).with_name("interrupted_server.py"), scenario),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    with program:
        try:
            assert program.stdout is not None
            port = int(program.stdout.readline())
            client = talkws.connect(f"ws://127.0.0.1:{port}", ping_interval=None)
            assert client.recv(PATIENCE) == "here"
            program.send_signal(signal.SIGINT)
            if code is not None:
                assert close_of(client)[0] == code
            output, _ = program.communicate(timeout=PATIENCE)
        finally:
            program.kill()
    assert output.splitlines() == [said, "['MainThread']"]
    assert program.returncode == 0
    client.close()
