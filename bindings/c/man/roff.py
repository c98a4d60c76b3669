"""Writes a man page, in the part of the man(7) language that groff and mandoc share."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path

ESCAPES = {"\\": r"\e", "`": r"\(ga", "~": r"\(ti", "^": r"\(ha"}
CODE_ESCAPES = {**ESCAPES, "-": r"\-", "'": r"\(aq", '"': r"\(dq"}
# Names in prose, with or without the marks of code around them.
MARKED = re.compile(r"`([^`]+)`|\b((?:ws|WS|TALKWS)_\w+)")
# One result, or several with one text: `WS_A`, `WS_B` (a remark): the text
RESULT = re.compile(r"((?:`WS_\w+`(?: \([^)]*\))?(?:, | and | or )?)+): (.*)")
NAMES = re.compile(r"(?:`WS_\w+`(?:, | and |\.?$))+")


def escape(text: str, escapes: dict[str, str]) -> str:
    """Text as roff takes it; what is beyond ASCII goes by number."""
    return "".join(
        escapes.get(c) or (c if c.isascii() else rf"\[u{ord(c):04X}]") for c in text
    )


def code(text: str) -> str:
    return escape(text, CODE_ESCAPES)


def as_sentence(text: str) -> str:
    return text[0].upper() + text[1:].rstrip(".") + "."


class Page:
    """A page that is being written."""

    def __init__(self, section: int, date: str, version: str, pages: Mapping[str, int]):
        self.name = ""
        self._section = section
        self._pages = pages
        self._head = f'{section} {date} "libtalkws {version}" "libtalkws"'
        self._lines: list[str] = []

    def write(self, directory: Path) -> None:
        lines = [
            r".\" Made from include/talkws.h.",
            f".TH {self.name} {self._head}",
            *self._lines,
        ]
        path = directory / f"{self.name}.{self._section}"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def section(self, title: str) -> None:
        self._lines.append(f".SH {title}")

    def subsection(self, title: str) -> None:
        self._lines.append(f".SS {title}")

    def title(self, name: str, purpose: str) -> None:
        # Indexers of pages take this in plain words only.
        self._lines.append(rf"{name} \- {escape(purpose, ESCAPES)}")

    def line(self, text: str) -> None:
        self._lines.append(self._inline(text))

    def blank(self) -> None:
        self._lines.append(".PP")

    def declaration(self, source: str, parameters: Iterable[str] = ()) -> None:
        """Code as a synopsis shows it: bold, the parameters in italics."""
        self._lines.append(".nf")
        for line in source.splitlines():
            text = code(line)
            for name in parameters:
                text = re.sub(rf"\b{name}(?=[,)])", rf"\\fI{name}\\fB", text)
            self._lines.append(rf"\fB{text}\fR")
        self._lines.append(".fi")

    def example(self, source: str) -> None:
        if not self._lines[-1].startswith((".SH", ".SS")):
            self._lines.append(".PP")
        self._lines += [".RS 4", ".EX"]
        self._lines += [self._guarded(code(line)) for line in source.splitlines()]
        self._lines += [".EE", ".RE"]

    def prose(self, text: str) -> None:
        """Paragraphs, lists and examples."""
        is_first = self._lines[-1].startswith((".SH", ".SS"))
        for paragraph in text.split("\n\n"):
            lines = paragraph.splitlines()
            if all(line.startswith("    ") for line in lines):
                self.example(textwrap.dedent(paragraph))
            elif lines[0].startswith(("* ", "- ")):
                for item in re.split(r"\n(?=[*-] )", paragraph):
                    self._lines.append(r".IP \(bu 2")
                    self._fill(item[2:])
            else:
                if not is_first:
                    self._lines.append(".PP")
                self._fill(paragraph)
            is_first = False

    def term(self, term: str, text: str) -> None:
        """A word and what it means. `term` is roff already."""
        self._lines += [".TP", term]
        for index, paragraph in enumerate(text.split("\n\n")):
            if index:
                self._lines.append(".IP")
            self._fill(paragraph)

    def constant(self, name: str, value: str) -> str:
        return rf"\fB{name}\fR ({code(value)})"

    def results(self, text: str) -> None:
        """What a function returns: a list where the results have texts of their own."""
        parts = re.split(r"; (?=`WS_|and )", text)
        if len(parts) == 1:
            self.prose(text)
            return
        for part in parts:
            if found := RESULT.fullmatch(part):
                self.term(self._inline(found[1]), as_sentence(found[2]))
            elif part == "`WS_OK`":
                self.term(self._inline(part), "Success.")
            elif NAMES.fullmatch(part):
                self.term(self._inline(part.rstrip(".")), "See `talkws`.")
            else:
                self.prose(as_sentence(part))

    def see_also(self, pages: Iterable[tuple[str, int]]) -> None:
        lines = [rf".BR {name} ({section})" for name, section in pages]
        self._lines += [f"{line} ," for line in lines[:-1]] + lines[-1:]

    def _fill(self, text: str) -> None:
        """Running text: each sentence on lines of its own, so that all are spaced alike."""
        for sentence in re.split(r"(?<=[.!?]) (?=[A-Z`0-9])", " ".join(text.split())):
            for line in textwrap.wrap(
                self._inline(sentence),
                width=78,
                break_long_words=False,
                break_on_hyphens=False,
            ):
                self._lines.append(self._guarded(line))

    def _inline(self, text: str) -> str:
        """Prose, with names in bold and functions as references."""
        parts = []
        end = 0
        for found in MARKED.finditer(text):
            parts.append(self._plain(text[end : found.start()]))
            parts.append(self._name(found[1] or found[2]))
            end = found.end()
        parts.append(self._plain(text[end:]))
        return "".join(parts)

    def _plain(self, text: str) -> str:
        return re.sub(r"(?<!\w)-(?=\d)", r"\\-", escape(text, ESCAPES))

    def _name(self, name: str) -> str:
        section = self._pages.get(name, 0) if name != self.name else 0
        return rf"\fB{code(name)}\fR" + (f"({section})" if section else "")

    @staticmethod
    def _guarded(line: str) -> str:
        """A line that begins like a request must not be taken for one."""
        return rf"\&{line}" if line.startswith((".", "'")) else line
