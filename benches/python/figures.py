"""The figures of a run: what was measured, with which versions, and where they are kept."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from contenders import CONTENDERS
from rounds import Result

SIZES = (64, 16 * 1024, 1 << 20)
KINDS = ("binary", "text")
CONNECTIONS = (1, 100)


@dataclass(frozen=True)
class Cell:
    """One kind of traffic."""

    role: str
    connections: int
    size: int
    kind: str

    def __str__(self) -> str:
        place = f"{self.role}s, {connections_name(self.connections)}"
        return f"{place}, {size_name(self.size)}, {self.kind}"


def connections_name(count: int) -> str:
    return "1 connection" if count == 1 else f"{count} connections"


def size_name(size: int) -> str:
    for unit, name in ((1 << 20, "MiB"), (1 << 10, "KiB")):
        if size >= unit:
            return f"{size // unit} {name}"
    return f"{size} B"


@dataclass
class Figures:
    """The results of each contender in each cell; a contender that could not is not there."""

    versions: dict[str, str | None]
    processors: int
    seconds: float
    results: dict[Cell, dict[str, Result]] = field(default_factory=dict)

    def names(self, role: str) -> list[str]:
        """Who has results in this role, in the order in which they are always shown."""
        seen = {n for cell, of in self.results.items() if cell.role == role for n in of}
        return [one.name for one in CONTENDERS if one.name in seen]

    def of(self, name: str, cell: Cell) -> Result | None:
        return self.results.get(cell, {}).get(name)

    def write(self, path: Path) -> None:
        cells = [
            {**asdict(cell), "results": {n: asdict(r) for n, r in of.items()}}
            for cell, of in self.results.items()
        ]
        kept = {
            "versions": self.versions,
            "processors": self.processors,
            "seconds": self.seconds,
            "cells": cells,
        }
        path.write_text(json.dumps(kept, indent=1))


def read(path: Path) -> Figures:
    kept = json.loads(path.read_text())
    cells = kept.pop("cells")
    figures = Figures(**kept)
    for cell in cells:
        results = cell.pop("results")
        figures.results[Cell(**cell)] = {n: Result(**r) for n, r in results.items()}
    return figures
