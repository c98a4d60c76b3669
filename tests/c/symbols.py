#!/usr/bin/env python3
"""What the shared library exports, against symbols.txt, the list that is committed.

    tests/c/symbols.py --write

builds the library and renews the list. docs/abi.md says when that is allowed.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
LIST = HERE / "symbols.txt"
RENEW = "tests/c/symbols.py --write"
IS_MACOS = platform.system() == "Darwin"

REMOVED = (
    "listed and not exported: {}. Programs that use them would not start any more. Put them"
    " back; the ABI policy (docs/abi.md) lets no function go that was released. If none was,"
    f" renew the list with `{RENEW}`"
)
ADDED = (
    "exported and not listed: {}. New functions are for a new minor version (docs/abi.md):"
    f" tell their `Since` and the changelog, then renew the list with `{RENEW}`"
)
UNDECLARED = "exported and not declared by include/talkws.h: {}"
MISSING = "declared by include/talkws.h and not exported: {}"


def exported(library: Path) -> set[str]:
    """The symbols that a program can link with."""
    flags = ["-gU"] if IS_MACOS else ["-D", "--defined-only"]
    output = subprocess.run(
        ["nm", *flags, library], capture_output=True, text=True, check=True, timeout=60
    ).stdout
    names = {line.split()[-1] for line in output.splitlines() if line.split()}
    return {name.removeprefix("_") for name in names} if IS_MACOS else names


def declared() -> set[str]:
    """The functions of the header."""
    header = (ROOT / "include" / "talkws.h").read_text(encoding="utf-8")
    return set(re.findall(r"^\w[\w *]*?\b(ws_\w+)\(", header, re.MULTILINE))


def listed() -> set[str]:
    return set(LIST.read_text(encoding="utf-8").split())


def faults(library: Path) -> Iterator[str]:
    """What is wrong with the symbols of a library."""
    found = exported(library)
    for names, fault in (
        (listed() - found, REMOVED),
        (found - listed(), ADDED),
        (found - declared(), UNDECLARED),
        (declared() - found, MISSING),
    ):
        if names:
            yield fault.format(", ".join(sorted(names)))
    if not found:
        yield "nothing is exported"


def main() -> int:
    if sys.argv[1:] != ["--write"]:
        print(__doc__, file=sys.stderr)
        return 2
    make = os.environ.get("MAKE", "make")
    subprocess.run([make, "--no-print-directory", "c-library"], cwd=ROOT, check=True)
    target = ROOT / os.environ.get("CARGO_TARGET_DIR", "target")
    library = f"libtalkws.{'dylib' if IS_MACOS else 'so'}"
    before, now = listed(), exported(target / "release" / library)
    for name in sorted(before ^ now):
        print(f"{'removed' if name in before else 'added'}: {name}")
    LIST.write_text("".join(f"{name}\n" for name in sorted(now)), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
