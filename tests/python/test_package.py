"""The package: what it offers, that all of it is documented, and its small types."""

from __future__ import annotations

import inspect
import pickle
import sys
from typing import Any

import pytest
import talkws
from talkws import Close, Headers, exceptions


def public(thing: Any) -> list[tuple[str, Any]]:
    return [(n, v) for n, v in vars(thing).items() if not n.startswith("_")]


@pytest.mark.parametrize("name", [n for n in talkws.__all__ if n != "__version__"])
def test_everything_is_documented(name: str) -> None:
    thing = getattr(talkws, name)
    if name in {"Data", "DataLike", "HeadersLike", "LoggerLike", "StatusLike"}:
        # Unions, which have no docstring of their own.
        return
    assert inspect.getdoc(thing)
    if inspect.isclass(thing) and thing.__module__.startswith("talkws"):
        for member, value in public(thing):
            assert inspect.getdoc(value), f"{name}.{member}"


def test_signatures_can_be_looked_at() -> None:
    recv = inspect.signature(talkws.Connection.recv)
    assert str(recv) == "(self, /, timeout=None, decode=None)"
    origins = inspect.signature(talkws.listen).parameters["origins"]
    assert origins.default == "same-host"
    assert origins.kind is inspect.Parameter.KEYWORD_ONLY


def test_all_names_are_there_and_sorted() -> None:
    assert all(hasattr(talkws, name) for name in talkws.__all__)
    assert sorted(talkws.__all__) == talkws.__all__
    assert set(exceptions.__all__) <= set(talkws.__all__)


def test_the_tree_of_exceptions_is_that_of_websockets() -> None:
    theirs = pytest.importorskip("websockets.exceptions")
    extra = {"ListenerClosed"}
    missing = {name for name in exceptions.__all__ if not hasattr(theirs, name)}
    # The websockets of older Pythons has not all of them yet.
    assert missing == extra or sys.version_info < (3, 11)
    for name in set(exceptions.__all__) - missing:
        ours = [kind.__name__ for kind in getattr(exceptions, name).__mro__]
        assert ours == [kind.__name__ for kind in getattr(theirs, name).__mro__], name


@pytest.mark.parametrize(
    "error",
    [
        talkws.ConnectionClosedOK(Close(1000, "bye"), Close(1000, ""), True),
        talkws.ConnectionClosedError(None, Close(1002, "")),
        talkws.InvalidURI("x", "no"),
        talkws.InvalidStatus(talkws.Response(404, "Not Found"), "server answered 404"),
        talkws.PayloadTooBig(2, 1),
        talkws.ProtocolError("no"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_exceptions_can_be_pickled(error: Exception) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)


def test_what_connection_closed_says() -> None:
    def closed(*arguments: Any) -> str:
        return str(talkws.ConnectionClosed(*arguments))

    bye, empty = Close(1000, "bye"), Close(4000, "")
    assert closed(None, None) == "connection lost: no Close frame sent or received"
    assert closed(bye, empty, True) == (
        "closed by the peer: received 1000 (normal closure) bye"
    )
    assert closed(bye, empty, False) == (
        "closed by this end: sent 4000 (private use), "
        "received 1000 (normal closure) bye"
    )
    assert closed(None, empty) == (
        "closed by this end: sent 4000 (private use), received no Close frame"
    )
    assert str(Close(3001, "")) == "3001 (registered)"
    assert str(Close(2000, "")) == "2000 (unknown)"


def test_headers_are_found_in_any_case() -> None:
    found = Headers([("Set-Cookie", "a"), ("X-A", "1"), ("set-cookie", "b")])
    assert found["x-a"] == found.get("X-a") == "1"
    assert found.get_all("SET-COOKIE") == ["a", "b"]
    assert "Set-cookie" in found
    assert "Cookie" not in found
    assert list(found) == ["set-cookie", "x-a"]
    assert len(found) == 2
    assert list(found.raw_items())[2] == ("set-cookie", "b")
    assert str(found) == "Set-Cookie: a\r\nX-A: 1\r\nset-cookie: b\r\n\r\n"
    with pytest.raises(talkws.MultipleValuesError):
        found["set-cookie"]
    with pytest.raises(KeyError):
        found["cookie"]
    assert found.get("cookie") is None


def test_headers_can_be_changed() -> None:
    changed = Headers({"X-A": "1"})
    copy = changed.copy()
    changed["x-a"] = "2"
    assert changed.get_all("X-A") == ["1", "2"]
    del changed["X-a"]
    assert "x-a" not in changed
    with pytest.raises(KeyError):
        del changed["x-a"]
    assert copy == Headers([("x-A", "1")]) != changed
    assert copy != {"X-A": "1"}
