"""Tests talkws against other WebSocket libraries, in both roles; started by `run`.

One line for each group of checks, one for each failure and for each skip, and a count at the
end; the exit code is 1 if anything failed.
"""

from __future__ import annotations

import argparse
import signal
import sys
from dataclasses import dataclass, replace

from echoes import test_echoes
from peers import FOREIGN, Missing, Peer, run, running, talkws, talkws_python
from reports import failures_in
from tampering import TAMPERS, TamperingProxy

# Every client runs all of these; one that leaves a check out has failed it.
GROUPS = {
    "messages": [
        "text",
        "empty text",
        "non-ASCII text",
        "1 MiB text",
        "binary",
        "empty binary",
        "1 MiB binary",
        "frame length boundaries",
        "many messages in order",
    ],
    "fragments": [
        "fragmented text",
        "fragmented binary",
        "ping between fragments",
        "fragments from the server",
    ],
    "pings": ["ping", "ping from the server"],
    "closing": [
        "close with 1000",
        "close with 4001",
        "close without a code",
        "closed by the server with 1000",
        "closed by the server with 4001",
        "closed by the server without a code",
    ],
    "subprotocols": [
        "subprotocol chosen",
        "subprotocol declined",
        "no subprotocol offered",
    ],
    "refusals": ["refused with 403", "refused with 404"],
}
# Ways to compress: the parameters of RFC 7692 that both ends are given.
DEFLATE = {
    "takeover": "",
    "no takeover": "server_no_context_takeover,client_no_context_takeover",
    "takeover by the client": "server_no_context_takeover",
    "windows": "server_max_window_bits=10,client_max_window_bits=9",
}
# What is checked with each of them.
COMPRESSED = GROUPS["messages"] + GROUPS["fragments"]
CHECKS = [check for group in GROUPS.values() for check in group]


@dataclass
class Tally:
    """What was counted so far."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def group(self, name: str, failures: dict[str, str], size: int) -> None:
        """Report a group of checks, of which `failures` failed."""
        self.passed += size - len(failures)
        self.failed += len(failures)
        for check, why in failures.items():
            print(f"FAIL {name}: {check}: {why}")
        if not failures:
            print(f"ok   {name} ({size})")
        sys.stdout.flush()

    def skip(self, name: str, why: str) -> None:
        self.skipped += 1
        print(f"SKIP {name}: {why}", flush=True)


def failures_of(client: Peer, url: str, **environment: str) -> dict[str, str]:
    """The checks that a client reports as failed, or does not report, and why."""
    output = run(client, client.client, url, **environment)
    return failures_in(output, CHECKS)


def test_pair(tally: Tally, client: Peer, server: Peer) -> None:
    """All checks of `client` against `server`."""
    pair = f"{client.name} client, {server.name} server"
    try:
        with running(server, server.server) as serving:
            failures = failures_of(client, serving.url)
    except RuntimeError as error:
        failures = dict.fromkeys(CHECKS, str(error))
    lacking = client.client_lacks | server.server_lacks
    for group, checks in GROUPS.items():
        made = [name for name in checks if name not in lacking]
        failed = {name: failures[name] for name in made if name in failures}
        tally.group(f"{pair}: {group}", failed, len(made))


def test_deflate(tally: Tally, client: Peer, server: Peer) -> None:
    """Messages of `client` and `server`, compressed in each way that both know."""
    for way, parameters in DEFLATE.items():
        if way not in client.deflates & server.deflates:
            continue
        setting = {"INTEROP_DEFLATE": parameters}
        started = replace(server, environment={**server.environment, **setting})
        try:
            with running(started, server.server) as serving:
                failures = failures_of(client, serving.url, **setting)
        except RuntimeError as error:
            failures = dict.fromkeys(CHECKS, str(error))
        lacking = client.client_lacks | server.server_lacks
        made = [name for name in COMPRESSED if name not in lacking]
        failed = {name: failures[name] for name in made if name in failures}
        pair = f"{client.name} client, {server.name} server"
        tally.group(f"{pair}: deflate, {way}", failed, len(made))


def test_hello(tally: Tally, client: Peer, server: Peer) -> None:
    """The exchange that this library was born from, between the example programs."""
    failures = {}
    try:
        with running(server, server.hello_server) as serving:
            path = "/talk-to-server"
            url = serving.url.removesuffix(path) + path
            said = run(client, client.hello_client, url).strip()
            if said != "Received: Hello from server!":
                failures["client"] = f"it said {said!r}"
            heard = serving.next_line()
            if heard != "Message: Hello from client!":
                failures["server"] = f"it said {heard!r}"
    except RuntimeError as error:
        failures = dict.fromkeys(("client", "server"), str(error))
    tally.group(f"{client.name} client, {server.name} server: hello", failures, 2)


def prove_pair(tally: Tally, client: Peer, server: Peer) -> None:
    """That the checks fail, and no others, when their feature is broken on the way."""
    wrong = {}
    for tamper in TAMPERS:
        try:
            with running(server, server.server) as serving:
                port = int(serving.url.rpartition(":")[2])
                with TamperingProxy(port, tamper, timeout=10) as proxy:
                    failed = failures_of(client, proxy.url, INTEROP_TIMEOUT="2")
        except RuntimeError as error:
            wrong[tamper.name] = str(error)
            continue
        lacking = client.client_lacks | server.server_lacks
        unnoticed = tamper.breaks - tamper.optional - lacking - failed.keys()
        innocent = failed.keys() - tamper.breaks - tamper.optional - lacking
        complaints = [f"{name!r} passed, but must fail" for name in unnoticed]
        complaints += [f"{name!r} must pass: {failed[name]}" for name in innocent]
        if complaints:
            wrong[tamper.name] = "; ".join(complaints)
    name = f"{client.name} client, {server.name} server: notices what is broken"
    tally.group(name, wrong, len(TAMPERS))


def main() -> int:
    parser = argparse.ArgumentParser(prog="run", description=__doc__)
    parser.add_argument(
        "--prove",
        action="store_true",
        help="break one feature at a time and see that the checks notice",
    )
    parser.add_argument(
        "--foreign",
        action="store_true",
        help="test the foreign peers against each other instead of talkws",
    )
    parser.add_argument(
        "peers",
        nargs="*",
        metavar="PEER",
        help=f"only these foreign peers, of: {', '.join(FOREIGN)}",
    )
    options = parser.parse_args()
    if unknown := set(options.peers) - FOREIGN.keys():
        parser.error(f"no such peer: {', '.join(sorted(unknown))}")
    # So that servers are ended, too, when somebody ends this program.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))

    tally = Tally()
    foreign = []
    for name in options.peers or FOREIGN:
        try:
            foreign.append(FOREIGN[name]())
        except Missing as missing:
            tally.skip(name, str(missing))
    own = [] if options.foreign else [talkws(), talkws_python()]
    if options.foreign:
        pairs = [(client, server) for client in foreign for server in foreign]
    else:
        pairs = [
            pair
            for peer in foreign
            for ours in own
            for pair in ((ours, peer), (peer, ours))
        ]
        pairs += [(client, server) for client in own for server in own]
    for client, server in pairs:
        if not server.server:
            continue
        if options.prove:
            prove_pair(tally, client, server)
        else:
            test_hello(tally, client, server)
            test_pair(tally, client, server)
            test_deflate(tally, client, server)
    if own and not (options.prove or options.peers):
        for name, failures, size in test_echoes(own[-1]):
            tally.group(name, failures, size)
    print(
        f"interop: {tally.passed} passed, {tally.failed} failed,"
        f" {tally.skipped} skipped"
    )
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
