"""The echo examples of every language, with the Python package at the other end."""

from __future__ import annotations

from collections.abc import Iterator

from peers import HERE, ROOT, TARGET, VENV_PYTHON, Peer, peer, run, running
from reports import failures_in

# What a server can be asked that does nothing but send messages back.
SERVER_CHECKS = [
    "text",
    "empty text",
    "non-ASCII text",
    "1 MiB text",
    "binary",
    "empty binary",
    "1 MiB binary",
    "frame length boundaries",
    "many messages in order",
    "fragmented text",
    "fragmented binary",
    "ping between fragments",
    "ping",
]
# The cases of talkws_suite.py.
CLIENT_CASES = [
    "empty messages",
    "short messages",
    "1 MiB",
    "fragments",
    "close with 4001",
]
EXAMPLES = {
    "rust": [str(TARGET / "release" / "examples")],
    "c": [str(TARGET / "c")],
    "python": [str(VENV_PYTHON), str(ROOT / "examples")],
}


def example(language: str, name: str) -> list[str]:
    """The command of an example program."""
    *interpreter, folder = EXAMPLES[language]
    suffix = ".py" if language == "python" else ""
    return [*interpreter, f"{folder}/{name}{suffix}"]


def server_failures(language: str, client: Peer) -> dict[str, str]:
    command = [*example(language, "echo_server"), "0"]
    with running(peer(f"{language} echo", *command), command) as serving:
        said = run(client, client.client, serving.url, *SERVER_CHECKS)
    return failures_in(said, SERVER_CHECKS)


def client_failures(language: str) -> dict[str, str]:
    suite = peer("suite", str(VENV_PYTHON), str(HERE / "talkws_suite.py"))
    command = example(language, "echo_client")
    with running(suite, suite.server) as serving:
        said = run(peer(f"{language} echo", *command), command, serving.url, "me")
        # The server says a line of each case, unless the client went too early.
        lines = [serving.next_line() for _ in CLIENT_CASES] if not said else []
    return failures_in("\n".join([said, *filter(None, lines)]), CLIENT_CASES)


def test_echoes(client: Peer) -> Iterator[tuple[str, dict[str, str], int]]:
    """For each group of checks its name, its failures, and its size."""
    for language in EXAMPLES:
        try:
            failures = server_failures(language, client)
        except RuntimeError as error:
            failures = dict.fromkeys(SERVER_CHECKS, str(error))
        name = f"{client.name} client, {language} echo_server"
        yield name, failures, len(SERVER_CHECKS)
        try:
            failures = client_failures(language)
        except RuntimeError as error:
            failures = dict.fromkeys(CLIENT_CASES, str(error))
        name = f"{language} echo_client, {client.name} server"
        yield name, failures, len(CLIENT_CASES)
