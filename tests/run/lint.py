#!/usr/bin/env python3
"""Runs every formatter, linter and type checker, whatever the others say. `make lint` runs this.

A tool that is not installed is skipped by name, with the way to get it. The tools for Python come
from the tests' own environment.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from program import Command
from workspace import ROOT, TARGET, VENV_PYTHON

CARGO = os.environ.get("CARGO", "cargo")
TIMEOUT = 1800.0
C_FLAGS = (
    *("-std=c11", "-O2", "-Wall", "-Wextra", "-Wpedantic", "-Werror"),
    *("-Iinclude", "-Itests/c"),
    *("-c", "-o", "/dev/null"),
)
# Each is checked by itself: programs in different folders may have the same name. A folder's
# scripts may import modules of the folders that stand beside it.
PYTHON_FOLDERS = {
    "examples": "",
    "tests/run": "",
    "tests/autobahn": "tests/run",
    "tests/interop": "tests/run",
    "tests/python": "",
    "tests/packaging": "tests/run",
    "tests/browser": "tests/run:tests/examples",
    "tests/examples": "tests/run",
    "tests/c": "",
    "bindings/c/man": "",
    "benches/python": "tests/run:benches/python/programs",
    "benches/python/programs": "",
    "benches/deflate": "tests/run:tests/interop",
    "benches/deflate/servers": "",
    "benches/events": "benches/deflate:tests/run:tests/interop",
}
# Programs whose names do not say that they are Python, with the folder of their modules.
PYTHON_SCRIPTS = {
    "tests/c/run": "tests/c",
    "tests/c/install": "tests/c",
    "tests/examples/run": "tests/examples:tests/run",
    "tests/packaging/run": "tests/packaging:tests/run",
}
# Runs under Python 2.7 only, inside the Autobahn suite, which has no types.
UNTYPED = {ROOT / "tests" / "autobahn" / "suite.py"}


@dataclass
class Check:
    """A command that finds fault or does not; `tool` is what it needs beyond cargo."""

    name: str
    command: Command
    tool: str = ""
    how_to_get: str = ""
    env: dict[str, str] = field(default_factory=dict)


def files(*patterns: str) -> list[Path]:
    return sorted(path for pattern in patterns for path in ROOT.glob(pattern))


def rust_checks() -> Iterator[Check]:
    yield Check(
        "rustfmt",
        [CARGO, "fmt", "--all", "--check"],
        "rustfmt",
        "rustup component add rustfmt",
    )
    yield Check(
        "clippy",
        [
            *(CARGO, "clippy", "--quiet", "--workspace", "--all-targets"),
            *("--", "-D", "warnings"),
        ],
        "cargo-clippy",
        "rustup component add clippy",
    )
    # The Python face without abi3, for one version of CPython only, and without the GIL. Files
    # describe the interpreters, which need not be there: nothing is linked.
    for config in files("tests/packaging/cpython-*.txt"):
        yield Check(
            f"clippy talkws-python for {config.stem}",
            [
                *(CARGO, "clippy", "--quiet", "--package", "talkws-python"),
                *("--no-default-features", "--target-dir", TARGET / config.stem),
                *("--", "-D", "warnings"),
            ],
            "cargo-clippy",
            "rustup component add clippy",
            env={"PYO3_CONFIG_FILE": str(config)},
        )


def c_checks() -> Iterator[Check]:
    # include/talkws.h is generated, and a test of the C suite keeps it fresh.
    sources = files(
        *("examples/*.c", "benches/**/*.c", "benches/**/*.h"),
        *("tests/c/**/*.c", "tests/c/**/*.h"),
    )
    yield Check(
        "clang-format",
        ["clang-format", "--dry-run", "-Werror", *sources],
        "clang-format",
        "Debian, Ubuntu: apt install clang-format",
    )
    for compiler in ("gcc", "clang"):
        for source in files("examples/*.c", "benches/**/*.c"):
            yield Check(
                f"{compiler} {source.relative_to(ROOT)}",
                [compiler, *C_FLAGS, source],
                compiler,
                f"Debian, Ubuntu: apt install {compiler}",
            )


def python_checks() -> Iterator[Check]:
    places = ["benches", "examples", "tests", "bindings", *PYTHON_SCRIPTS]
    ruff: Command = [VENV_PYTHON, "-m", "ruff"]
    yield Check("ruff check", [*ruff, "check", *places])
    yield Check("ruff format", [*ruff, "format", "--check", *places])

    mypy: Command = [VENV_PYTHON, "-m", "mypy", "--strict"]
    yield Check("mypy talkws", [*mypy, "-p", "talkws"])
    # The stubs of the native part, against the native part.
    yield Check("stubtest talkws", [VENV_PYTHON, "-m", "mypy.stubtest", "talkws"])
    for folder, beside in PYTHON_FOLDERS.items():
        if sources := [f for f in files(f"{folder}/*.py") if f not in UNTYPED]:
            yield Check(f"mypy {folder}", [*mypy, *sources], env={"MYPYPATH": beside})
    for script, beside in PYTHON_SCRIPTS.items():
        yield Check(f"mypy {script}", [*mypy, script], env={"MYPYPATH": beside})


def run(check: Check) -> bool:
    """Whether the check finds no fault; prints what it finds."""
    env = {**os.environ, "CARGO_TARGET_DIR": str(TARGET), **check.env}
    try:
        done = subprocess.run(
            [str(part) for part in check.command],
            check=False,
            cwd=ROOT,
            env=env,
            stdin=subprocess.DEVNULL,
            timeout=TIMEOUT,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        print(error)
        return False
    return done.returncode == 0


def main() -> int:
    passed = failed = skipped = 0
    for check in (*rust_checks(), *c_checks(), *python_checks()):
        if check.tool and not shutil.which(check.tool):
            print(f"SKIP {check.name}: no {check.tool}; {check.how_to_get}", flush=True)
            skipped += 1
        elif run(check):
            print(f"ok   {check.name}", flush=True)
            passed += 1
        else:
            print(f"FAIL {check.name}", flush=True)
            failed += 1
    print(f"lint: {passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
