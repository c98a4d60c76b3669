"""talkws.asyncio: serving, and shutting down."""

from __future__ import annotations

import asyncio
import base64
import http
import logging
from collections.abc import Coroutine
from typing import Any, Callable

import pytest
import talkws
from loops import LOOPS, echo, raises, run_on, until
from talkws.asyncio import ServerConnection, basic_auth, broadcast, connect, serve

Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Run:
    return lambda program: run_on(request.param, program)


async def get(port: int, path: str, headers: str = "") -> bytes:
    """What a server answers to a plain request."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n"
    writer.write(request.encode())
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


def test_each_connection_has_a_task(run: Run) -> None:
    async def program() -> None:
        tasks = set()

        async def handler(ws: ServerConnection) -> None:
            tasks.add(asyncio.current_task())
            assert ws.server is server
            assert ws in server.connections
            await ws.send(str(len(server.connections)))
            await ws.recv()

        async with serve(handler, "127.0.0.1", 0) as server:
            async with connect(server.url) as one, connect(server.url) as two:
                assert [await one.recv(), await two.recv()] == ["1", "2"]
                await one.send("done")
                await two.send("done")
                await asyncio.gather(one.wait_closed(), two.wait_closed())
                assert one.close_code == two.close_code == 1000
            assert len(tasks) == 2
            await until(lambda: server.connections == set())

    run(program())


def test_a_handler_that_raises_is_told_of_and_closes_with_1011(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def program() -> None:
        async def fail(ws: ServerConnection) -> None:
            raise ZeroDivisionError("as the test wants it")

        async with serve(fail, "127.0.0.1", 0) as server:
            async with connect(server.url) as ws:
                error = await raises(talkws.ConnectionClosedError, ws.recv())
                assert error.code == 1011

    run(program())
    assert "connection handler failed" in caplog.text
    assert "as the test wants it" in caplog.text


def test_a_lost_connection_is_no_failure_of_the_handler(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def program() -> None:
        async with serve(echo, "127.0.0.1", 0) as server:
            async with connect(server.url) as ws:
                ws._abort()
            await until(lambda: not server._tasks)

    run(program())
    assert not [r for r in caplog.records if r.levelno >= logging.WARNING]


def test_closing_the_server_closes_connections_and_waits_for_handlers(run: Run) -> None:
    async def program() -> None:
        ended = []

        async def handler(ws: ServerConnection) -> None:
            error = await raises(talkws.ConnectionClosed, ws.recv())
            await asyncio.sleep(0.01)
            ended.append(error.sent)

        server = await serve(handler, "127.0.0.1", 0)
        url = server.url
        async with connect(url) as ws:
            await until(lambda: len(server.connections) == 1)
            server.close(code=1012, reason="restarting")
            server.close()
            closed = await raises(talkws.ConnectionClosedError, ws.recv())
            assert closed.rcvd == talkws.Close(1012, "restarting")
            await server.wait_closed()
        assert ended == [talkws.Close(1012, "restarting")]
        assert not server.is_serving()

        async def late() -> None:
            await connect(url)

        await raises(OSError, late())
        with pytest.raises(ValueError):
            server.close(code=1006)

    run(program())


def test_connections_may_go_on_when_the_server_is_closed(run: Run) -> None:
    async def program() -> None:
        async with serve(echo, "127.0.0.1", 0) as server:
            ws = await connect(server.url)
            server.close(close_connections=False)
            await ws.send("still here")
            assert await ws.recv() == "still here"
            waiting = asyncio.ensure_future(server.wait_closed())
            await asyncio.sleep(0)
            assert not waiting.done()
            await ws.close()
            await waiting

    run(program())


def test_a_cancelled_server_closes(run: Run) -> None:
    async def program() -> None:
        server = await serve(echo, "127.0.0.1", 0)
        serving = asyncio.ensure_future(server.serve_forever())
        async with connect(server.url) as ws:
            serving.cancel()
            closed = await raises(talkws.ConnectionClosedOK, ws.recv())
            assert closed.rcvd is not None and closed.rcvd.code == 1001
            await raises(asyncio.CancelledError, serving)

    run(program())


def test_serving_may_begin_later(run: Run) -> None:
    async def program() -> None:
        async with serve(echo, "127.0.0.1", 0, start_serving=False) as server:
            assert not server.is_serving()
            connecting = asyncio.ensure_future(connect(server.url)._connect())
            await asyncio.sleep(0)
            await server.start_serving()
            ws = await connecting
            await ws.send("hello")
            assert await ws.recv() == "hello"
            await ws.close()

    run(program())


@pytest.mark.parametrize("is_async", [False, True])
def test_process_request_answers_and_lets_in(run: Run, is_async: bool) -> None:
    def answer(ws: ServerConnection, request: talkws.Request) -> talkws.Response | None:
        if request.path == "/healthz":
            return ws.respond(http.HTTPStatus.OK, "OK\n")
        if request.path == "/raise":
            raise ZeroDivisionError
        return None

    async def answer_later(
        ws: ServerConnection, request: talkws.Request
    ) -> talkws.Response | None:
        await asyncio.sleep(0.001)
        return answer(ws, request)

    async def program() -> None:
        process_request = answer_later if is_async else answer
        async with serve(
            echo, "127.0.0.1", 0, process_request=process_request
        ) as server:
            response = await get(server.port, "/healthz")
            assert response.startswith(b"HTTP/1.1 200 OK\r\n")
            assert response.endswith(b"\r\n\r\nOK\n")
            refused = await raises(
                talkws.InvalidStatus, connect(f"{server.url}/raise")._connect()
            )
            assert refused.response.status_code == 500
            async with connect(server.url) as ws:
                await ws.send("in")
                assert await ws.recv() == "in"

    run(program())


def test_process_response_may_change_headers(run: Run) -> None:
    async def change(
        ws: ServerConnection, request: talkws.Request, response: talkws.Response
    ) -> None:
        response.headers["X-Seen"] = request.path

    async def program() -> None:
        async with serve(echo, "127.0.0.1", 0, process_response=change) as server:
            async with connect(f"{server.url}/here") as ws:
                assert ws.response is not None
                assert ws.response.headers["X-Seen"] == "/here"

    run(program())


def test_subprotocols_are_agreed_upon(run: Run) -> None:
    async def program() -> None:
        async with serve(echo, "127.0.0.1", 0, subprotocols=["b", "a"]) as server:
            async with connect(server.url, subprotocols=["a", "b"]) as ws:
                assert ws.subprotocol == "b"

    run(program())


@pytest.mark.parametrize("is_async", [False, True])
def test_basic_auth_asks_who_it_is(run: Run, is_async: bool) -> None:
    def check(name: str, password: str) -> bool:
        return (name, password) == ("ann", "secret")

    async def check_later(name: str, password: str) -> bool:
        await asyncio.sleep(0)
        return check(name, password)

    async def whoami(ws: ServerConnection) -> None:
        await ws.send(ws.username)

    def header(text: str) -> dict[str, str]:
        return {"Authorization": "Basic " + base64.b64encode(text.encode()).decode()}

    async def program() -> None:
        auth = basic_auth("here", check_credentials=check_later if is_async else check)
        async with serve(whoami, "127.0.0.1", 0, process_request=auth) as server:
            async with connect(
                server.url, additional_headers=header("ann:secret")
            ) as ws:
                assert await ws.recv() == "ann"
            for wrong in ({}, header("ann:wrong")):
                refused = await raises(
                    talkws.InvalidStatus,
                    connect(server.url, additional_headers=wrong)._connect(),
                )
                assert refused.response.status_code == 401

    run(program())


def test_slow_requests_hold_up_nobody(run: Run) -> None:
    async def program() -> None:
        async with serve(echo, "127.0.0.1", 0) as server:
            slow = [
                await asyncio.open_connection("127.0.0.1", server.port)
                for _ in range(50)
            ]
            for _, writer in slow:
                writer.write(b"GET / HTTP/1.1\r\n")
            async with connect(server.url) as ws:
                await ws.send("at once")
                assert await ws.recv() == "at once"
            for _, writer in slow:
                writer.close()

    run(program())


def test_a_port_in_use_is_an_os_error(run: Run) -> None:
    async def program() -> None:
        async with serve(echo, "127.0.0.1", 0) as server:

            async def again() -> None:
                await serve(echo, "127.0.0.1", server.port)

            await raises(OSError, again())

    run(program())


def test_a_server_that_was_not_started_says_so(run: Run) -> None:
    async def program() -> None:
        server = serve(echo, "127.0.0.1", 0)
        with pytest.raises(talkws.InvalidState):
            server.port  # noqa: B018
        await raises(talkws.InvalidState, server.wait_closed())

    run(program())


def test_a_server_by_events_is_not_needed_for_many(run: Run) -> None:
    """They all get what is said to all."""

    async def program() -> None:
        async def listen(ws: ServerConnection) -> None:
            await ws.wait_closed()

        async with serve(listen, "127.0.0.1", 0) as server:
            clients = await asyncio.gather(
                *(connect(server.url)._connect() for _ in range(200))
            )
            await until(lambda: len(server.connections) == 200)
            for message in ("text", b"bytes", talkws.Prepared("prepared")):
                broadcast(server.connections, message)
            for client in clients:
                assert [await client.recv() for _ in range(3)] == [
                    "text",
                    b"bytes",
                    "prepared",
                ]
            server.close()
            await asyncio.gather(*(client.wait_closed() for client in clients))

    run(program())


def test_a_broadcast_is_held_up_by_nobody(run: Run) -> None:
    async def program() -> None:
        async def listen(ws: ServerConnection) -> None:
            await ws.wait_closed()

        async with serve(listen, "127.0.0.1", 0, close_timeout=0.1) as server:
            slow = await connect(server.url, max_queue=1, close_timeout=0.1)
            fast = await connect(server.url)
            await until(lambda: len(server.connections) == 2)
            big = bytes(1_000_000)
            sent = 0
            while all(each.backlog < 2_000_000 for each in server.connections):
                broadcast(server.connections, big)
                assert await fast.recv() == big
                sent += 1
            for _ in range(sent):
                assert await slow.recv() == big
            with pytest.raises(TypeError):
                broadcast(server.connections, ["parts"])  # type: ignore[arg-type]
            await fast.close()
            broadcast([fast, slow], "to who is left")
            await slow.close()

    run(program())


def test_requests_that_are_no_handshake_are_answered(run: Run) -> None:
    async def program() -> None:
        async with serve(echo, "127.0.0.1", 0) as server:
            answer = await get(server.port, "/")
            assert answer.startswith(b"HTTP/1.1 426 ")

    run(program())
