"""A program that would talk in several interpreters of one process. Run by test_processes.py.

python tests/python/interpreters.py KIND

KIND is that of the others than the main one: `isolated`, with a GIL of their own, or `legacy`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

TALK = f"""
import sys
sys.path[:] = {[*sys.path, str(Path(__file__).parent)]!r}
try:
    import talkws
    from peers import PATIENCE, connected, in_thread
except ImportError as error:
    print("ImportError", error)
else:
    with talkws.listen("ws://127.0.0.1:0") as listener, connected(listener) as ends:
        ends[0].send("Hello")
        print(ends[1].recv(PATIENCE))
        closing = in_thread(ends[1].close)
        try:
            ends[0].recv(PATIENCE)
        except talkws.ConnectionClosedOK as error:
            print(type(error).__name__)
        closing.result(PATIENCE)
sys.stdout.flush()
"""


def interpreters() -> Any:
    """The module that this Python has for them, which is not a public one yet."""
    for name in ("_interpreters", "_xxsubinterpreters"):
        try:
            return __import__(name)
        except ImportError:
            continue
    return None


def create(module: Any, kind: str) -> Any:
    try:
        return module.create(kind)
    except (TypeError, ValueError):
        # As it was before CPython 3.13.
        return module.create(isolated=kind == "isolated")


def main(kind: str) -> None:
    module = interpreters()
    if module is None:
        print("no module for interpreters")
        return

    def talk_in_others() -> None:
        for _ in range(2):
            interpreter = create(module, kind)
            problem = module.run_string(interpreter, TALK)
            if problem is not None:
                print(problem)
            module.destroy(interpreter)

    talk_in_others()
    exec(TALK, {})  # noqa: S102
    talk_in_others()
    # The others are gone, and this one does not miss them.
    exec(TALK, {})  # noqa: S102


if __name__ == "__main__":
    main(*sys.argv[1:])
