"""The summary of `make test` must not lose a failure, nor a skip's name."""

from __future__ import annotations

import pytest
from counts import Reader, judge, read_cargo, read_closing_line, read_pytest

CARGO = """\
running 3 tests
test frame::a_mask_is_its_own_inverse ... ok
test slow::an_hour_of_silence ... ignored, takes an hour
test frame::a_reserved_bit_is_refused ... FAILED

test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s

test result: ok. 4 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
"""

PYTEST = """\
.s.F
SKIPPED [1] tests/python/test_tls.py:12: needs openssl; apt install openssl
FAILED tests/python/test_dial.py::test_refused - AssertionError
1 failed, 2 passed, 1 skipped in 0.10s
"""

SCRIPT = """\
SKIP gorilla-client: no Go; apt install golang
FAIL ws-client: closed with 1006, not 1000
interop: 7 passed, 1 failed, 1 skipped
"""


def test_cargo_results_are_summed_over_programs() -> None:
    counts = judge(read_cargo, CARGO, 101)
    assert counts.closing_line() == "5 passed, 1 failed, 1 skipped"
    assert counts.skips == ["slow::an_hour_of_silence: takes an hour"]
    assert counts.failures == ["frame::a_reserved_bit_is_refused"]


def test_pytest_results_are_read_from_its_last_line() -> None:
    counts = judge(read_pytest, PYTEST, 1)
    assert counts.closing_line() == "2 passed, 1 failed, 1 skipped"
    assert counts.skips == [
        "[1] tests/python/test_tls.py:12: needs openssl; apt install openssl"
    ]


def test_pytest_errors_are_failures() -> None:
    counts = judge(read_pytest, "1 passed, 2 errors in 0.01s\n", 1)
    assert counts.closing_line() == "1 passed, 2 failed, 0 skipped"


def test_a_script_names_its_skips_and_failures() -> None:
    counts = judge(read_closing_line, SCRIPT, 1)
    assert counts.closing_line() == "7 passed, 1 failed, 1 skipped"
    assert counts.skips == ["gorilla-client: no Go; apt install golang"]
    assert counts.failures == ["ws-client: closed with 1006, not 1000"]


@pytest.mark.parametrize("read", [read_cargo, read_pytest, read_closing_line])
@pytest.mark.parametrize("exit_code", [0, 1, -11])
def test_a_suite_that_dies_without_counts_fails(read: Reader, exit_code: int) -> None:
    counts = judge(read, "Segmentation fault\n", exit_code)
    assert counts.failed == 1


def test_an_exit_code_without_a_counted_failure_is_a_failure() -> None:
    counts = judge(read_closing_line, "c: 3 passed, 0 failed, 0 skipped\n", 1)
    assert counts.closing_line() == "3 passed, 1 failed, 0 skipped"


def test_a_suite_that_runs_no_test_fails() -> None:
    counts = judge(read_closing_line, "c: 0 passed, 0 failed, 0 skipped\n", 0)
    assert counts.failed == 1


def test_a_nameless_skip_is_shown() -> None:
    counts = judge(read_closing_line, "c: 1 passed, 0 failed, 1 skipped\n", 0)
    assert len(counts.skips) == 1


def test_counts_add_up() -> None:
    total = judge(read_cargo, CARGO, 101)
    total.add(judge(read_closing_line, SCRIPT, 1))
    assert total.closing_line() == "12 passed, 2 failed, 2 skipped"
