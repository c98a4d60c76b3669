"""Lines in and messages out, for the command line: the part that all kinds of it share.

The main thread reads the lines, and blocks in that. Other threads show messages, and end the
reading when there is nobody left to send to. Python leaves a blocking read for a signal only, so
they send one to the main thread; its handler runs between two keys, at a point where line and
screen are whole.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections import deque
from types import FrameType, TracebackType
from typing import Callable

from . import display

__all__ = ["SIGNAL", "Console", "InputEnded", "Pipes", "complain", "write_text"]

# Without a handler it is ignored, so that a late one harms nothing.
SIGNAL = signal.SIGURG

# Those whose handlers raise exceptions.
_RAISING = (signal.SIGINT, SIGNAL)

# A signal that comes after Python has looked for signals, and before it waits for a key, wakes
# nobody. So it is sent again until it is answered: soon, since one message close behind another
# meets just that, and then less and less often.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.001, 0.05


class InputEnded(Exception):
    """Lines are no longer wanted: there is nobody to send them to, or nobody to answer to."""


class Console:
    """Where lines come from and messages go. A context manager, of the main thread."""

    def __init__(self) -> None:
        self._reading = False
        self._ended = False
        self._has_left = threading.Event()
        self._is_answering = False
        self._calls: deque[Callable[[], None]] = deque()

    def __enter__(self) -> None:
        self._previous = signal.signal(SIGNAL, self._on_signal)
        self._previous_interrupt = signal.getsignal(signal.SIGINT)
        # A shell may have it ignored.
        if self._previous_interrupt is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._on_interrupt)
        self._signalled, told = os.pipe()
        os.set_blocking(told, False)
        self._told = told
        self._previous_told = signal.set_wakeup_fd(told, warn_on_full_buffer=False)
        self._watcher = threading.Thread(target=self._watch_interrupts, daemon=True)
        self._watcher.start()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        signal.set_wakeup_fd(self._previous_told)
        os.close(self._told)
        self._watcher.join()
        os.close(self._signalled)
        signal.signal(signal.SIGINT, self._previous_interrupt)
        signal.signal(SIGNAL, self._previous)

    def read_line(self) -> bytes:
        """Wait for the next line, without its end. For the main thread only.

        Raises:
            EOFError: At the end of the input.
            InputEnded: After :meth:`end_input`.
            UnicodeError: If the line has no meaning in the terminal's encoding.
        """
        self._reading = True
        try:
            # Who ends the input after this sends the signal.
            if self._ended:
                raise InputEnded
            return self._next_line()
        finally:
            self.leave_input()

    def leave_input(self) -> None:
        """Say that no line is being read any more, however the reading was left."""
        self._reading = False
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _RAISING)

    def end_input(self) -> None:
        """Make :meth:`read_line` raise :exc:`InputEnded`, now or when it is called next.

        May be called from any thread.
        """
        self._ended = True
        self._send_signals(self._has_left, lambda: self._reading)

    def show(self, message: str | bytes, sender: str = "<") -> None:
        """Show a message. May be called from any thread.

        Raises:
            OSError: If nobody can see it any more.
        """
        raise NotImplementedError

    def note(self, text: str) -> None:
        """Tell something that is no message. May be called from any thread."""
        raise NotImplementedError

    def _next_line(self) -> bytes:
        raise NotImplementedError

    def _watch_interrupts(self) -> None:
        """See to it that Ctrl-C, too, is never left for the next key."""
        while numbers := os.read(self._signalled, 1024):
            if signal.SIGINT in numbers:
                self._in_main_thread(lambda: None)

    def _in_main_thread(self, call: Callable[[], None]) -> None:
        """Have the main thread make a call, whatever it is waiting for."""
        if threading.current_thread() is threading.main_thread():
            call()
            return
        made = threading.Event()
        failed: list[OSError] = []

        def make() -> None:
            try:
                call()
            except OSError as error:
                failed.append(error)
            finally:
                made.set()

        self._calls.append(make)
        self._send_signals(made, lambda: not made.is_set())
        if failed:
            raise failed[0]

    def _send_signals(
        self, answered: threading.Event, is_needed: Callable[[], bool]
    ) -> None:
        """Send the signal until the main thread has answered it, or need not any more."""
        ident = threading.main_thread().ident
        assert ident is not None
        pause = _FIRST_PAUSE
        while is_needed():
            signal.pthread_kill(ident, SIGNAL)
            answered.wait(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._is_answering:
            # In the middle of a call below, which is not to be torn by the next.
            return
        self._is_answering = True
        try:
            while self._calls:
                self._calls.popleft()()
        finally:
            self._is_answering = False
        # Raised once, and nowhere but in the reading, where it does no harm.
        if self._ended and self._reading:
            self._end_reading()
            raise InputEnded

    def _on_interrupt(self, number: int, frame: FrameType | None) -> None:
        if self._reading:
            self._end_reading()
        raise KeyboardInterrupt

    def _end_reading(self) -> None:
        """Prepare for an exception that is about to leave `input` from inside.

        On its way out Python runs handlers once more without putting that exception aside, and
        they would fail as soon as they call anything. So those of all signals that have come run
        now, and there are no more signals until it is out.
        """
        self._reading = False
        # Python looks at what has come together with this one only if there is a new one.
        signal.raise_signal(SIGNAL)
        signal.pthread_sigmask(signal.SIG_BLOCK, _RAISING)
        self._has_left.set()


class Pipes(Console):
    """Input and output of a program among others: messages and nothing else on stdout."""

    def __init__(self, raw: bool = False) -> None:
        super().__init__()
        self._raw = raw
        self._lock = threading.Lock()

    def show(self, message: str | bytes, sender: str = "<") -> None:
        if not self._raw:
            text = f"{sender} {display.line(message)}\n"
            data = text.encode(_encoding(), "backslashreplace")
        elif isinstance(message, str):
            data = message.encode() + b"\n"
        else:
            data = message
        with self._lock:
            _write(data)

    def note(self, text: str) -> None:
        complain(text)

    def _next_line(self) -> bytes:
        line = b"" if sys.stdin is None else sys.stdin.buffer.readline()
        if not line:
            raise EOFError
        return line[:-1] if line.endswith(b"\n") else line


def _write(data: bytes) -> None:
    """Write to stdout all of it and at once: a buffer could be met half full by a signal."""
    if sys.stdout is None:
        # Its number may be that of a connection by now.
        return
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(sys.stdout.fileno(), rest) :]


def write_text(text: str) -> None:
    _write(text.encode(_encoding(), "backslashreplace"))


def complain(text: str) -> None:
    """Write a line to stderr, if that is possible."""
    if sys.stderr is not None:
        try:
            print(text, file=sys.stderr, flush=True)
        except OSError:
            pass


def _encoding() -> str:
    return "utf-8" if sys.stdout is None else sys.stdout.encoding
