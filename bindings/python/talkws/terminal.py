"""The command line in a terminal: a prompt, and messages that appear above it."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from types import TracebackType

from . import display
from .console import SIGNAL, Console, InputEnded, write_text

# A Python may be built without it: then the terminal itself edits the line, a little.
try:
    import readline
except ImportError:
    _HAS_READLINE = False
else:
    _HAS_READLINE = True

__all__ = ["Terminal"]

PROMPT = "> "

_HISTORY_LENGTH = 1000

# What every terminal obeys that has more than one line (ECMA-48, and DEC's for the cursor).
_SAVE_CURSOR, _RESTORE_CURSOR = "\x1b7", "\x1b8"
_UP, _DOWN, _INSERT_ROW = "\x1b[{}A", "\x1b[B", "\x1b[L"


class Terminal(Console):
    """A terminal in front of a person."""

    def __enter__(self) -> None:
        super().__enter__()
        if _HAS_READLINE:
            _prepare_readline()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        super().__exit__(exc_type, exc_value, traceback)
        if _HAS_READLINE:
            _write_history()

    def show(self, message: str | bytes, sender: str = "<") -> None:
        self.note(f"{sender} {display.line(message)}")

    def note(self, text: str) -> None:
        self._in_main_thread(lambda: self._write_above(text))

    def _next_line(self) -> bytes:
        # readline waits for keys in select(2), which a signal ends in any case; but what it
        # writes, a signal must not end: it would be lost.
        signal.siginterrupt(SIGNAL, not _HAS_READLINE)
        try:
            text = input(PROMPT)
        except (EOFError, InputEnded, KeyboardInterrupt):
            # Whatever comes next starts a row of its own.
            write_text("\n")
            raise
        finally:
            signal.siginterrupt(SIGNAL, True)
        # Surrogates stand for bytes that mean nothing in the terminal's encoding.
        return text.encode()

    def _write_above(self, text: str) -> None:
        """Write a text above the line that is being typed.

        That line stays as it is, the cursor too, which readline believes to know. For each row
        of the text: go down one row, so that the screen scrolls if it must, then up to where the
        line begins, and push the line down. Where the screen has scrolled, the cursor's old
        place is right again; where it has not, it is one row further down, and at the bottom of
        the screen, where it has, going down does nothing.
        """
        if not self._reading:
            write_text(text + "\n")
            return
        if os.environ.get("TERM", "dumb") == "dumb":
            write_text(f"\n{text}\n{PROMPT}{_typed()}")
            return
        columns = _columns()
        up = _UP.format(_rows_above_cursor(columns) + 1)
        write_text(
            "".join(
                f"{_SAVE_CURSOR}\n{up}\r{_INSERT_ROW}{row}{_RESTORE_CURSOR}{_DOWN}"
                for row in display.rows(text, columns)
            )
        )


def _columns() -> int:
    # A terminal that does not know its size says 0.
    return os.get_terminal_size(sys.stdout.fileno()).columns or 80


def _typed() -> str:
    return readline.get_line_buffer() if _HAS_READLINE else ""


def _has_libedit() -> bool:
    return "libedit" in (readline.__doc__ or "")


def _rows_above_cursor(columns: int) -> int:
    """How many rows the line being typed has above the cursor's.

    GNU readline is told to keep to one row. libedit cannot, and Python does not say where in the
    line the cursor is: at its end, most of the time.
    """
    if not _HAS_READLINE or not _has_libedit():
        return 0
    return len(display.rows(PROMPT + _typed(), columns)) - 1


def _prepare_readline() -> None:
    if not _has_libedit():
        readline.parse_and_bind("set horizontal-scroll-mode on")
    readline.set_history_length(_HISTORY_LENGTH)
    try:
        readline.read_history_file(_history_file())
    except (OSError, RuntimeError):
        # There is none yet, or it is not for us to read; the history starts here.
        pass


def _write_history() -> None:
    try:
        file = _history_file()
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # What was typed may be secret.
        file.touch(mode=0o600)
        readline.write_history_file(file)
    except (OSError, RuntimeError):
        # The next conversation will do without.
        pass


def _history_file() -> Path:
    """Where the XDG Base Directory Specification wants it."""
    state = os.environ.get("XDG_STATE_HOME", "")
    folder = Path(state) if os.path.isabs(state) else Path.home() / ".local" / "state"
    return folder / "talkws" / "history"
