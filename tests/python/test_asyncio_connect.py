"""talkws.asyncio: connecting, once and again."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
import weakref
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, Callable

import pytest
import talkws
from certificates import Identity, make
from loops import LOOPS, echo, raises, run_on
from peers import FIN, TEXT, RawServer, frame, in_thread
from talkws.asyncio import (
    ClientConnection,
    ServerConnection,
    connect,
    serve,
    unix_connect,
    unix_serve,
)

Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Run:
    return lambda program: run_on(request.param, program)


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    return make(tmp_path_factory.mktemp("certificates"), "asyncio")


def refused_url() -> str:
    """Where nobody listens."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        return f"ws://127.0.0.1:{nobody.getsockname()[1]}/"


def test_awaiting_and_a_block_make_connections(run: Run) -> None:
    async def program() -> None:
        async with serve(echo, "127.0.0.1", 0) as server:
            ws = await connect(server.url)
            assert isinstance(ws, ClientConnection)
            await ws.send("hello")
            assert await ws.recv() == "hello"
            assert ws.request is not None and ws.request.path == "/"
            assert ws.response is not None and ws.response.status_code == 101
            assert ws.remote_address == server.sockets[0].getsockname()
            assert "open" in repr(ws) and "asyncio" in repr(ws)
            await ws.close()
            async with connect(server.url) as ws:
                await ws.send(b"again")
                assert await ws.recv() == b"again"
            assert ws.close_code == 1000

    run(program())


def test_a_block_is_entered_once(run: Run) -> None:
    async def program() -> None:
        async with serve(echo, "127.0.0.1", 0) as server:
            connecting = connect(server.url)
            async with connecting:
                await raises(RuntimeError, connecting.__aenter__())

    run(program())


def test_messages_go_through_tls(run: Run, identity: Identity) -> None:
    async def program() -> None:
        tls = talkws.ServerTLS([identity.files])
        client_tls = talkws.ClientTLS(ca_file=identity.ca)
        sizes = [0, 1, 125, 126, 70_000, 3_000_000]
        async with serve(echo, "127.0.0.1", 0, ssl=tls) as server:
            async with connect(server.url, ssl=client_tls) as ws:
                assert ws.tls is not None and ws.tls.version == "TLSv1.3"

                async def send_all() -> None:
                    for size in sizes * 3:
                        await ws.send(bytes(size))

                sending = asyncio.ensure_future(send_all())
                for size in sizes * 3:
                    assert len(await ws.recv()) == size
                await sending

    run(program())


def test_many_small_messages_in_one_tls_record_are_all_received(
    run: Run, identity: Identity
) -> None:
    """Bytes that TLS has received already make no descriptor readable."""

    async def program() -> None:
        tls = talkws.ServerTLS([identity.files])
        client_tls = talkws.ClientTLS(ca_file=identity.ca)

        async def burst(ws: ServerConnection) -> None:
            await ws.recv()
            for number in range(1000):
                await ws.send(str(number))
            await ws.wait_closed()

        async with serve(burst, "127.0.0.1", 0, ssl=tls) as server:
            async with connect(server.url, ssl=client_tls, max_queue=2) as ws:
                await ws.send("go")
                assert [await ws.recv() for _ in range(1000)] == [
                    str(number) for number in range(1000)
                ]

    run(program())


def test_unix_sockets_carry_it(run: Run, tmp_path: Path) -> None:
    async def program() -> None:
        path = tmp_path / "socket"
        async with unix_serve(echo, path):
            async with unix_connect(path) as ws:
                await ws.send("hello")
                assert await ws.recv() == "hello"
        with pytest.raises(ValueError):
            unix_connect()
        with pytest.raises(ValueError):
            unix_serve(echo)

    run(program())


def test_a_connected_socket_is_taken_over(run: Run) -> None:
    async def program() -> None:
        async with serve(echo, "127.0.0.1", 0) as server:
            sock = socket.create_connection(server.sockets[0].getsockname())
            async with connect(server.url, sock=sock) as ws:
                await ws.send("hello")
                assert await ws.recv() == "hello"

    run(program())


def test_host_and_port_are_connected_to_instead(run: Run) -> None:
    async def program() -> None:
        async with serve(echo, "127.0.0.1", 0) as server:
            async with connect(
                "ws://nobody.invalid/path", host="127.0.0.1", port=server.port
            ) as ws:
                assert ws.request is not None
                assert ws.request.headers["Host"] == "nobody.invalid"

    run(program())


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"family": socket.AF_INET}, NotImplementedError),
        ({"happy_eyeballs_delay": 1}, NotImplementedError),
        ({"compression": "zip"}, ValueError),
        ({"max_queue": 0}, ValueError),
        ({"max_queue": (4, 5)}, ValueError),
        ({"write_limit": -1}, ValueError),
        ({"nonsense": 1}, TypeError),
    ],
)
def test_options_that_cannot_be_are_refused(
    run: Run, options: dict[str, Any], kind: type[Exception]
) -> None:
    async def program() -> None:
        async with serve(echo, "127.0.0.1", 0) as server:

            async def connected() -> None:
                await connect(server.url, **options)

            await raises(kind, connected())

    run(program())


