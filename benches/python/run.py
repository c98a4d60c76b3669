#!/usr/bin/env python3
"""Measures talkws for Python beside other libraries, and all of them against raw TCP in C.

    make bench-python [BENCH_ARGS="--quick --write-docs"]

Two questions, asked of one connection and of a hundred, each with one message in flight: how many
round trips a library's client makes with one and the same server in C, and how many its server
makes with one and the same client in C. All contenders are there at once, and take turns in short
slices. What cannot run is skipped by name; the exit code is 0 only if nothing failed.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "run"))

import table
from contenders import CONTENDERS, ROLES, Contender, missing, versions
from document import write_docs
from figures import CONNECTIONS, KINDS, SIZES, Cell, Figures
from rounds import Stand, measure
from workspace import TARGET

KEPT = TARGET / "benchmarks-python.json"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measures talkws for Python.")
    parser.add_argument("--quick", action="store_true", help="3 rounds of short slices")
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--seconds", type=float, default=0.04, help="of each slice")
    parser.add_argument(
        "--only", default="", help="contenders whose names contain this, and raw TCP"
    )
    parser.add_argument("--roles", nargs="+", choices=ROLES, default=ROLES)
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--connections", nargs="+", type=int, default=CONNECTIONS)
    parser.add_argument(
        "--write-docs",
        action="store_true",
        help="put tables and chart of a whole run into the documents",
    )
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.rounds, chosen.seconds = 3, 0.03
    return chosen


class Bench:
    """A run: who takes part, what came of it, and what did not."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        found = versions()
        self.figures = Figures(found, os.cpu_count() or 1, options.seconds)
        self.skipped: list[str] = []
        self.failed: list[str] = []
        self._contenders: list[Contender] = []
        for one in CONTENDERS:
            if not one.is_raw and options.only not in one.name:
                continue
            if lacks := missing(one, found):
                python = found["Python"]
                self.skipped.append(
                    f"{one.name}: no {lacks} for Python {python}; {one.how_to_get}"
                )
            else:
                self._contenders.append(one)

    def run(self) -> None:
        for role in self._options.roles:
            for connections in self._options.connections:
                self._run_group(role, connections)

    def _run_group(self, role: str, connections: int) -> None:
        """All sizes and kinds, without ending the programs in between."""
        options = self._options
        stands = {
            one.name: Stand(one, role, connections)
            for one in self._contenders
            if role in one.roles
        }
        try:
            for size in options.sizes:
                for kind in options.kinds:
                    cell = Cell(role, connections, size, kind)
                    results, failures = measure(
                        stands, size, kind, options.rounds, options.seconds
                    )
                    self.figures.results[cell] = results
                    self.failed += [f"{cell}: {why}" for why in failures.values()]
                    print(table.of_cell(cell, results), flush=True)
        finally:
            for stand in stands.values():
                stand.stop()


def main() -> int:
    options = arguments()
    bench = Bench(options)
    bench.run()
    bench.figures.write(KEPT)
    print(f"All figures are in {KEPT}")
    if options.write_docs:
        write_docs(bench.figures)
    for line in bench.skipped:
        print("SKIP", line)
    for line in bench.failed:
        print("FAIL", line)
    return 1 if bench.failed else 0


if __name__ == "__main__":
    sys.exit(main())
