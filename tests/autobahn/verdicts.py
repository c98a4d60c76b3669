"""What a report of the Autobahn suite means: which cases passed, and why the others did not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

# These cases set both their verdicts to INFORMATIONAL whatever the peer does (in the suite's
# source: case7_1_6.py, case7_13_1.py, case7_13_2.py): what happens to messages that a Close
# overtakes, and to close codes beyond 4999, is left open by RFC 6455.
INFORMATIONAL_BY_DESIGN = frozenset({"7.1.6", "7.13.1", "7.13.2"})

# Every category of the suite but those of compression (8 and 11 have no cases).
CATEGORIES = frozenset({"1", "2", "3", "4", "5", "6", "7", "9", "10"})
# And those of permessage-deflate.
COMPRESSED = frozenset({"12", "13"})


@dataclass
class Judgement:
    """The outcome of one run: case numbers, and a reason for each failure."""

    passed: list[str] = field(default_factory=list)
    informational: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    faults: dict[str, str] = field(default_factory=dict)

    @property
    def failures(self) -> int:
        return len(self.missing) + len(self.faults)


def judge(
    report: Mapping[str, Any],
    agent: str,
    expected: Sequence[str],
    categories: frozenset[str] = CATEGORIES,
) -> Judgement:
    """Judge the report (the suite's `index.json`) on `agent`: every case of `expected` counts, and
    there must be one of each of the `categories`.

    A case passes if it is `OK` and was closed `OK`; nothing less will do. A case that is missing
    fails, and so does one that nobody expected: the run was not the one we asked for.
    """
    judgement = Judgement()
    for gap in sorted(categories - {case.split(".")[0] for case in expected}):
        judgement.faults[f"{gap}.*"] = "the suite offers no case of this category"

    results = report.get(agent, {})
    for case in expected:
        result = results.get(case)
        if result is None:
            judgement.missing.append(case)
            continue
        verdicts = (result.get("behavior"), result.get("behaviorClose"))
        if verdicts == ("OK", "OK"):
            judgement.passed.append(case)
        elif (
            verdicts == ("INFORMATIONAL", "INFORMATIONAL")
            and case in INFORMATIONAL_BY_DESIGN
        ):
            judgement.informational.append(case)
        else:
            judgement.faults[case] = f"behavior {verdicts[0]}, close {verdicts[1]}"
    for case in sorted(results.keys() - set(expected)):
        judgement.faults[case] = "in the report, but not asked for"
    return judgement
