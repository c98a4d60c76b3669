"""What the tests start from: somebody to talk to."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import talkws
from peers import Pair, RawServer, connected

# Whoever runs the tests behind a proxy does not mean their servers.
for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
    del os.environ[name]


@pytest.fixture
def listener() -> Iterator[talkws.Listener]:
    with talkws.listen("ws://127.0.0.1:0") as listener:
        yield listener


@pytest.fixture
def pair(listener: talkws.Listener) -> Iterator[Pair]:
    """The two ends of a connection."""
    with connected(listener) as ends:
        yield ends


@pytest.fixture
def raw_server() -> Iterator[RawServer]:
    with RawServer() as server:
        yield server
