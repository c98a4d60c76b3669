"""Sends back every message of a conformance suite's server, case by case: the client side of the
Autobahn test suite.

python examples/echo_client.py ws://127.0.0.1:9001 AGENT
"""

from __future__ import annotations

import sys

import talkws

MAX_MESSAGE = 64 << 20


def ask(url: str) -> str | bytes:
    """The one message that the suite has to say there; empty when it says only goodbye."""
    with talkws.connect(url) as ws:
        for message in ws:
            return message
    return ""


def echo(url: str) -> None:
    """How a case ends is for the suite to judge."""
    try:
        with talkws.connect(url, max_size=MAX_MESSAGE) as ws:
            for message in ws:
                ws.send(message)
    except talkws.ConnectionClosed:
        pass


def run_cases(base: str, agent: str) -> None:
    for case in range(1, int(ask(f"{base}/getCaseCount")) + 1):
        echo(f"{base}/runCase?case={case}&agent={agent}")
    ask(f"{base}/updateReports?agent={agent}")


def main() -> int:
    if len(sys.argv) != 3:
        print("usage: echo_client.py BASE_URL AGENT", file=sys.stderr)
        return 2
    try:
        run_cases(*sys.argv[1:])
    except (talkws.WebSocketException, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
