"""A program that is sent signals while its main thread waits. Run by test_interrupts.py.

python tests/python/interrupted.py SCENARIO

It prints `waiting` when it is about to wait, and then what became of that.
"""

from __future__ import annotations

import select
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from functools import partial
from types import FrameType
from typing import Any, Callable

import talkws
from peers import (
    BINARY,
    CLOSE,
    FIN,
    PATIENCE,
    PONG,
    TEXT,
    RawServer,
    connected,
    frame,
    in_thread,
)

LARGE = bytes(1 << 25)


class Alarmed(Exception):
    """What the handler of SIGUSR1 raises where a scenario says so."""


def say(line: str) -> None:
    print(line, flush=True)


def say_when_waiting() -> None:
    """Say `waiting` as soon as this thread lets another one run, which it does to wait."""
    sys.setswitchinterval(PATIENCE)
    gate = threading.Lock()
    gate.acquire()

    def wait_for_turn() -> None:
        with gate:
            say("waiting")

    threading.Thread(target=wait_for_turn, daemon=True).start()
    gate.release()


def wait_for_signal() -> None:
    """Wait in the program's own code, and say so first.

    A lock of Python's may miss a signal that comes just before it begins to wait.
    """
    woken, wakes = socket.socketpair()
    wakes.setblocking(False)
    signal.set_wakeup_fd(wakes.fileno())
    try:
        say_when_waiting()
        select.select([woken], [], [])
    finally:
        signal.set_wakeup_fd(-1)
        woken.close()
        wakes.close()


def wait_for_interrupt(
    call: Callable[[], object], begun: Future[Any] | None = None
) -> None:
    """Make a call that waits, and say by what it was ended.

    Where the peer can see that the call has begun, `begun` is done when it has.
    """
    try:
        if begun is None:
            say_when_waiting()
        else:
            begun.add_done_callback(lambda _: say("waiting"))
        call()
        say("returned")
    except (KeyboardInterrupt, Alarmed, talkws.WebSocketException) as error:
        say(type(error).__name__)


def check_exchange(client: talkws.Connection, server: talkws.Connection) -> None:
    for sender, receiver in ((client, server), (server, client)):
        sender.send("still works")
        say(str(receiver.recv(PATIENCE)))


def recv() -> None:
    with talkws.listen("ws://127.0.0.1:0") as listener, connected(listener) as ends:
        wait_for_interrupt(ends[0].recv)
        check_exchange(*ends)


def recv_with_timeout() -> None:
    with talkws.listen("ws://127.0.0.1:0") as listener, connected(listener) as ends:
        wait_for_interrupt(lambda: ends[0].recv(PATIENCE))
        check_exchange(*ends)


def iterate() -> None:
    with talkws.listen("ws://127.0.0.1:0") as listener, connected(listener) as ends:
        wait_for_interrupt(lambda: list(ends[0]))
        check_exchange(*ends)


def recv_in_the_middle_of_a_message() -> None:
    whole = frame(FIN | TEXT, b"still works")
    with RawServer() as server, server.talking(then=whole[:5]) as (client, peer):
        wait_for_interrupt(client.recv)
        peer.send(whole[5:])
        say(str(client.recv(PATIENCE)))


def recv_while_another_thread_reads() -> None:
    with talkws.listen("ws://127.0.0.1:0") as listener, connected(listener) as ends:
        client, server = ends
        reading = in_thread(client.recv)
        wait_for_interrupt(client.recv)
        server.send("still works")
        say(str(reading.result(PATIENCE)))
        check_exchange(*ends)


def accept() -> None:
    with talkws.listen("ws://127.0.0.1:0") as listener:
        wait_for_interrupt(listener.accept)
        with connected(listener) as ends:
            check_exchange(*ends)


def connect() -> None:
    with RawServer() as silent:
        begun = in_thread(silent.accept)
        dial = partial(talkws.connect, silent.url, open_timeout=None)
        wait_for_interrupt(dial, begun)
    with talkws.listen("ws://127.0.0.1:0") as listener, connected(listener) as ends:
        check_exchange(*ends)


