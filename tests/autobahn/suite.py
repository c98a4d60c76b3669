"""The suite's own side of a conformance run. Runs under Python 2.7, in the suite's environment.

    python suite.py cases SPEC      print the cases that SPEC selects, as JSON
    python suite.py server SPEC     run the suite's fuzzing server until SIGTERM

`wstest` itself can only listen on a port that was chosen beforehand, on all interfaces, and does
not say when it is ready. This server takes a free port of the loopback interface, prints
`Listening on URL`, and writes its report when it is asked to stop, so that a client which died
half-way leaves a report as well. (The suite's fuzzing client needs none of that: `run.py` starts
it by `wstest`.)
"""

# ruff: noqa: UP010, UP031
from __future__ import print_function

import json
import socket
import sys

# The suite requires this import, which installs its event loop, to come first.
from autobahntestsuite import choosereactor  # noqa: F401
from autobahntestsuite.case import (
    CaseBasename,
    CaseCategories,
    Cases,
    CaseSetname,
    CaseSubCategories,
)
from autobahntestsuite.caseset import CaseSet
from autobahntestsuite.fuzzing import FuzzingServerFactory
from twisted.internet import reactor


def print_cases(spec):
    case_set = CaseSet(
        CaseSetname, CaseBasename, Cases, CaseCategories, CaseSubCategories
    )
    print(json.dumps(case_set.parseSpecCases(spec)))


def serve(spec):
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    listener.setblocking(False)

    # The factory compares the Host header of requests with this URL: the port must be known first.
    spec["url"] = "ws://127.0.0.1:%d" % listener.getsockname()[1]
    factory = FuzzingServerFactory(spec)
    reactor.adoptStreamPort(listener.fileno(), socket.AF_INET, factory)
    reactor.addSystemEventTrigger("after", "shutdown", factory.createReports)
    print("Listening on " + spec["url"])
    sys.stdout.flush()
    reactor.run()


def main():
    command, spec_file = sys.argv[1:]
    with open(spec_file) as f:
        spec = json.load(f)
    {"cases": print_cases, "server": serve}[command](spec)


if __name__ == "__main__":
    main()
