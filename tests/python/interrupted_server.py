"""A server that is sent signals while its main thread serves. Run by test_shutdown.py.

python tests/python/interrupted_server.py SCENARIO

It prints its port, then what became of serving, and which threads are left.
"""

from __future__ import annotations

import signal
import sys
import threading
from types import FrameType

import talkws


def handler(connection: talkws.ServerConnection) -> None:
    connection.send("here")
    list(connection)


def ignore_the_end(connection: talkws.ServerConnection) -> None:
    """A handler that goes on when its connection has ended, until it has nothing to do."""
    handler(connection)
    for _ in range(3):
        try:
            connection.recv()
        except talkws.ConnectionClosed:
            pass


def serve(server: talkws.Server) -> None:
    print(server.port, flush=True)
    try:
        with server:
            server.serve_forever()
        print("shut down")
    except KeyboardInterrupt:
        print("KeyboardInterrupt")


def ctrl_c() -> None:
    serve(talkws.serve(handler, "127.0.0.1", 0))


def ctrl_c_while_handlers_ignore_the_end() -> None:
    serve(talkws.serve(ignore_the_end, "127.0.0.1", 0))


def ctrl_c_while_the_client_is_silent() -> None:
    serve(talkws.serve(handler, "127.0.0.1", 0, close_timeout=0.1))


def shutdown_in_a_signal_handler() -> None:
    server = talkws.serve(handler, "127.0.0.1", 0)

    def shut_down(number: int, frame: FrameType | None) -> None:
        server.shutdown(code=1012)

    signal.signal(signal.SIGINT, shut_down)
    serve(server)


def shutdown_in_a_signal_handler_while_others_serve() -> None:
    server = talkws.serve(handler, "127.0.0.1", 0)
    other = threading.Thread(target=server.serve_forever)
    other.start()

    def shut_down(number: int, frame: FrameType | None) -> None:
        server.shutdown(code=1012)

    signal.signal(signal.SIGINT, shut_down)
    serve(server)
    other.join()


if __name__ == "__main__":
    globals()[sys.argv[1]]()
    print([thread.name for thread in threading.enumerate()])
