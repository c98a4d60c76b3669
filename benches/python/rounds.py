"""Measuring contenders in turns: what slows the machine down for a while falls on all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from statistics import median

from contenders import ECHO, LOAD, RAW, Contender
from program import Command, Program, ProgramError, running

START_TIMEOUT = 60.0
ANSWER_TIMEOUT = 120.0


@dataclass
class Samples:
    """Of a contender in a cell, one of each for each round."""

    rates: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Result:
    """Medians: round trips a second, their ratio to raw TCP's of the same round, and the processor
    seconds of the measured process for each message that it receives and sends."""

    rate: float
    ratio: float
    processor: float


class Failed(Exception):
    """A contender could not do what it was asked for."""


def ask(program: Program, question: str) -> list[str]:
    """The words of a program's answer, without the first, which says that all is well."""
    try:
        program.write_line(question)
        answer = program.next_line(ANSWER_TIMEOUT)
    except (OSError, ProgramError) as error:
        raise Failed(str(error)) from error
    if answer is None:
        raise Failed(f"{program.name} ended: {program.complaint()}")
    word, *rest = answer.split(maxsplit=1)
    if word == "failed":
        raise Failed(f"{program.name}: {' '.join(rest)}")
    return " ".join(rest).split()


class Stand:
    """A contender and its peer: one of them is the client, the other the server."""

    def __init__(self, contender: Contender, role: str, connections: int) -> None:
        self._contender = contender
        self._role = role
        # For one connection a blocking thread is the best peer, for many an epoll.
        self._manner = "threads" if connections == 1 else "epoll"
        self._connections = connections
        self._programs = ExitStack()
        self._is_ready = False

    def open(self, size: int, kind: str) -> None:
        """Make the connections; start the programs first if they do not run."""
        if not self._is_ready:
            self._start()
        ask(self._client, f"open {self._port} {self._connections} {kind} {size}")

    def _start(self) -> None:
        name = self._contender.name
        server: Command = [
            ECHO,
            "raw" if self._contender.is_raw else "ws",
            self._manner,
        ]
        client: Command = [LOAD, "ws"]
        if self._contender.is_raw or self._role == "client":
            client = self._contender.command("client")
        else:
            server = self._contender.command("server")
        try:
            self._server = self._programs.enter_context(
                running(f"{name}, server", server, takes_input=True)
            )
            self._port = self._server.wait_until_ready(START_TIMEOUT)
            self._client = self._programs.enter_context(
                running(f"{name}, client", client, takes_input=True)
            )
        except ProgramError as error:
            raise Failed(str(error)) from error
        self._is_ready = True

    def run(self, seconds: float) -> tuple[float, float]:
        """Round trips a second, and processor seconds of the measured process for each."""
        before = self._server_time()
        answer = ask(self._client, f"run {seconds}")
        count, took, spent = (float(word) for word in answer)
        if self._role == "server":
            spent = self._server_time() - before
        return count / took, spent / count

    def _server_time(self) -> float:
        return float(ask(self._server, "cpu")[0]) if self._role == "server" else 0.0

    def close(self) -> None:
        """Close the connections."""
        ask(self._client, "close")

    def stop(self) -> None:
        """End the programs; the next `open` starts them anew."""
        self._programs.close()
        self._is_ready = False


Stands = dict[str, Stand]


def measure(
    stands: Stands, size: int, kind: str, rounds: int, seconds: float
) -> tuple[dict[str, Result], dict[str, str]]:
    """The results of those who could, and why the others could not."""
    failures: dict[str, str] = {}
    samples = {name: Samples() for name in stands}

    def attempt(name: str, action: Callable[[Stand], object]) -> None:
        if name not in failures:
            try:
                action(stands[name])
            except Failed as error:
                failures[name] = str(error)
                stands[name].stop()

    def take_sample(name: str, stand: Stand) -> None:
        rate, processor = stand.run(seconds)
        samples[name].rates.append(rate)
        samples[name].processor.append(processor)

    for name in stands:
        attempt(name, lambda stand: stand.open(size, kind))
    # Not counted: what is made only once is made here.
    for name in stands:
        attempt(name, lambda stand: stand.run(0))
    for turn in turns(list(stands), rounds):
        for name in turn:
            attempt(name, partial(take_sample, name))
    for name in stands:
        attempt(name, Stand.close)
    good = {name: one for name, one in samples.items() if name not in failures}
    return summarize(good), failures


def turns(names: list[str], rounds: int) -> Iterator[list[str]]:
    """In each round another one begins."""
    for index in range(rounds):
        first = index % max(1, len(names))
        yield names[first:] + names[:first]


def summarize(samples: dict[str, Samples]) -> dict[str, Result]:
    if RAW not in samples:
        return {}
    raw = samples[RAW].rates
    return {
        name: Result(
            median(one.rates),
            median(own / tcp for own, tcp in zip(one.rates, raw, strict=True)),
            median(one.processor),
        )
        for name, one in samples.items()
    }
