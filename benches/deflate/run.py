#!/usr/bin/env python3
"""Measures servers that compress: processor time for each message, and how small they make it.

    make bench-deflate [BENCH_ARGS=--quick]

One and the same client, of a socket and zlib, sends texts to each server in turn, in short slices,
and inflates and compares what comes back. Each server keeps its own defaults of level and memory, so
that the size of what it sends belongs beside its time. What cannot run is skipped by name.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

HERE = Path(__file__).resolve().parent
sys.path[:0] = [
    str(HERE.parents[1] / "tests" / folder) for folder in ("run", "interop")
]

from peers import Missing
from program import Program, ProgramError, running
from servers import OURS, SERVERS
from texts import KINDS, SIZES

from client import Client, Failed

ROW = "{:<22}{:>16}{:>16}{:>16}{:>16}"
START_TIMEOUT = 30.0


def processor_time(process: int) -> float:
    """Seconds that all threads of a process have run (proc(5), schedstat)."""
    nanoseconds = 0
    for thread in Path(f"/proc/{process}/task").iterdir():
        nanoseconds += int((thread / "schedstat").read_text().split()[0])
    return nanoseconds / 1e9


class Stand:
    """A server that runs, and what was seen of it in the cell that is measured."""

    def __init__(self, program: Program, port: int) -> None:
        self._program = program
        self._port = port

    def open(self, takeover: bool) -> None:
        self._client = Client(self._port, takeover)
        self.times: list[float] = []

    def run(self, messages: Sequence[bytes], seconds: float) -> None:
        count = 0
        before = processor_time(self._program.pid)
        end = time.monotonic() + seconds
        while count < len(messages) or time.monotonic() < end:
            self._client.round_trip(messages[count % len(messages)])
            count += 1
        self.times.append((processor_time(self._program.pid) - before) / count)

    def result(self) -> tuple[float, float]:
        """Processor seconds, and bytes on the wire, for each message."""
        sizes = self._client.sizes
        return median(self.times), sizes.received / sizes.messages

    def close(self) -> None:
        self._client.close()


class Bench:
    """All servers at once, and what became of those that could not."""

    def __init__(self, stack: ExitStack, only: str) -> None:
        self.stands: dict[str, Stand] = {}
        self.notes: list[str] = []
        for name, find in SERVERS.items():
            if name != OURS and only not in name:
                continue
            try:
                server = find()
                command = ["env", *(f"{k}={v}" for k, v in server.environment.items())]
                program = stack.enter_context(
                    running(name, [*command, *server.command])
                )
                url = program.wait_until_ready(START_TIMEOUT)
            except Missing as missing:
                self.notes.append(f"SKIP {name}: {missing}")
            except ProgramError as error:
                self.notes.append(f"FAIL {name}: {error}")
            else:
                self.stands[name] = Stand(program, urlsplit(url).port or 0)

    def measure(
        self, messages: Sequence[bytes], takeover: bool, rounds: int, seconds: float
    ) -> dict[str, tuple[float, float]]:
        taking_part: dict[str, Stand] = {}
        for name, stand in self.stands.items():
            try:
                stand.open(takeover)
                # Not counted: what is made only once is made here.
                stand.run(messages, 0)
                stand.times.clear()
                taking_part[name] = stand
            except (Failed, OSError) as error:
                self.notes.append(f"none {name}, {cell_name(takeover)}: {error}")
        names = list(taking_part)
        for index in range(rounds):
            first = index % max(1, len(names))
            for name in names[first:] + names[:first]:
                taking_part[name].run(messages, seconds)
        results = {name: stand.result() for name, stand in taking_part.items()}
        for stand in taking_part.values():
            stand.close()
        return results


def cell_name(takeover: bool) -> str:
    return "context kept" if takeover else "no context kept"


def show(title: str, results: dict[str, tuple[float, float]]) -> None:
    print(f"\n{title}")
    print(
        ROW.format(
            "", "CPU us/message", "ratio to ours", "bytes/message", "ratio to ours"
        )
    )
    ours = results.get(OURS, (float("nan"), float("nan")))
    for name, (spent, size) in sorted(results.items(), key=lambda one: one[1][0]):
        print(
            ROW.format(
                name,
                f"{spent * 1e6:,.1f}",
                f"{spent / ours[0]:.2f}",
                f"{size:,.0f}",
                f"{size / ours[1]:.2f}",
            ),
            flush=True,
        )


def main() -> int:
    parser = argparse.ArgumentParser(description="Measures servers that compress.")
    parser.add_argument("--quick", action="store_true", help="3 rounds of short slices")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=0.25, help="of each slice")
    parser.add_argument("--only", default="", help="servers whose names contain this")
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES)
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds = 3, 0.1
    with ExitStack() as stack:
        bench = Bench(stack, options.only)
        for size in options.sizes:
            for kind, make in KINDS.items():
                messages = make(size)
                for takeover in (True, False):
                    results = bench.measure(
                        messages, takeover, options.rounds, options.seconds
                    )
                    length = sum(map(len, messages)) // len(messages)
                    show(f"{kind}, {length:,} bytes, {cell_name(takeover)}", results)
    for note in dict.fromkeys(bench.notes):
        print(note)
    return 1 if any(note.startswith("FAIL") for note in bench.notes) else 0


if __name__ == "__main__":
    sys.exit(main())
