"""A server that is measured: prints `Listening on PORT`, and sends every message back.

It answers a line `cpu` with the processor time that it has spent, and ends when its input does.
"""

from __future__ import annotations

import os
import sys
import threading
import time


def announce(port: int) -> None:
    """Say where clients can connect, and from now on answer questions, in another thread."""
    print("Listening on", port, flush=True)
    threading.Thread(target=_answer_questions, daemon=True).start()


def _answer_questions() -> None:
    for question in sys.stdin:
        known = question.strip() == "cpu"
        print(
            f"cpu {time.process_time():.9f}" if known else "failed unknown command",
            flush=True,
        )
    # The thread that serves is in the middle of waiting, and nobody needs what it has.
    os._exit(0)
