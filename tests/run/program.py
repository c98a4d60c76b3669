"""Starting programs, waiting for what they say, and ending them; every wait is bounded."""

from __future__ import annotations

import queue
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

# A program and its arguments.
Command = Sequence[str | Path]

READY = "Listening on "


class ProgramError(Exception):
    """A program did not do what it should have done."""


class Program:
    """A running program, the lines it prints, and its end. Made by `running`."""

    def __init__(
        self, name: str, command: Command, stderr: IO[bytes], takes_input: bool = False
    ) -> None:
        self.name = name
        self._stderr = stderr
        self._lines: queue.Queue[str | None] = queue.Queue()
        try:
            self._process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.PIPE if takes_input else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                encoding="utf-8",
                errors="replace",
            )
        except OSError as error:
            raise ProgramError(f"{name}: cannot start {command[0]}: {error}") from error
        # A thread, because reading a pipe's lines cannot be given a deadline.
        self._reader = threading.Thread(target=self._read_lines, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def _read_lines(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def write_line(self, line: str) -> None:
        """Give a line to a program that takes input."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()

    def end_input(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()

    def next_line(self, timeout: float) -> str | None:
        """The next line on stdout, waited for `timeout` seconds at most; None at its end."""
        try:
            line = self._lines.get(timeout=timeout)
        except queue.Empty:
            raise self._error("did not print what was waited for") from None
        if line is None:
            # The end stays the end, however often it is asked for.
            self._lines.put(None)
        return line

    def remaining_lines(self, timeout: float = 10) -> list[str]:
        """The lines not yet taken of a program that has ended or is about to."""
        deadline = time.monotonic() + timeout
        lines = []
        while (line := self.next_line(_left(deadline))) is not None:
            lines.append(line)
        return lines

    def wait_until_ready(self, timeout: float) -> str:
        """Wait `timeout` seconds at most for the line `Listening on URL`; the URL."""
        deadline = time.monotonic() + timeout
        while (line := self.next_line(_left(deadline))) is not None:
            if line.startswith(READY):
                return line[len(READY) :].strip()
        raise self._error("ended before it was ready")

    def wait_for_end(self, timeout: float) -> int:
        """Wait `timeout` seconds at most for the program to end by itself; its exit code."""
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise self._error(f"did not end within {timeout:.0f} s") from None

    def exit_code(self) -> int | None:
        """The exit code of a program that has ended; None while it runs."""
        return self._process.poll()

    def stop(self, timeout: float = 10) -> None:
        """End the program, by its own id: SIGTERM, and after `timeout` seconds SIGKILL."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(timeout)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def complaint(self) -> str:
        """What the program wrote to stderr; of much, the last part."""
        self._stderr.seek(0)
        return self._stderr.read().decode("utf-8", "replace").strip()[-2000:]

    def _error(self, what: str) -> ProgramError:
        complaint = self.complaint()
        return ProgramError(
            f"{self.name} {what}" + (f"; its stderr: {complaint}" if complaint else "")
        )


@contextmanager
def running(
    name: str,
    command: Command,
    log: Path | None = None,
    takes_input: bool = False,
) -> Iterator[Program]:
    """Start `command` for the time of a `with` block. Its stderr is appended to `log`."""
    # Appending, because the program shares this file's position with us.
    with open(log, "a+b") if log else tempfile.TemporaryFile("a+b") as stderr:
        program = Program(name, command, stderr, takes_input)
        try:
            yield program
        finally:
            program.stop()


def _left(deadline: float) -> float:
    return max(0.0, deadline - time.monotonic())