def send() -> None:
    with RawServer() as server, server.talking() as (client, peer):
        # Its first byte has arrived, and nobody reads the others.
        begun = in_thread(lambda: peer.read_exactly(1))
        wait_for_interrupt(lambda: client.send(LARGE), begun)
        # So all of it will arrive, before anything else does.
        sending = in_thread(lambda: client.send("still works"))
        say(str(peer.read_frame(begun.result()) == (FIN | BINARY, LARGE)))
        say(peer.read_frame()[1].decode())
        sending.result(PATIENCE)
        peer.send(frame(FIN | TEXT, b"still works"))
        say(str(client.recv(PATIENCE)))


def send_the_first_part() -> None:
    """What has begun to leave cannot be taken back: the connection is closed with 1011."""
    with RawServer() as server, server.talking() as (client, peer):
        begun = in_thread(lambda: peer.read_exactly(1))
        reading: list[Future[Any]] = []

        def read_the_rest() -> list[bool]:
            part = peer.read_frame(begun.result())
            opcode, payload = peer.read_frame()
            peer.send(frame(FIN | CLOSE, payload))
            peer.stream.close()
            is_closed = (opcode, payload[:2]) == (FIN | CLOSE, b"\x03\xf3")
            return [part == (BINARY, LARGE), is_closed]

        def interrupt(number: int, _: FrameType | None) -> None:
            reading.append(in_thread(read_the_rest))
            raise KeyboardInterrupt

        signal.signal(signal.SIGINT, interrupt)
        wait_for_interrupt(lambda: client.send([LARGE, b"rest"]), begun)
        say(str(reading[0].result(PATIENCE)))
        say(client.state.name)


def wait_for_a_part() -> None:
    """Ctrl-C in the program's own code, between two parts."""
    with RawServer() as server, server.talking() as (client, peer):

        def parts() -> Iterator[str]:
            yield "one"
            wait_for_signal()

        begun = in_thread(lambda: [peer.read_frame(), peer.read_frame()])
        begun.add_done_callback(lambda _: peer.stream.close())
        try:
            client.send(parts())
        except KeyboardInterrupt:
            say("KeyboardInterrupt")
        (one, close) = begun.result(PATIENCE)
        say(str(one == (TEXT, b"one") and close[1][:2] == b"\x03\xf3"))


def wait_for_a_pong() -> None:
    with RawServer() as server, server.talking() as (client, peer):
        pong = client.ping(b"?")
        wait_for_interrupt(pong.wait)
        peer.send(frame(FIN | TEXT, b"still works") + frame(FIN | PONG, b"?"))
        say(str(pong.wait(PATIENCE)))
        say(str(client.recv(PATIENCE)))


def wait_for_a_pong_while_another_thread_reads() -> None:
    with RawServer() as server, server.talking() as (client, peer):
        reading = in_thread(client.recv)
        pong = client.ping(b"?")
        wait_for_interrupt(pong.wait)
        peer.send(frame(FIN | PONG, b"?"))
        say(str(pong.wait(PATIENCE)))
        peer.send(frame(FIN | TEXT, b"still works"))
        say(str(reading.result(PATIENCE)))


def wait_for_a_pong_in_the_middle_of_a_message() -> None:
    whole = frame(FIN | TEXT, b"still works")
    with RawServer() as server, server.talking(then=whole[:5]) as (client, peer):
        wait_for_interrupt(client.ping().wait)
        peer.send(whole[5:])
        say(str(client.recv(PATIENCE)))


def wait_closed() -> None:
    with talkws.listen("ws://127.0.0.1:0") as listener, connected(listener) as ends:
        wait_for_interrupt(ends[0].wait_closed)
        check_exchange(*ends)


def stream() -> None:
    with (
        RawServer() as server,
        server.talking(then=frame(TEXT, b"still")) as (
            client,
            peer,
        ),
    ):
        say_pieces = client.recv_streaming()
        piece = next(say_pieces)
        wait_for_interrupt(lambda: next(say_pieces))
        peer.send(frame(FIN, b" works"))
        say(str(piece) + "".join(map(str, client.recv_streaming())))


def recv_into() -> None:
    buffer = bytearray(16)
    with RawServer() as server, server.talking() as (client, peer):
        wait_for_interrupt(lambda: client.recv_into(buffer))
        peer.send(frame(FIN | TEXT, b"still works"))
        say(buffer[: client.recv_into(buffer).size].decode())


