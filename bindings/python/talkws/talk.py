"""The conversations of the command line: with a server, and with clients."""

from __future__ import annotations

import math
import threading
import time
from abc import ABC, abstractmethod

import talkws
from talkws.close import Close, CloseCode

from .console import Console, InputEnded
from .display import printable

__all__ = ["ClientTalk", "ServerTalk"]

_IN_ORDER = (
    CloseCode.NORMAL_CLOSURE,
    CloseCode.GOING_AWAY,
    CloseCode.NO_STATUS_RCVD,
)

# More than one person can follow.
_MOST_CLIENTS = 100


class Talk(ABC):
    """Lines are read and sent by the main thread, messages received and shown by others."""

    def __init__(self, console: Console, binary: bool) -> None:
        self._console = console
        self._binary = binary
        self._has_failed = False
        # Set when lines can no longer be sent, or messages no longer be shown.
        self._is_over = threading.Event()
        # When the last message had been shown; while one is being shown, later than anything.
        self._heard = -math.inf
        self._showing = threading.Lock()

    def run(self, greeting: str, wait: float) -> int:
        """Say so, and talk until one end has had enough; the exit status.

        After the input's end, go on until no message has come for ``wait`` seconds.
        """
        is_interrupted = False
        try:
            self._console.note(greeting)
            self._start()
            self._send_lines()
            self._wait_for_silence(wait)
        except KeyboardInterrupt:
            is_interrupted = True
        self._console.leave_input()
        self._finish()
        return 130 if is_interrupted else int(self._has_failed)

    @abstractmethod
    def _start(self) -> None:
        """Start to receive."""

    @abstractmethod
    def _send(self, message: str | bytes) -> None:
        """Send a message, or raise `InputEnded` if it is too late."""

    @abstractmethod
    def _finish(self) -> None:
        """Close in order, and tell how it ended."""

    def _send_lines(self) -> None:
        number = 0
        try:
            while True:
                number += 1
                try:
                    line = self._console.read_line()
                    message = line if self._binary else line.decode()
                except UnicodeError:
                    self._has_failed = True
                    self._console.note(f"Line {number} is not UTF-8; it was not sent.")
                else:
                    self._send(message)
        except (EOFError, InputEnded):
            pass
        except talkws.ConnectionClosed:
            self._has_failed = True
            self._console.note(f"Line {number} came too late to be sent.")

    def _receive(self, ws: talkws.Connection, sender: str) -> talkws.ConnectionClosed:
        """Show what arrives until the connection ends, and say why it did."""
        while True:
            try:
                message = ws.recv()
            except talkws.ConnectionClosed as closed:
                return closed
            with self._showing:
                self._heard = math.inf
                self._console.show(message, sender)
                self._heard = time.monotonic()

    def _wait_for_silence(self, wait: float) -> None:
        begun = time.monotonic()
        left = wait
        while left > 0 and not self._is_over.wait(min(left, threading.TIMEOUT_MAX)):
            left = max(begun, self._heard) + wait - time.monotonic()

    def _end_talk(self) -> None:
        self._is_over.set()
        self._console.end_input()


class ClientTalk(Talk):
    """A conversation with the server at the other end of ``ws``."""

    def __init__(self, console: Console, ws: talkws.Connection, binary: bool) -> None:
        super().__init__(console, binary)
        self._ws = ws
        self._closed: talkws.ConnectionClosed | None = None
        self._receiver = threading.Thread(target=self._receive_all, daemon=True)

    def _start(self) -> None:
        self._receiver.start()

    def _send(self, message: str | bytes) -> None:
        self._ws.send(message)

    def _finish(self) -> None:
        self._ws.close()
        _join(self._receiver)
        code, said = _end_of(self._ws, self._closed)
        if code not in _IN_ORDER:
            self._has_failed = True
        self._console.note(f"Connection closed: {said}.")

    def _receive_all(self) -> None:
        try:
            self._closed = self._receive(self._ws, "<")
        except OSError:
            # Nobody reads what is shown: a reason to go, and no fault.
            pass
        finally:
            self._end_talk()


