#!/usr/bin/env python3
"""The hello exchange between every client and every server: Rust, C and Python, nine pairs.

Prints what each side said. A pair passes only if both said exactly what they should, and each
server serves all three clients: it must keep going. Build first: `make demo` does.
"""

from __future__ import annotations

import sys
from pathlib import Path

from program import Command, Program, ProgramError, running
from workspace import ROOT, TARGET, VENV_PYTHON

CLIENT_SAYS = "Received: Hello from server!"
SERVER_SAYS = "Message: Hello from client!"
# Port 0: the server takes a free one, and prints the URL that has it.
SERVE_ON = "ws://localhost:0/talk-to-server"
TIMEOUT = 30.0

LANGUAGES = ("rust", "c", "python")
ROW = "{:<8} {:<8} {:<30} {:<30} {}"


def program(language: str, name: str) -> list[str | Path]:
    """The command that runs the example program `name` of a language."""
    match language:
        case "rust":
            return [TARGET / "release" / "examples" / name]
        case "c":
            return [TARGET / "c" / name]
        case _:
            return [VENV_PYTHON, ROOT / "examples" / f"{name}.py"]


def run_client(language: str, url: str) -> str:
    """Run a client to its end; all that it printed, on one line."""
    command: Command = [*program(language, "hello_client"), url]
    with running(f"{language} client", command) as client:
        code = client.wait_for_end(TIMEOUT)
        said = " / ".join(client.remaining_lines())
        if code != 0:
            raise ProgramError(
                f"{client.name}: exit code {code}: {client.complaint() or said}"
            )
        return said


def exchange(client: str, server: Program, url: str) -> tuple[str, str]:
    """One conversation: what the client printed, and what the server printed."""
    client_said = run_client(client, url)
    try:
        return client_said, server.next_line(TIMEOUT) or "(ended)"
    except ProgramError:
        return client_said, "(nothing)"


def demo_server(language: str) -> int:
    """All three clients, one after the other, against one server; how many pairs passed."""
    passed = 0
    command: Command = [*program(language, "hello_server"), SERVE_ON]
    try:
        with running(f"{language} server", command) as server:
            url = server.wait_until_ready(TIMEOUT)
            for client in LANGUAGES:
                passed += demo_pair(client, language, server, url)
            server.stop()
            if extra := server.remaining_lines():
                print(f"FAIL {server.name} went on to say {extra}", flush=True)
                passed = 0
    except ProgramError as error:
        print(f"FAIL {error}", flush=True)
    return passed


def demo_pair(client: str, language: str, server: Program, url: str) -> bool:
    """One line of the table, and whether both said what they should."""
    try:
        said = exchange(client, server, url)
    except ProgramError as error:
        print(ROW.format(client, language, "", "", "FAILED"))
        print(f"FAIL {client} client, {language} server: {error}", flush=True)
        return False
    good = said == (CLIENT_SAYS, SERVER_SAYS)
    print(ROW.format(client, language, *said, "ok" if good else "FAILED"), flush=True)
    return good


def main() -> int:
    header = ("client", "server", "the client printed", "the server printed", "")
    print(ROW.format(*header))
    passed = sum(demo_server(language) for language in LANGUAGES)
    failed = len(LANGUAGES) ** 2 - passed
    print(f"demo: {passed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
