"""Programs of more than one process or interpreter, and programs that end while they wait. Run by
test_processes.py.

python tests/python/processes.py SCENARIO
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from collections.abc import Callable

import talkws
from peers import PATIENCE, RawPeer, RawServer, connected, in_thread


def say(line: str) -> None:
    print(line, flush=True)


def in_child(call: Callable[[], object]) -> None:
    """Make a call in a child made by fork, which ends with it; say how that ended."""
    # What is buffered would be said twice.
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            call()
            status = 0
        finally:
            sys.stdout.flush()
            # Nothing of the parent's is cleaned up here.
            os._exit(status)
    _, status = os.waitpid(child, 0)
    say(f"child: {os.waitstatus_to_exitcode(status)}")


def child_uses_the_connection() -> None:
    """After a fork the connection is the child's, if the parent leaves it alone."""
    with talkws.listen("ws://127.0.0.1:0") as listener, connected(listener) as ends:
        client, server = ends
        # The parent has used it, also from another thread, which is gone in the child.
        server.send("before")
        say(str(in_thread(client.recv).result(PATIENCE)))
        answering = in_thread(lambda: server.send(server.recv()))

        def talk() -> None:
            client.send("from the child")
            say(str(client.recv(PATIENCE)))
            try:
                client.recv(0.01)
            except TimeoutError:
                say("TimeoutError")

        in_child(talk)
        answering.result(PATIENCE)


def child_drops_the_connection() -> None:
    """What the child frees, unused, is still there for the parent."""
    with talkws.listen("ws://127.0.0.1:0") as listener:
        accepted = in_thread(lambda: listener.accept(PATIENCE).upgrade())
        ends = [talkws.connect(listener.url), accepted.result(PATIENCE)]
        del accepted
        in_child(ends.clear)
        client, server = ends
        client.send("still")
        say(str(server.recv(PATIENCE)))
        server.send("here")
        say(str(client.recv(PATIENCE)))
        closing = in_thread(server.close)
        client.close()
        closing.result(PATIENCE)
        say(str(client.close_code))


def child_dials_and_listens() -> None:
    """A child makes connections of its own, kept alive by a timer of its own."""

    def talk() -> None:
        with talkws.listen("ws://127.0.0.1:0") as listener, connected(listener) as ends:
            ends[0].send("all new")
            say(str(ends[1].recv(PATIENCE)))
        with RawServer() as silent:
            upgraded = in_thread(silent.accept_and_upgrade)
            client = talkws.connect(silent.url, ping_interval=0.01, ping_timeout=0.01)
            with upgraded.result(PATIENCE):
                try:
                    client.recv(PATIENCE)
                except talkws.ConnectionClosedError as error:
                    say(type(error).__name__)

    # So that the parent has a timer, which the child has not.
    with talkws.listen("ws://127.0.0.1:0") as listener, connected(listener):
        in_child(talk)
        talk()


def child_of_a_server_ends() -> None:
    """A handler forks; the child's end is nobody's end."""

    def handle(ws: talkws.ServerConnection) -> None:
        for message in ws:
            in_child(lambda: None)
            ws.send(message)

    with talkws.serve(handle, "127.0.0.1", 0) as server:
        serving = in_thread(server.serve_forever)
        with talkws.connect(server.url) as client:
            for number in range(3):
                client.send(str(number))
                say(str(client.recv(PATIENCE)))
    serving.result(PATIENCE)


def a_thread_that_forks_is_the_main_thread() -> None:
    """Ctrl-C ends a wait in the child of a thread that was not the main thread."""
    import signal

    def wait_in_child() -> None:
        with talkws.listen("ws://127.0.0.1:0") as listener, connected(listener) as ends:
            signal.signal(signal.SIGALRM, signal.default_int_handler)
            signal.setitimer(signal.ITIMER_REAL, 0.01)
            try:
                ends[0].recv(PATIENCE)
            except KeyboardInterrupt:
                say("KeyboardInterrupt")

    in_thread(lambda: in_child(wait_in_child)).result(PATIENCE)


def exchange(url: str) -> None:
    with talkws.connect(url) as client:
        client.send(f"from {multiprocessing.current_process().name}")


def spawned_processes_talk() -> None:
    context = multiprocessing.get_context("spawn")
    with talkws.listen("ws://127.0.0.1:0") as listener:
        child = context.Process(target=exchange, args=(listener.url,), name="a child")
        child.start()
        with listener.accept(PATIENCE).upgrade() as server:
            say(str(server.recv(PATIENCE)))
        child.join(PATIENCE)
        say(f"child: {child.exitcode}")


# What lives until the interpreter ends.
KEPT: list[object] = []


def daemons_wait_at_the_end() -> None:
    """The interpreter ends while daemon threads wait in every call there is.

    Nothing else ends their waits, not even the end of this function: a thread that told of an error
    just then would hold the lock of stderr, with which CPython cannot end.
    """
    talkws_ends: list[tuple[talkws.ClientConnection, RawPeer]] = []
    server = RawServer()
    begun = threading.Barrier(9)
    listener = talkws.listen("ws://127.0.0.1:0")
    KEPT.extend((talkws_ends, server, listener))

    def wait(call: Callable[[], object]) -> None:
        def run() -> None:
            begun.wait(PATIENCE)
            call()

        threading.Thread(target=run, daemon=True).start()

    for _ in range(6):
        upgraded = in_thread(server.accept_and_upgrade)
        client = talkws.connect(server.url, ping_interval=0.001, ping_timeout=None)
        talkws_ends.append((client, upgraded.result(PATIENCE)))
    clients = [client for client, _ in talkws_ends]
    wait(clients[0].recv)
    wait(lambda: clients[1].recv(PATIENCE))
    wait(clients[2].ping().wait)
    wait(clients[3].wait_closed)
    wait(lambda: clients[4].send(bytes(1 << 25)))
    wait(lambda: clients[5].recv_into(bytearray(10)))
    wait(listener.accept)
    wait(lambda: talkws.connect(server.url))
    begun.wait(PATIENCE)
    # Some are about to wait, others do already.
    say("end")


if __name__ == "__main__":
    globals()[sys.argv[1]]()