class ServerTalk(Talk):
    """A conversation with all clients of ``listener``.

    Args:
        headers: Headers to add to the responses that upgrade.
        is_patient: Whether a line waits while nobody is connected.
    """

    def __init__(
        self,
        console: Console,
        listener: talkws.Listener,
        binary: bool,
        headers: talkws.HeadersLike,
        is_patient: bool,
    ) -> None:
        super().__init__(console, binary)
        self._listener = listener
        self._headers = headers
        self._is_patient = is_patient
        self._clients: dict[int, talkws.Connection] = {}
        self._clients_changed = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._acceptor = threading.Thread(target=self._accept_all, daemon=True)

    def _start(self) -> None:
        self._acceptor.start()

    def _send(self, message: str | bytes) -> None:
        while True:
            sent = 0
            for number, ws in self._connected().items():
                try:
                    ws.send(message)
                    sent += 1
                except talkws.ConnectionClosed:
                    # Its own thread tells.
                    self._forget(number)
            if sent:
                return
            if not self._is_patient:
                self._console.note("Nobody is connected; the line was not sent.")
                return

    def _finish(self) -> None:
        self._listener.close()
        _join(self._acceptor)
        # All at once: each may take as long as the close timeout.
        closing = [
            threading.Thread(target=ws.close, args=(1001,), daemon=True)
            for ws in self._connected(wait=False).values()
        ]
        for thread in closing:
            thread.start()
        for thread in (*closing, *self._threads):
            _join(thread)

    def _end_talk(self) -> None:
        super()._end_talk()
        with self._clients_changed:
            self._clients_changed.notify_all()

    def _connected(self, wait: bool = True) -> dict[int, talkws.Connection]:
        with self._clients_changed:
            if wait and self._is_patient:
                self._clients_changed.wait_for(
                    lambda: self._clients or self._is_over.is_set()
                )
                if self._is_over.is_set():
                    raise InputEnded
            return dict(self._clients)

    def _forget(self, number: int) -> None:
        with self._clients_changed:
            self._clients.pop(number, None)
            self._clients_changed.notify_all()

    def _accept_all(self) -> None:
        try:
            for number, pending in enumerate(self._listener, 1):
                self._threads = [t for t in self._threads if t.is_alive()]
                if len(self._threads) < _MOST_CLIENTS:
                    self._admit(number, pending)
                else:
                    pending.refuse(503, "Too many clients are connected.")
        except OSError:
            # Nobody reads what is told.
            self._end_talk()

    def _admit(self, number: int, pending: talkws.PendingConnection) -> None:
        try:
            ws = pending.upgrade(additional_headers=self._headers)
        except (talkws.WebSocketException, OSError) as error:
            self._console.note(f"Client {number} was lost: {printable(str(error))}.")
            return
        self._console.note(f"Client {number} connected from {_address_of(ws)}.")
        with self._clients_changed:
            self._clients[number] = ws
            self._clients_changed.notify_all()
        thread = threading.Thread(target=self._serve, args=(number, ws), daemon=True)
        self._threads.append(thread)
        thread.start()

    def _serve(self, number: int, ws: talkws.Connection) -> None:
        try:
            closed = self._receive(ws, f"{number} <")
            self._forget(number)
            ws.close()
            _, said = _end_of(ws, closed)
            self._console.note(f"Client {number} disconnected: {said}.")
        except OSError:
            # Nobody reads what is shown.
            self._end_talk()


def _join(thread: threading.Thread) -> None:
    """Wait for a thread's end. One that Ctrl-C kept from starting has none."""
    if thread.is_alive():
        thread.join()


def _address_of(ws: talkws.Connection) -> str:
    address = ws.remote_address
    if isinstance(address, tuple):
        host, port = address[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return str(address or "somewhere")


def _end_of(
    ws: talkws.Connection, closed: talkws.ConnectionClosed | None
) -> tuple[int, str]:
    """With which code a connection has ended; the same, with reason and cause, in words."""
    code = ws.close_code or CloseCode.ABNORMAL_CLOSURE
    said = str(Close(code, ws.close_reason or ""))
    if closed is not None and closed.__cause__ is not None:
        said += f": {closed.__cause__}"
    return code, printable(said)
