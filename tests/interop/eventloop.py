"""An event loop in a thread, for libraries of asyncio under checks and routes that block."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from endpoint import TIMEOUT

T = TypeVar("T")

LOOP = asyncio.new_event_loop()
# More than the connections that a client has open at a time.
LOOP.set_default_executor(ThreadPoolExecutor(max_workers=32))
threading.Thread(target=LOOP.run_forever, daemon=True).start()


def wait_for(work: Coroutine[Any, Any, T]) -> T:
    """Do this on the loop, and wait for it here."""
    bounded = asyncio.wait_for(work, TIMEOUT)
    return asyncio.run_coroutine_threadsafe(bounded, LOOP).result()
