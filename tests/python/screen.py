"""A terminal for programs under test: what a person would see of them, and the keys.

It knows as much of a terminal as a program that edits a line uses, and fails at the rest.
"""

from __future__ import annotations

import codecs
import fcntl
import os
import re
import select
import struct
import subprocess
import sys
import termios
import time
import unicodedata
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Callable

from peers import PATIENCE

COLUMNS, ROWS = 40, 8

# Ctrl-C ends whatever has this terminal, so the program must have it as its own.
LAUNCH = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
    "os.execv(sys.argv[1], sys.argv[1:])"
)

# One thing that a terminal is told: a sequence, an escape, or a character.
TOLD = re.compile(r"\x1b\[([?=0-9;]*)([@-~])|\x1b([^\[])|([^\x1b])", re.DOTALL)


class Screen:
    """Rows of characters, and a cursor."""

    def __init__(self) -> None:
        self.cells = [[" "] * COLUMNS for _ in range(ROWS)]
        self.scrolled: list[str] = []
        self.row = self.column = 0
        self._saved = (0, 0)
        self._rest = ""

    def lines(self) -> list[str]:
        """All that was ever shown, without the empty rows below it."""
        rows = ["".join(cells).rstrip() for cells in self.cells]
        while rows and not rows[-1]:
            rows.pop()
        return self.scrolled + rows

    def feed(self, text: str) -> None:
        text = self._rest + text
        end = 0
        while told := TOLD.match(text, end):
            arguments, sequence, escape, character = told.groups()
            if sequence:
                self._obey(arguments, sequence)
            elif escape:
                self._escape(escape)
            else:
                self._put(character)
            end = told.end()
        self._rest = text[end:]

    def _escape(self, escape: str) -> None:
        if escape == "7":
            self._saved = (self.row, self.column)
        elif escape == "8":
            self.row, self.column = self._saved
        else:
            assert escape in "=>", f"an escape that is not known: {escape!r}"

    def _obey(self, arguments: str, sequence: str) -> None:
        if sequence in "hlm":
            return
        number = int(arguments or "1")
        cells = self.cells[self.row]
        if sequence == "A":
            self.row = max(0, self.row - number)
        elif sequence == "B":
            self.row = min(ROWS - 1, self.row + number)
        elif sequence == "C":
            self.column = min(COLUMNS - 1, self.column + number)
        elif sequence == "D":
            self.column = max(0, self.column - number)
        elif sequence == "G":
            self.column = number - 1
        elif sequence == "K":
            assert not arguments
            cells[self.column :] = [" "] * (COLUMNS - self.column)
        elif sequence == "J":
            assert not arguments
            self._obey("", "K")
            for below in self.cells[self.row + 1 :]:
                below[:] = [" "] * COLUMNS
        elif sequence == "L":
            assert not arguments
            self.cells.insert(self.row, [" "] * COLUMNS)
            assert not "".join(self.cells.pop()).strip(), "a row was pushed away"
        elif sequence == "P":
            del cells[self.column : self.column + number]
            cells += [" "] * number
        elif sequence == "@":
            cells[self.column : self.column] = [" "] * number
            del cells[COLUMNS:]
        else:
            raise AssertionError(f"a sequence that is not known: {sequence}")

    def _put(self, character: str) -> None:
        if character == "\r":
            self.column = 0
        elif character == "\n":
            self._go_down()
        elif character == "\b":
            self.column = min(max(0, self.column - 1), COLUMNS - 2)
        elif character.isprintable():
            wide = unicodedata.east_asian_width(character) in "WF"
            if self.column + wide >= COLUMNS:
                self.column = 0
                self._go_down()
            self.cells[self.row][self.column] = character
            if wide:
                self.cells[self.row][self.column + 1] = ""
            self.column += 1 + wide
        else:
            assert character in "\a\0", f"a control that is not known: {character!r}"

    def _go_down(self) -> None:
        if self.row < ROWS - 1:
            self.row += 1
            return
        self.scrolled.append("".join(self.cells.pop(0)).rstrip())
        self.cells.append([" "] * COLUMNS)


class Terminal(AbstractContextManager["Terminal"]):
    """A program in a terminal, and who sits in front of it."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str]) -> None:
        self.screen = Screen()
        # All that the program has written.
        self.heard = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._ours, theirs = os.openpty()
        self._theirs = theirs
        size = struct.pack("HHHH", ROWS, COLUMNS, 0, 0)
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, size)
        self._settings = termios.tcgetattr(theirs)
        self._process = subprocess.Popen(
            [sys.executable, "-c", LAUNCH, *command],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**os.environ, "TERM": "xterm", "INPUTRC": os.devnull, **env},
            start_new_session=True,
        )

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._ours)
        os.close(self._theirs)

    def type(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def interrupt(self) -> None:
        self.type("\x03")

    def end_input(self) -> None:
        self.type("\x04")

    def look(self) -> None:
        """Take in what is there to be seen, without waiting for it."""
        while self._read(time.monotonic()):
            pass

    def wait_until(self, holds: Callable[[], Any]) -> None:
        """Wait until something holds of the screen."""
        deadline = time.monotonic() + PATIENCE
        while not holds():
            assert self._read(deadline), f"the screen stays at {self.screen.lines()}"

    def wait_for(self, *lines: str) -> None:
        """Wait until these are the last lines, and the cursor is in the last one."""

        def are_there() -> bool:
            shown = self.screen.lines()
            row = len(self.screen.scrolled) + self.screen.row + 1
            # Spaces at the end of a line are not to be seen.
            wanted = [line.rstrip() for line in lines]
            return shown[-len(lines) :] == wanted and row == len(shown)

        self.wait_until(are_there)

    def wait_for_end(self) -> int:
        """The exit status of the program, once all that it wrote has been read."""
        status = self._process.wait(PATIENCE)
        self.look()
        assert termios.tcgetattr(self._theirs) == self._settings
        return status

    def _read(self, deadline: float) -> bool:
        left = max(0.0, deadline - time.monotonic())
        if not select.select([self._ours], [], [], left)[0]:
            return False
        text = self._decoder.decode(os.read(self._ours, 65536))
        self.heard += text
        self.screen.feed(text)
        return True
