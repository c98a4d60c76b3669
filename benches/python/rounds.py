"""Measuring contenders in turns: what slows the machine down for a while falls on all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from statistics import median

from contenders import ECHO, LOAD, RAW, Contender
from program import Command, Program, ProgramError, running

START_TIMEOUT = 60.0
ANSWER_TIMEOUT = 120.0
LEAST_ROUNDS = 9


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
    rounds: int


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
        server, client = self._commands()
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

    def _commands(self) -> tuple[Command, Command]:
        """The server and the client: the contender and its peer, or for raw TCP both ours."""
        contender, role = self._contender, self._role
        protocol = "raw" if contender.is_raw else "ws"
        # Clients are compared with one that does as the blocking ones do; servers have one that
        # lets each of its connections go on by itself.
        manner = "turns" if role == "client" else "epoll"
        server: Command = [ECHO, protocol]
        client: Command = [LOAD, protocol, manner]
        if contender.is_raw:
            return server, client
        own = contender.command(role)
        return (server, own) if role == "client" else (own, client)

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
    """The results of those who could, and why the others could not.

    A slice cannot be shorter than one message on each connection takes. Where that is long, there
    are fewer rounds, though never under LEAST_ROUNDS of those asked for.
    """
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
    patience = time.monotonic() + 2 * rounds * seconds * len(stands)
    for index, turn in enumerate(turns(list(stands), rounds)):
        if index >= LEAST_ROUNDS and time.monotonic() > patience:
            break
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
            len(one.rates),
        )
        for name, one in samples.items()
    }
