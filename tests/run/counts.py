"""Reading how many tests a suite ran, and which it skipped, from what it printed."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Counts:
    """What a suite says of itself, or several suites together."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    failures: list[str] = field(default_factory=list)
    skips: list[str] = field(default_factory=list)

    def add(self, other: Counts) -> None:
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        self.failures += other.failures
        self.skips += other.skips

    def closing_line(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


Reader = Callable[[str], "Counts | None"]


def read_cargo(output: str) -> Counts | None:
    """`cargo test`: one `test result:` line for each test program; ignored tests are skips."""
    counts = Counts()
    results = re.findall(
        r"^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored;",
        output,
        re.MULTILINE,
    )
    for passed, failed, ignored in results:
        counts.add(Counts(int(passed), int(failed), int(ignored)))
    counts.failures = re.findall(r"^test (.+) \.\.\. FAILED$", output, re.MULTILINE)
    for name, reason in re.findall(
        r"^test (.+?) \.\.\. ignored(?:, (.+))?$", output, re.MULTILINE
    ):
        counts.skips.append(f"{name}: {reason or 'no reason given'}")
    return counts if results else None


PYTEST_WORDS = {
    "passed": "passed",
    "failed": "failed",
    "error": "failed",
    "errors": "failed",
    "skipped": "skipped",
    "xfailed": "skipped",
    "xpassed": "passed",
}


def read_pytest(output: str) -> Counts | None:
    """`pytest -rsx`: its last line; the lines `SKIPPED` and `XFAIL` name the skips."""
    closing = re.findall(
        r"^=* ?(\d+ \w+(?:, \d+ \w+)*) in [\d.]+s", output, re.MULTILINE
    )
    if not closing:
        return None
    counts = Counts()
    for number, word in re.findall(r"(\d+) (\w+)", closing[-1]):
        if kind := PYTEST_WORDS.get(word):
            setattr(counts, kind, getattr(counts, kind) + int(number))
    counts.failures = re.findall(r"^(?:FAILED|ERROR) (\S.*)$", output, re.MULTILINE)
    counts.skips = re.findall(r"^(?:SKIPPED|XFAIL) (.+)$", output, re.MULTILINE)
    return counts


def read_closing_line(output: str) -> Counts | None:
    """Our own scripts: `NAME: N passed, N failed, N skipped`, and lines `SKIP`, `FAIL`."""
    closing = re.findall(
        r"^\w+: (\d+) passed, (\d+) failed, (\d+) skipped$", output, re.MULTILINE
    )
    if not closing:
        return None
    passed, failed, skipped = (int(number) for number in closing[-1])
    return Counts(
        passed,
        failed,
        skipped,
        failures=re.findall(r"^FAIL (.+)$", output, re.MULTILINE),
        skips=re.findall(r"^SKIP (.+)$", output, re.MULTILINE),
    )


def judge(read: Reader, output: str, exit_code: int) -> Counts:
    """The counts of a suite that has ended. One that dies, or runs no test, has failed."""
    counts = read(output)
    if counts is None:
        return _failure(
            f"ended with exit code {exit_code}, without a count of its tests"
        )
    if exit_code != 0 and counts.failed == 0:
        counts.add(
            _failure(f"counted no failure, but ended with exit code {exit_code}")
        )
    if counts.passed + counts.failed + counts.skipped == 0:
        counts.add(_failure("ran no test"))
    if len(counts.skips) < counts.skipped and not _grouped(counts.skips):
        counts.skips.append("(some skips have no name in what the suite printed)")
    return counts


def _grouped(skips: list[str]) -> bool:
    # pytest puts skips with one reason on one line: `[3] tests/python/test_x.py:7: reason`.
    return any(skip.startswith("[") for skip in skips)


def _failure(reason: str) -> Counts:
    return Counts(failed=1, failures=[reason])