def serve() -> None:
    def echo(ws: talkws.ServerConnection) -> None:
        for message in ws:
            ws.send(message)

    with talkws.serve(echo, "127.0.0.1", 0) as server:
        dialled = in_thread(lambda: talkws.connect(server.url))
        wait_for_interrupt(server.serve_forever, dialled)
        client = dialled.result()
        serving = in_thread(server.serve_forever)
        client.send("still works")
        say(str(client.recv(PATIENCE)))
        client.close()
        server.shutdown()
        serving.result(PATIENCE)


def close() -> None:
    with RawServer() as server, server.talking() as (client, peer):
        begun = in_thread(peer.read_frame)
        wait_for_interrupt(client.close, begun)
        say(str(begun.result() == (FIN | CLOSE, b"\x03\xe8")))
        peer.send(frame(FIN | CLOSE, b"\x03\xe8"))
        peer.stream.shutdown(socket.SHUT_WR)
        client.close()
        say(str(client.close_code))


def recv_with_another_handler() -> None:
    """A handler that raises an exception of its own."""

    def raise_alarm(number: int, _: FrameType | None) -> None:
        raise Alarmed(number)

    signal.signal(signal.SIGINT, raise_alarm)
    recv()


def recv_goes_on() -> None:
    """A handler that only notes that it ran."""
    with talkws.listen("ws://127.0.0.1:0") as listener, connected(listener) as ends:
        client, server = ends

        def note(number: int, _: FrameType | None) -> None:
            say("handled")
            server.send("after the signal")

        signal.signal(signal.SIGINT, note)
        say_when_waiting()
        say(str(client.recv()))


def send_goes_on() -> None:
    """After a handler that returns, `send` still waits until all has left."""
    with RawServer() as server, server.talking() as (client, peer):
        begun = in_thread(lambda: peer.read_exactly(1))
        begun.add_done_callback(lambda _: say("waiting"))
        reading: list[Future[tuple[int, bytes]]] = []

        def note(number: int, _: FrameType | None) -> None:
            say("handled")
            reading.append(in_thread(lambda: peer.read_frame(begun.result())))

        signal.signal(signal.SIGINT, note)
        client.send(LARGE)
        # Nothing is left to this end: the peer has it all without another call here.
        say(str(reading[0].result(PATIENCE) == (FIN | BINARY, LARGE)))


def handler_closes_the_connection() -> None:
    with talkws.listen("ws://127.0.0.1:0") as listener, connected(listener) as ends:
        client, server = ends
        answering = in_thread(lambda: list(server))
        signal.signal(signal.SIGINT, lambda *_: client.close(1001, "signal"))
        wait_for_interrupt(client.recv)
        say(str(answering.result(PATIENCE)))
        say(f"{server.close_code} {server.close_reason}")


def handler_closes_the_listener() -> None:
    with talkws.listen("ws://127.0.0.1:0") as listener:
        signal.signal(signal.SIGINT, lambda *_: listener.close())
        say_when_waiting()
        for _ in listener:
            pass
        say("ended")


def handler_reads_from_the_connection() -> None:
    with talkws.listen("ws://127.0.0.1:0") as listener, connected(listener) as ends:
        client, server = ends

        def read(number: int, _: FrameType | None) -> None:
            server.send("for the handler")
            say(str(client.recv()))
            server.send("for the call")

        signal.signal(signal.SIGINT, read)
        say_when_waiting()
        say(str(client.recv()))


def handler_connects_while_connecting() -> None:
    with talkws.listen("ws://127.0.0.1:0") as listener, RawServer() as silent:

        def connect_elsewhere(number: int, _: FrameType | None) -> None:
            with connected(listener) as ends:
                check_exchange(*ends)
            raise Alarmed

        signal.signal(signal.SIGINT, connect_elsewhere)
        wait_for_interrupt(lambda: talkws.connect(silent.url))


if __name__ == "__main__":
    # Who is started by a shell's background job ignores SIGINT, if nobody objects.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    globals()[sys.argv[1]]()
    say("done")
