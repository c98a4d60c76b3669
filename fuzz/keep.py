#!/usr/bin/env python3
"""Adds to a corpus those new inputs that reach the most code, until it is full.

    fuzz/keep.py CORPUS CONTROL_FILE

CONTROL_FILE is what libFuzzer's merge writes about the inputs of the corpus and the new ones. Files
that are in the corpus stay. A full corpus takes no more: it is to be small, and to change rarely.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

FULL = 75


def read_control_file(path: Path) -> dict[Path, set[str]]:
    """What each input reaches: two counts, the inputs' names, then lines that begin with FT."""
    lines = path.read_text().splitlines()
    count = int(lines[0])
    inputs = [Path(name) for name in lines[2 : 2 + count]]
    reached: dict[Path, set[str]] = {}
    for line in lines[2 + count :]:
        kind, *words = line.split()
        if kind == "FT":
            reached[inputs[int(words[0])]] = set(words[1:])
    return reached


def main(corpus: Path, control_file: Path) -> None:
    reached = read_control_file(control_file)
    kept = [path for path in reached if path.parent == corpus]
    new = {path: features for path, features in reached.items() if path not in kept}
    covered = set[str]().union(*(reached[path] for path in kept))
    added = 0
    while new and len(kept) + added < FULL:
        # Of those that reach the same, the shortest.
        best = max(
            new, key=lambda path: (len(new[path] - covered), -path.stat().st_size)
        )
        if new[best] <= covered:
            break
        covered |= new.pop(best)
        shutil.copyfile(best, corpus / best.name)
        added += 1
    files = len(list(corpus.iterdir()))
    print(f"corpus: {files} files, {added} of them new; full at {FULL}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
