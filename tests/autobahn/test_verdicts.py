"""The judge of conformance must be able to say no: doctored reports, one fault each."""

from __future__ import annotations

from typing import Any

import pytest
from verdicts import CATEGORIES, COMPRESSED, INFORMATIONAL_BY_DESIGN, judge

AGENT = "peer"
CASES = sorted({f"{category}.1.1" for category in CATEGORIES} | INFORMATIONAL_BY_DESIGN)


def failed(report: dict[str, Any]) -> list[str]:
    judgement = judge(report, AGENT, CASES)
    assert judgement.failures == len(judgement.missing) + len(judgement.faults)
    return [*judgement.missing, *judgement.faults]


def clean_report() -> dict[str, dict[str, dict[str, Any]]]:
    """What the suite says of a peer without fault."""
    report = {}
    for case in CASES:
        verdict = "INFORMATIONAL" if case in INFORMATIONAL_BY_DESIGN else "OK"
        report[case] = {"behavior": verdict, "behaviorClose": verdict}
    return {AGENT: report}


def test_a_clean_report_passes() -> None:
    judgement = judge(clean_report(), AGENT, CASES)
    assert judgement.failures == 0
    assert set(judgement.informational) == INFORMATIONAL_BY_DESIGN
    assert sorted(judgement.passed + judgement.informational) == CASES


@pytest.mark.parametrize("field", ["behavior", "behaviorClose"])
@pytest.mark.parametrize(
    "verdict",
    [
        "FAILED",
        "NON-STRICT",
        "UNCLEAN",
        "WRONG CODE",
        "UNIMPLEMENTED",
        "FAILED BY CLIENT",
        "INFORMATIONAL",
        "something new",
        None,
    ],
)
def test_anything_but_ok_fails(field: str, verdict: str | None) -> None:
    report = clean_report()
    report[AGENT]["5.1.1"][field] = verdict
    assert failed(report) == ["5.1.1"]


def test_a_fully_informational_verdict_passes_only_by_design() -> None:
    report = clean_report()
    informational = {"behavior": "INFORMATIONAL", "behaviorClose": "INFORMATIONAL"}
    report[AGENT]["5.1.1"] = informational
    assert failed(report) == ["5.1.1"]


def test_a_failure_is_not_excused_in_an_informational_case() -> None:
    report = clean_report()
    report[AGENT]["7.1.6"]["behavior"] = "FAILED"
    assert failed(report) == ["7.1.6"]


def test_a_case_without_verdicts_fails() -> None:
    report = clean_report()
    report[AGENT]["5.1.1"] = {}
    assert failed(report) == ["5.1.1"]


def test_a_missing_case_fails() -> None:
    report = clean_report()
    del report[AGENT]["5.1.1"]
    assert failed(report) == ["5.1.1"]


def test_a_case_that_was_not_asked_for_fails() -> None:
    report = clean_report()
    report[AGENT]["12.1.1"] = {"behavior": "OK", "behaviorClose": "OK"}
    assert failed(report) == ["12.1.1"]


def test_a_report_on_somebody_else_fails() -> None:
    assert failed({"somebody else": clean_report()[AGENT]}) == CASES


def test_a_suite_without_cases_fails() -> None:
    judgement = judge({AGENT: {}}, AGENT, [])
    assert judgement.faults.keys() == {f"{category}.*" for category in CATEGORIES}


def test_a_category_that_is_asked_for_must_be_there() -> None:
    report = {AGENT: {"12.1.1": {"behavior": "OK", "behaviorClose": "OK"}}}
    judgement = judge(report, AGENT, ["12.1.1"], COMPRESSED)
    assert judgement.passed == ["12.1.1"]
    assert list(judgement.faults) == ["13.*"]
