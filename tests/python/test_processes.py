"""More than one process, more than one interpreter, and the end of either."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from peers import PATIENCE

PROGRAM = Path(__file__).with_name("processes.py")
INTERPRETERS = Path(__file__).with_name("interpreters.py")


def run(*arguments: str) -> list[str]:
    """What a program says that must end, and end well."""
    program = subprocess.run(
        [sys.executable, "-X", "faulthandler", *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert program.returncode == 0, program.stdout + program.stderr
    return program.stdout.splitlines()


@pytest.mark.parametrize(
    ("scenario", "said"),
    [
        (
            "child_uses_the_connection",
            ["before", "from the child", "TimeoutError", "child: 0"],
        ),
        (
            "child_drops_the_connection",
            ["child: 0", "still", "here", "1000"],
        ),
        (
            "child_dials_and_listens",
            [
                "all new",
                "ConnectionClosedError",
                "child: 0",
                "all new",
                "ConnectionClosedError",
            ],
        ),
        (
            "child_of_a_server_ends",
            ["child: 0", "0", "child: 0", "1", "child: 0", "2"],
        ),
        (
            "a_thread_that_forks_is_the_main_thread",
            ["KeyboardInterrupt", "child: 0"],
        ),
        ("spawned_processes_talk", ["from a child", "child: 0"]),
    ],
)
def test_processes_share_the_work(scenario: str, said: list[str]) -> None:
    assert run("-W", "ignore::DeprecationWarning", str(PROGRAM), scenario) == said


def test_an_interpreter_ends_with_threads_that_wait() -> None:
    """Many times, since every end is another race."""
    with ThreadPoolExecutor(4) as pool:
        ends = [
            pool.submit(run, str(PROGRAM), "daemons_wait_at_the_end") for _ in range(24)
        ]
    assert [end.result() for end in ends] == [["end"]] * 24


@pytest.mark.parametrize("kind", ["legacy", "isolated"])
def test_only_the_main_interpreter_talks(kind: str) -> None:
    """Another learns at once that it cannot, and does no harm."""
    said = run("-W", "ignore", str(INTERPRETERS), kind)
    if said == ["no module for interpreters"]:
        pytest.skip("this Python has no module for interpreters, as CPython has")
    assert [said[2], said[3]] == ["Hello", "ConnectionClosedOK"] == said[-2:]
    for refused in said[:2] + said[4:-2]:
        assert refused.startswith("ImportError ")
        assert "does not support loading in subinterpreters" in refused
    assert len(said) == 8
