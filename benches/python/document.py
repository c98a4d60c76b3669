#!/usr/bin/env python3
"""Puts the figures of a run into the documents: tables into the README of the Python package, and
the chart.

    document.py [FIGURES.json]    # those of the last run, if no others are named
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "run"))

import chart
import table
from figures import CONNECTIONS, KINDS, SIZES, Cell, Figures, read
from workspace import TARGET

CHART = ROOT / "docs" / "benchmarks-python.svg"
README = ROOT / "bindings" / "python" / "README.md"
BEGIN = "<!-- Written by make bench-python, from here -->"
END = "<!-- to here -->"


def made_of(figures: Figures) -> str:
    """With what it was measured, in a sentence."""
    found = [
        f"{name} {version}" for name, version in figures.versions.items() if version
    ]
    counts = [one.rounds for of in figures.results.values() for one in of.values()]
    return (
        f"Medians of {min(counts)} to {max(counts)} interleaved rounds on a machine with "
        f"{figures.processors} processors; {', '.join(found)}."
    )


def region(figures: Figures) -> str:
    parts = [BEGIN]
    for role in ("client", "server"):
        if figures.names(role):
            parts += [f"**{role.capitalize()}s**", table.of_role(figures, role)]
    parts += [made_of(figures), END]
    return "\n\n".join(parts)


def is_whole(figures: Figures) -> bool:
    """Whether it says something of every cell that the documents show."""
    cells = (
        Cell(role, count, size, kind)
        for role in ("client", "server")
        for count in CONNECTIONS
        for size in SIZES
        for kind in KINDS
    )
    return all(figures.of("talkws", cell) for cell in cells)


def write_docs(figures: Figures) -> None:
    if not is_whole(figures):
        raise SystemExit("the documents show a whole run, and this is a part of one")
    text = README.read_text(encoding="utf-8")
    marked = re.compile(re.escape(BEGIN) + ".*" + re.escape(END), re.DOTALL)
    if not marked.search(text):
        raise SystemExit(f"{README} has no region for the figures: {BEGIN} {END}")
    README.write_text(marked.sub(lambda _: region(figures), text), encoding="utf-8")
    CHART.write_text(chart.draw(figures), encoding="utf-8")
    print(f"Wrote {README.relative_to(ROOT)} and {CHART.relative_to(ROOT)}")


def main() -> int:
    kept = sys.argv[1] if len(sys.argv) > 1 else TARGET / "benchmarks-python.json"
    write_docs(read(Path(kept)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
