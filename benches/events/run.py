#!/usr/bin/env python3
"""Measures servers with many connections: messages a second, and the server's processor time for each.

    make bench-events                       all of it
    make bench-events BENCH_ARGS=--quick    a look

Each round measures every server once, in an order that changes; the figures are medians over the
rounds, and ratios to those of TCP on epoll in the same rounds. The load comes from one thread, on a
processor of its own where there are several, and the server has the rest.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [
    str(ROOT / "tests" / "run"),
    str(ROOT / "tests" / "interop"),
    str(ROOT / "benches" / "deflate"),
]

from peers import Missing
from servers import SERVERS as DEFLATE_SERVERS
from servers import Server
from workspace import TARGET, VENV_PYTHON

LOAD = TARGET / "c" / "events_load"
RAW = "TCP on epoll"
SECONDS = 1.0
MARGIN = 60.0


def example(name: str, *arguments: str) -> Callable[[], Server]:
    return lambda: Server([TARGET / "release" / "examples" / name, "0", *arguments])


SERVERS: dict[str, Callable[[], Server]] = {
    RAW: lambda: Server([TARGET / "c" / "events_raw_echo"]),
    "talkws by events, Rust": example("echo_events"),
    "talkws by events, C": lambda: Server([TARGET / "c" / "echo_events", "0"]),
    "talkws, a thread each": example("echo_server"),
    "talkws by events, Python": lambda: Server(
        [VENV_PYTHON, ROOT / "examples" / "echo_events.py", "0"]
    ),
    "gorilla": DEFLATE_SERVERS["gorilla"],
    "ws": DEFLATE_SERVERS["ws"],
    "websockets, asyncio": DEFLATE_SERVERS["websockets, asyncio"],
}


@dataclass(frozen=True)
class Setting:
    connections: int
    size: int
    depth: int

    def __str__(self) -> str:
        return f"{self.connections} connections, {self.size} B, {self.depth} in flight"


SETTINGS = [
    Setting(connections, size, depth)
    for connections in (100, 1000, 9000)
    for size in (64, 1024)
    for depth in (1, 16)
]
QUICK = [Setting(100, 64, 1), Setting(100, 64, 16), Setting(1000, 64, 16)]


@dataclass
class Figures:
    rates: list[float] = field(default_factory=list)
    times: list[float] = field(default_factory=list)


@contextmanager
def serving(server: Server) -> Iterator[tuple[int, int]]:
    """The port and the process of a server."""
    process = subprocess.Popen(
        [str(part) for part in server.command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **server.environment},
    )
    try:
        line = process.stdout.readline() if process.stdout else ""
        port = line.rstrip("/\n ").rpartition(":")[2]
        if not port.isdigit():
            raise Missing(f"it says {line!r}, and not where it listens")
        yield int(port), process.pid
    finally:
        process.kill()
        process.wait()


def measure(name: str, port: int, pid: int, setting: Setting) -> tuple[float, float]:
    """Messages a second, and the seconds of the server's processor for each."""
    kind = "raw" if name == RAW else "ws"
    numbers = (port, setting.connections, setting.size, setting.depth, SECONDS, pid)
    done = subprocess.run(
        [LOAD, kind, *map(str, numbers)],
        capture_output=True,
        text=True,
        timeout=SECONDS + MARGIN,
        check=False,
        preexec_fn=keep_to_one_processor,
    )
    if done.returncode:
        raise Missing(done.stdout.strip() or done.stderr.strip())
    messages, took, used = map(float, done.stdout.split())
    return messages / took, used / messages


def keep_to_one_processor() -> None:
    processors = sorted(os.sched_getaffinity(0))
    if len(processors) > 1:
        os.sched_setaffinity(0, processors[-1:])


def print_table(setting: Setting, figures: dict[str, Figures]) -> None:
    print(f"\n{setting}")
    raw = figures[RAW]
    for name, its in figures.items():
        if not its.rates:
            continue
        rate, time = statistics.median(its.rates), statistics.median(its.times)
        of_raw = statistics.median(
            rate / raw_rate for rate, raw_rate in zip(its.rates, raw.rates)
        )
        print(
            f"  {name:24} {rate:12,.0f} messages/s  {of_raw:5.2f} of TCP"
            f"  {time * 1e6:7.2f} us of processor for each",
            flush=True,
        )


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--quick", action="store_true", help="fewer of all")
    is_quick = arguments.parse_args().quick
    rounds = 3 if is_quick else 7
    servers: dict[str, Server] = {}
    for name, find in SERVERS.items():
        try:
            servers[name] = find()
        except Missing as missing:
            print(f"without {name}: {missing}", flush=True)
    for setting in QUICK if is_quick else SETTINGS:
        figures = {name: Figures() for name in servers}
        with ExitStack() as stack:
            where = {
                name: stack.enter_context(serving(server))
                for name, server in servers.items()
            }
            for _ in range(rounds):
                names = list(where)
                random.shuffle(names)
                for name in names:
                    try:
                        rate, time = measure(name, *where[name], setting)
                    except Missing as missing:
                        print(f"{name}, {setting}: {missing}", flush=True)
                        del where[name]
                        continue
                    figures[name].rates.append(rate)
                    figures[name].times.append(time)
        print_table(setting, figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
