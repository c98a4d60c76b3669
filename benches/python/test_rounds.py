"""The bench itself: who lies or fails is reported, and figures mean what they say."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from contenders import RAW, Contender
from rounds import Samples, Stand, Stands, measure, summarize, turns

# A server that is ready at once, and a client that makes ten round trips in a second.
SERVER = """
print("Listening on 1", flush=True)
for line in __import__("sys").stdin: print("cpu 0.5", flush=True)
"""
CLIENT = """
for line in __import__("sys").stdin:
    print("done 10 1.0 0.001" if line.startswith("run") else "ok", flush=True)
"""


@dataclass(frozen=True)
class Script(Contender):
    """A contender whose client is a script."""

    script: str = CLIENT

    def command(self, role: str) -> list[str | Path]:
        return [sys.executable, "-c", self.script]


class Scripted(Stand):
    """A stand with a server that is a script too, so that nothing need be built."""

    def _commands(self) -> tuple[list[str | Path], list[str | Path]]:
        client = [*self._contender.command(self._role)]
        return [sys.executable, "-c", SERVER], client


@pytest.fixture
def stands() -> Iterator[Stands]:
    made: Stands = {RAW: Scripted(Script(RAW), "client", 1)}
    yield made
    for stand in made.values():
        stand.stop()


def test_a_result_is_the_median_of_all_rounds(stands: Stands) -> None:
    results, failures = measure(stands, 64, "text", 3, 0)
    assert not failures
    assert results[RAW].rate == 10
    assert results[RAW].processor == pytest.approx(0.0001)
    assert results[RAW].rounds == 3


@pytest.mark.parametrize(
    ("script", "complaint"),
    [
        (CLIENT.replace("done 10 1.0 0.001", "failed an answer"), "an answer"),
        (CLIENT.replace('"ok"', '"failed no server"'), "no server"),
        ("raise SystemExit('no such library')", "no such library"),
    ],
)
def test_a_contender_that_fails_is_reported_and_leaves_the_others_alone(
    stands: Stands, script: str, complaint: str
) -> None:
    stands["bad"] = Scripted(Script("bad", script=script), "client", 1)
    results, failures = measure(stands, 64, "text", 3, 0)
    assert list(results) == [RAW]
    assert list(failures) == ["bad"]
    assert complaint in failures["bad"]


def test_a_contender_that_failed_is_started_anew_for_the_next_cell(
    stands: Stands,
) -> None:
    # Once it has seen text it is of no use any more.
    script = """
is_broken = False
for line in __import__("sys").stdin:
    is_broken = is_broken or "text" in line
    answer = "done 10 1.0 0.001" if line.startswith("run") else "ok"
    print("failed" if is_broken else answer, flush=True)
"""
    stands["bad"] = Scripted(Script("bad", script=script), "client", 1)
    assert list(measure(stands, 64, "text", 1, 0)[1]) == ["bad"]
    assert list(measure(stands, 64, "binary", 1, 0)[0]) == [RAW, "bad"]


def test_each_ratio_is_taken_in_its_own_round() -> None:
    # The machine became slower from round to round; the ratio of the medians would be 0.5.
    samples = {
        RAW: Samples([100, 60, 10], [1, 1, 1]),
        "own": Samples([100, 30, 20], [1, 2, 3]),
    }
    own = summarize(samples)["own"]
    assert (own.rate, own.ratio, own.processor) == (30, 1.0, 2)


def test_in_each_round_another_one_begins() -> None:
    assert list(turns(["a", "b", "c"], 4)) == [
        ["a", "b", "c"],
        ["b", "c", "a"],
        ["c", "a", "b"],
        ["a", "b", "c"],
    ]
