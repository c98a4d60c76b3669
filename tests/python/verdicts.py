"""The tables of documents that compare talkws with websockets, and what websockets has."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

DOCUMENTS = Path(__file__).parents[2] / "docs"


def rows(document: str) -> list[tuple[list[str], str]]:
    """The names and the verdict of each row."""
    found = []
    for line in (DOCUMENTS / document).read_text().splitlines():
        names, *rest = (cell.strip() for cell in line.strip("|").split(" | "))
        if line.startswith("| `"):
            found.append((re.findall(r"`([^`]+)`", names), rest[0]))
    return found


def table(document: str) -> dict[str, str]:
    """The verdict on each name. Asserts that each is there once, and that verdicts are verdicts."""
    names = [name for names, _ in rows(document) for name in names]
    assert len(names) == len(set(names))
    assert {verdict for _, verdict in rows(document)} == {
        *("same", "different", "absent", "better")
    }
    return {name: verdict for names, verdict in rows(document) for name in names}


def public(names: Iterable[str]) -> set[str]:
    return {name for name in names if not name.startswith("_")}


def keywords(function: Any) -> set[str]:
    parameters = inspect.signature(function).parameters.values()
    return {one.name for one in parameters if one.kind is not one.VAR_KEYWORD}


def has(name: str, module: Any, made: dict[str, Any]) -> bool:
    """Whether talkws has what the table calls so."""
    if match := re.fullmatch(r"(\w+)\((\w+)=\)", name):
        return match[2] in keywords(getattr(module, match[1]))
    kind, _, attribute = name.partition(".")
    if attribute:
        return hasattr(made[kind], attribute)
    return hasattr(module, name)


def wrong(verdicts: dict[str, str], module: Any, made: dict[str, Any]) -> set[str]:
    """The names that are absent though the table has them, or there though it says they are not."""
    return {
        name
        for name, verdict in verdicts.items()
        # Keywords that are absent are there to say so: see test_options.py.
        if not (verdict == "absent" and name.endswith("=)"))
        and has(name, module, made) != (verdict != "absent")
    }
