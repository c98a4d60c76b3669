"""What a message looks like on a line of its own, whoever sent it."""

from __future__ import annotations

import re
import unicodedata

__all__ = ["line", "printable", "rows"]

_UNUSUAL = re.compile(r"[^ -~]")

# They join and part letters and emoji, and move nothing.
_JOINERS = "\u200c\u200d"


def line(message: str | bytes) -> str:
    """A message as one line of text, in which nothing is left that a terminal obeys."""
    if isinstance(message, str):
        return printable(message)
    return f"(binary) {message.hex()}"


def printable(text: str) -> str:
    """``text`` with escapes for all that moves the cursor, changes colours, reorders what is
    read, or cannot be seen.
    """
    return _UNUSUAL.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    character = match[0]
    category = unicodedata.category(character)
    if character in _JOINERS or category[0] != "C" and category not in ("Zl", "Zp"):
        return character
    return character.encode("unicode_escape").decode("ascii")


def rows(text: str, columns: int) -> list[str]:
    """``text`` cut into rows, none of which is wider than a terminal of that many columns."""
    if text.isascii():
        starts = range(0, len(text), columns)
        return [text[start : start + columns] for start in starts] or [""]
    cut, used = [""], 0
    for character in text:
        width = _width(character)
        if used + width > columns:
            cut.append("")
            used = 0
        cut[-1] += character
        used += width
    return cut


def _width(character: str) -> int:
    """How many columns a character takes, or one too many: never too few."""
    if unicodedata.east_asian_width(character) in "WF":
        return 2
    # This one makes a wide emoji out of a narrow character.
    if character == "\ufe0f":
        return 1
    return 0 if unicodedata.combining(character) else 1
