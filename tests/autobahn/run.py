#!/usr/bin/env python3
"""Runs the Autobahn test suite against echo programs, in both roles.

    tests/autobahn/run.py                              the Rust echo server and client
    tests/autobahn/run.py --server NAME=COMMAND        some echo server
    tests/autobahn/run.py --client NAME=COMMAND        some echo client
    tests/autobahn/run.py --compression                all cases of permessage-deflate, and no others

`COMMAND 0` must serve on a free port and print `Listening on URL`; `COMMAND URL AGENT` must fetch
the number of cases from URL/getCaseCount and echo on URL/runCase?case=N&agent=AGENT for each of
them. Both options may be repeated. Reports, as pages to look at, go to target/autobahn/reports.
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "run"))

from environment import NotAvailable, suite_environment
from program import Command, ProgramError, running
from verdicts import CATEGORIES, COMPRESSED, Judgement, judge
from workspace import TARGET

WORK = TARGET / "autobahn"
SUITE = Path(__file__).parent / "suite.py"
EXAMPLES = TARGET / "release" / "examples"

# All cases but those of compression, of which two of each kind are made: small messages, and large
# ones in fragments. All of them take a quarter of an hour, and have a run of their own.
SAMPLE = {
    "cases": [f"{category}.*" for category in range(1, 11)]
    + ["12.*.2", "12.*.12", "13.*.2", "13.*.12"]
}
COMPRESSION = {"cases": ["12.*", "13.*"]}

READY_TIMEOUT = 30.0
RUN_TIMEOUT = 3600.0
REPORT_TIMEOUT = 60.0
FAULTS_SHOWN = 20


@dataclass
class Testee:
    """An echo program, in one role."""

    role: str
    name: str
    command: list[str]
    # Which cases, in the words of the suite.
    spec: dict[str, list[str]]
    folder: Path = field(init=False)

    def __post_init__(self) -> None:
        self.agent = f"{self.name}-{self.role}"
        reports = "compression" if self.spec is COMPRESSION else "reports"
        self.folder = WORK / reports / self.agent

    def write_spec(self, **extra: Any) -> Path:
        spec = {**self.spec, "outdir": str(self.folder), **extra}
        return write_spec(self.folder / "spec.json", spec)


def write_spec(path: Path, spec: dict[str, Any]) -> Path:
    path.write_text(json.dumps(spec, indent=2), encoding="utf-8")
    return path


def run_server(testee: Testee, suite: Path) -> None:
    """The suite's fuzzing client against an echo server."""
    with running(f"{testee.name} echo server", [*testee.command, "0"]) as server:
        url = server.wait_until_ready(READY_TIMEOUT)
        spec = testee.write_spec(servers=[{"agent": testee.agent, "url": url}])
        wstest: Command = [suite / "wstest", "-m", "fuzzingclient", "-s", spec]
        with running("suite", wstest, testee.folder / "suite.log") as client:
            client.wait_for_end(RUN_TIMEOUT)
        if (code := server.exit_code()) is not None:
            raise ProgramError(
                f"{server.name}: ended with exit code {code}: {server.complaint()}"
            )


def run_client(testee: Testee, suite: Path) -> None:
    """An echo client against the suite's fuzzing server."""
    spec = testee.write_spec()
    server_command: Command = [suite / "python", SUITE, "server", spec]
    with running("suite", server_command, testee.folder / "suite.log") as server:
        url = server.wait_until_ready(READY_TIMEOUT)
        client_command = [*testee.command, url, testee.agent]
        with running(f"{testee.name} echo client", client_command) as client:
            code = client.wait_for_end(RUN_TIMEOUT)
            if code != 0:
                raise ProgramError(
                    f"{client.name}: exit code {code}: {client.complaint()}"
                )
        # The server writes the report on its way out.
        server.stop(REPORT_TIMEOUT)


def run(
    testee: Testee, suite: Path, expected: list[str], categories: frozenset[str]
) -> Judgement:
    """Run all cases against one program, and judge the report."""
    # An old report must not be mistaken for one of this run.
    shutil.rmtree(testee.folder, ignore_errors=True)
    testee.folder.mkdir(parents=True)
    trouble = None
    try:
        {"server": run_server, "client": run_client}[testee.role](testee, suite)
    except ProgramError as error:
        trouble = str(error)
    try:
        report = json.loads((testee.folder / "index.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        report = {}
        trouble = trouble or f"no report: {error}"
    judgement = judge(report, testee.agent, expected, categories)
    if trouble:
        # First, because it explains the rest.
        judgement.faults = {"run": trouble, **judgement.faults}
    return judgement


def show(testee: Testee, judgement: Judgement) -> None:
    line = f"{testee.name} {testee.role}: {len(judgement.passed)} cases OK"
    if judgement.informational:
        cases = ", ".join(judgement.informational)
        line += f", {len(judgement.informational)} informational by design ({cases})"
    if judgement.failures:
        line += f", {judgement.failures} FAILED; see {testee.folder / 'index.html'}"
    print(line)
    for what, reason in list(judgement.faults.items())[:FAULTS_SHOWN]:
        print(f"FAIL {testee.agent} {what}: {reason}")
    if (unseen := len(judgement.faults) - FAULTS_SHOWN) > 0:
        print(f"FAIL {testee.agent}: and {unseen} more cases")
    if missing := judgement.missing:
        print(
            f"FAIL {testee.agent}: {len(missing)} cases are missing in the report, "
            f"the first is {missing[0]}"
        )
    sys.stdout.flush()


def named_command(text: str) -> tuple[str, list[str]]:
    name, equals, command = text.partition("=")
    if not (name and equals and command):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=COMMAND")
    return name, shlex.split(command)


def parse_arguments() -> list[Testee]:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for role in ("server", "client"):
        parser.add_argument(
            f"--{role}",
            action="append",
            default=[],
            type=named_command,
            metavar="NAME=COMMAND",
        )
    parser.add_argument("--compression", action="store_true")
    arguments = parser.parse_args()
    spec = COMPRESSION if arguments.compression else SAMPLE
    testees = [
        Testee(role, name, command, spec)
        for role in ("server", "client")
        for name, command in getattr(arguments, role)
    ]
    return testees or [
        Testee("server", "rust", [str(EXAMPLES / "echo_server")], spec),
        Testee("client", "rust", [str(EXAMPLES / "echo_client")], spec),
    ]


def main() -> int:
    testees = parse_arguments()
    WORK.mkdir(parents=True, exist_ok=True)
    try:
        suite = suite_environment(WORK)
    except NotAvailable as error:
        print(f"SKIP autobahn: {error}")
        print("autobahn: 0 passed, 0 failed, 1 skipped")
        return 0

    spec = testees[0].spec
    categories = COMPRESSED if spec is COMPRESSION else CATEGORIES | COMPRESSED
    listing = write_spec(WORK / "cases.json", spec)
    list_cases: Command = [suite / "python", SUITE, "cases", listing]
    listed = subprocess.run(
        list_cases, check=True, stdout=subprocess.PIPE, timeout=READY_TIMEOUT
    )
    expected: list[str] = json.loads(listed.stdout)
    print(f"autobahn: {len(expected)} cases in each role", flush=True)

    passed = failed = 0
    # Two at a time: the suite spends most of a run waiting for its own timers.
    with ThreadPoolExecutor(max_workers=2) as pool:
        judgements = pool.map(
            lambda testee: run(testee, suite, expected, categories), testees
        )
        for testee, judgement in zip(testees, judgements):
            show(testee, judgement)
            passed += len(judgement.passed) + len(judgement.informational)
            failed += judgement.failures
    print(f"autobahn: {passed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
