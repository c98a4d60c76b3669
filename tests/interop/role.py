"""The command line of the Python programs: which role to play, with which library."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from checks import Dial, hello, run_checks

# Starts serving on a free port of 127.0.0.1, in threads of its own, and gives that port.
StartServer = Callable[[], int]


def play(dial: Dial, start_server: StartServer | None) -> int:
    match sys.argv[1:]:
        case ["server"] if start_server:
            print(f"Listening on ws://127.0.0.1:{start_server()}", flush=True)
            # The test that started this holds the other end of our input, until it ends.
            sys.stdin.read()
            os._exit(0)
        case ["client", url, *names]:
            return run_checks(dial, url, names)
        case ["hello", url]:
            return hello(dial, url)
    roles = ("server | " if start_server else "") + "client URL [CHECK...] | hello URL"
    print(f"usage: {sys.argv[0]} {roles}", file=sys.stderr)
    return 2