@pytest.mark.parametrize(
    ("uri", "kind"),
    [("http://localhost", talkws.InvalidURI), (refused_url(), OSError)],
)
def test_what_cannot_be_connected_to_is_said(
    run: Run, uri: str, kind: type[Exception]
) -> None:
    async def program() -> None:
        async def connected() -> None:
            await connect(uri)

        await raises(kind, connected())

    run(program())


def test_a_server_that_does_not_answer_is_given_up(run: Run) -> None:
    async def program() -> None:
        with RawServer() as server:
            started = asyncio.ensure_future(
                connect(server.url, open_timeout=0.05)._connect()
            )
            await raises(TimeoutError, started)

    run(program())


def test_a_cancelled_connect_ends_its_dial(run: Run) -> None:
    """The other end sees that, though its time is not up."""

    async def program() -> None:
        with RawServer() as server:
            accepted = in_thread(lambda: server.accept())
            connecting = asyncio.ensure_future(
                connect(server.url, open_timeout=None)._connect()
            )
            peer = await asyncio.wrap_future(accepted)
            connecting.cancel()
            await raises(asyncio.CancelledError, connecting)
            with peer:
                rest = await asyncio.to_thread(peer.read_to_end)
            assert rest.startswith(b"GET / HTTP/1.1\r\n") or rest == b""

    run(program())


def test_iterating_connects_again_and_again(run: Run) -> None:
    async def program() -> None:
        came: list[str] = []

        async def greet(ws: ServerConnection) -> None:
            await ws.send(f"number {len(came)}")
            came.append("one")
            if len(came) == 2:
                # Lost, which the client gets over.
                ws._abort()
            await ws.wait_closed()

        got: list[Any] = []
        async with serve(greet, "127.0.0.1", 0) as server:
            async for ws in connect(server.url):
                try:
                    async for message in ws:
                        got.append(message)
                        if message != "number 1":
                            break
                except talkws.ConnectionClosedError:
                    got.append("lost")
                    continue
                if message == "number 2":
                    break
        assert got[0] == "number 0" and got[-1] == "number 2" and "lost" in got
        assert ws.close_code == 1000

    run(program())


def test_what_may_pass_is_waited_out(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "talkws")

    async def program() -> None:
        url = refused_url()
        delays = [0.0, 0.0]

        async def connect_all() -> None:
            async for _ in connect(url, reconnect_delays=lambda: iter(delays)):
                raise AssertionError("nobody is there")

        await raises(OSError, connect_all())

    run(program())
    assert caplog.text.count("trying again in") == 2


def test_the_program_may_decide_what_is_waited_out(run: Run) -> None:
    async def program() -> None:
        url = refused_url()

        async def connect_all(decide: Callable[[Exception], Exception | None]) -> None:
            async for _ in connect(url, process_exception=decide):
                raise AssertionError("nobody is there")

        await raises(OSError, connect_all(lambda error: error))
        other = await raises(
            ZeroDivisionError, connect_all(lambda _: ZeroDivisionError())
        )
        assert isinstance(other.__cause__, OSError)

    run(program())


def test_a_class_of_ones_own_is_made(run: Run) -> None:
    class Mine(ClientConnection):
        """One."""

    async def program() -> None:
        async with serve(echo, "127.0.0.1", 0) as server:
            async with connect(server.url, create_connection=Mine) as ws:
                assert type(ws) is Mine

    run(program())


def test_many_connect_at_once(run: Run) -> None:
    async def program() -> None:
        async with serve(echo, "127.0.0.1", 0) as server:

            async def talk(number: int) -> None:
                async with connect(server.url) as ws:
                    await ws.send(str(number))
                    assert await ws.recv() == str(number)

            await asyncio.gather(*(talk(number) for number in range(300)))
            assert server.connections == set()

    run(program())


def test_a_connection_that_its_loop_leaves_behind_is_collected() -> None:
    async def leave(url: str) -> None:
        ws = await connect(url)
        gone.append(weakref.ref(ws))
        receiving = asyncio.ensure_future(ws.recv())
        await asyncio.sleep(0)
        receiving.cancel()

    gone: list[weakref.ref[ClientConnection]] = []
    with RawServer() as server:
        upgraded = in_thread(server.accept_and_upgrade)
        loop = asyncio.new_event_loop()
        loop.run_until_complete(leave(server.url))
        loop.close()
        del loop
        with upgraded.result() as peer:
            gc.collect()
            assert gone[0]() is None
            assert peer.stream.recv(1) == b""


def test_what_came_before_the_connection_was_made_is_not_lost(run: Run) -> None:
    async def program() -> None:
        with RawServer() as server:
            upgraded = in_thread(
                lambda: server.accept_and_upgrade(
                    then=b"".join(frame(FIN | TEXT, b"%d" % n) for n in range(50))
                )
            )
            ws = await connect(server.url, max_queue=1, close_timeout=0)
            with upgraded.result():
                assert [await ws.recv() for _ in range(50)] == [
                    str(n) for n in range(50)
                ]
                await ws.close()

    run(program())


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("no_proxy", "*")
    yield
