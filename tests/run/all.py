#!/usr/bin/env python3
"""Runs every test suite, whatever becomes of the others, and sums them up.

The last line is `N passed, N failed, N skipped`; above it stand the counts of each suite, every
failure and every skip by name. The exit code is 0 only if nothing failed. `make test` runs this.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from counts import Counts, Reader, judge, read_cargo, read_closing_line, read_pytest
from program import Command
from workspace import ROOT, TARGET, VENV_PYTHON

CARGO = os.environ.get("CARGO", "cargo")
BUILD_TIMEOUT = 1800.0
SUITE_TIMEOUT = 1800.0


@dataclass
class Suite:
    """A command that runs tests, and how to read its counts."""

    name: str
    command: Command
    read: Reader


BUILDS = ("build-rust", "build-c", "build-python")

PYTEST: Command = [VENV_PYTHON, "-m", "pytest", "-q", "-rfEsx"]

EXAMPLES = TARGET / "release" / "examples"


def in_python(example: str) -> str:
    """The command line of an example in Python."""
    return shlex.join([str(VENV_PYTHON), str(ROOT / "examples" / example)])


# The echo programs of the three languages; each is the peer of the whole suite.
ECHO_PROGRAMS: Command = [
    *("--server", f"rust={shlex.join([str(EXAMPLES / 'echo_server')])}"),
    *("--client", f"rust={shlex.join([str(EXAMPLES / 'echo_client')])}"),
    *("--server", f"rust-events={shlex.join([str(EXAMPLES / 'echo_events')])}"),
    *("--server", f"c={shlex.join([str(TARGET / 'c' / 'echo_server')])}"),
    *("--server", f"c-events={shlex.join([str(TARGET / 'c' / 'echo_events')])}"),
    *("--client", f"c={shlex.join([str(TARGET / 'c' / 'echo_client')])}"),
    *("--server", f"python={in_python('echo_server.py')}"),
    *("--server", f"python-events={in_python('echo_events.py')}"),
    *("--server", f"python-asyncio={in_python('echo_asyncio.py')}"),
    *("--client", f"python={in_python('echo_client.py')}"),
    *("--client", f"python-asyncio={in_python('echo_asyncio.py')}"),
]

SUITES = (
    # The Python extension takes its symbols from the interpreter that loads it, so that a test
    # program of it would not link; the Python suite tests it.
    Suite(
        "rust",
        [
            *(CARGO, "test", "--workspace", "--no-fail-fast"),
            *("--exclude", "talkws-python"),
        ],
        read_cargo,
    ),
    Suite("c", [ROOT / "tests" / "c" / "run"], read_closing_line),
    Suite("install", [ROOT / "tests" / "c" / "install"], read_closing_line),
    Suite("python", [*PYTEST, ROOT / "tests" / "python"], read_pytest),
    Suite("packaging", [ROOT / "tests" / "packaging" / "run"], read_closing_line),
    Suite("interop", [ROOT / "tests" / "interop" / "run"], read_closing_line),
    Suite(
        "autobahn",
        [sys.executable, ROOT / "tests" / "autobahn" / "run.py", *ECHO_PROGRAMS],
        read_closing_line,
    ),
    Suite(
        "demo", [sys.executable, ROOT / "tests" / "run" / "demo.py"], read_closing_line
    ),
    Suite("examples", [ROOT / "tests" / "examples" / "run"], read_closing_line),
    Suite("browser", [*PYTEST, ROOT / "tests" / "browser"], read_pytest),
    # The judges of the suites above are tested too: they must be able to say no.
    Suite(
        "judges",
        [
            *(*PYTEST, ROOT / "tests" / "run", ROOT / "tests" / "autobahn"),
            ROOT / "benches" / "python",
        ],
        read_pytest,
    ),
)


def environment() -> Mapping[str, str]:
    """Ours, less what would colour the output, or have a make below us look for our make's jobs."""
    env = {**os.environ, "CARGO_TARGET_DIR": str(TARGET), "CARGO_TERM_COLOR": "never"}
    env["NO_COLOR"] = "1"
    # Whoever runs the tests behind a proxy does not mean their servers.
    env["no_proxy"] = "*"
    for name in ("FORCE_COLOR", "MAKEFLAGS", "MFLAGS", "MAKELEVEL"):
        env.pop(name, None)
    return env


def run(title: str, command: Command, timeout: float) -> tuple[int, str]:
    """Run a command, showing and keeping what it prints: its exit code, and its output."""
    print(f"\n== {title}", flush=True)
    try:
        # A session of its own, so that its end takes along whatever it started.
        process = subprocess.Popen(
            [str(part) for part in command],
            cwd=ROOT,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        print(f"cannot start {command[0]}: {error}", flush=True)
        return 127, ""

    def end() -> None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    def give_up() -> None:
        print(f"{title}: not done after {timeout:.0f} s, ended", flush=True)
        end()

    timer = threading.Timer(timeout, give_up)
    timer.start()
    output = []
    try:
        assert process.stdout is not None
        for line in process.stdout:
            sys.stdout.write(line)
            sys.stdout.flush()
            output.append(line)
        return process.wait(), "".join(output)
    except BaseException:
        end()
        raise
    finally:
        timer.cancel()


def run_build(target: str) -> Counts:
    """Build a part. A part that does not build is a failure, but one that does is no test."""
    make = ["make", "--no-print-directory", target]
    exit_code, _ = run(target, make, BUILD_TIMEOUT)
    if exit_code == 0:
        return Counts()
    return Counts(
        failed=1, failures=[f"make {target} ended with exit code {exit_code}"]
    )


def run_suite(suite: Suite) -> Counts:
    exit_code, output = run(suite.name, suite.command, SUITE_TIMEOUT)
    return judge(suite.read, output, exit_code)


def summarize(results: Mapping[str, tuple[Counts, float]]) -> Counts:
    total = Counts()
    print("\n== summary")
    print(f"{'suite':<14}{'passed':>8}{'failed':>8}{'skipped':>8}{'seconds':>9}")
    for name, (counts, seconds) in results.items():
        numbers = f"{counts.passed:>8}{counts.failed:>8}{counts.skipped:>8}"
        print(f"{name:<14}{numbers}{seconds:>9.0f}")
        total.add(counts)
    for word in ("failures", "skips"):
        for name, (counts, _) in results.items():
            for text in getattr(counts, word):
                print(f"{word.removesuffix('s')}  {name}: {text}")
    print(total.closing_line(), flush=True)
    return total


def main() -> int:
    # As Ctrl-C does: end the suite that is running before we go.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    results = {}
    for target in BUILDS:
        started = time.monotonic()
        results[target] = (run_build(target), time.monotonic() - started)
    for suite in SUITES:
        started = time.monotonic()
        results[suite.name] = (run_suite(suite), time.monotonic() - started)
    return 1 if summarize(results).failed else 0


if __name__ == "__main__":
    sys.exit(main())
