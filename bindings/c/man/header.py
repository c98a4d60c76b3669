"""What the C header says: its opening chapter, and each declaration with the text above it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

# A paragraph of the opening chapter that begins with words in capitals begins a section.
HEADING = re.compile(r"([A-Z]{3,}(?: [A-Z]{2,})*)(\. (?=\S)| (?=[a-z]))")
TAG = re.compile(r"@(param (?P<name>\w+)|return)\s+")
SINCE = re.compile(r"\s*Since (\d+(?:\.\d+)+)\.$")


class HeaderError(Exception):
    """The header is not as these pages need it."""


@dataclass
class Declaration:
    """A function, type or constant; `text` is what stands above it, without the slashes."""

    name: str
    code: str
    text: str

    def __post_init__(self) -> None:
        self.description = ""
        self.notes = ""
        self.returned = ""
        self.threads = ""
        self.since = ""
        self.parameters: list[tuple[str, str]] = []

    def read_tags(self) -> None:
        """Divide the text of a function into its parts."""
        before: list[str] = []
        after: list[str] = []
        place = before
        for paragraph in self.text.split("\n\n"):
            if TAG.match(paragraph):
                self._read_tag_lines(paragraph)
                place = after
            elif paragraph.startswith("Threads: "):
                self._read_threads(paragraph)
            else:
                place.append(paragraph)
        self.description = "\n\n".join(before)
        self.notes = "\n\n".join(after)
        if not (self.description and self.threads and self.since):
            raise HeaderError(f"{self.name}: no description, threads or version")

    def _read_tag_lines(self, paragraph: str) -> None:
        for part in re.split(r"\n(?=@)", paragraph):
            found = TAG.match(part)
            if not found:
                raise HeaderError(f"{self.name}: unknown tag in {part!r}")
            text = " ".join(part[found.end() :].split())
            if found["name"]:
                self.parameters.append((found["name"], text))
            else:
                self.returned = text

    def _read_threads(self, paragraph: str) -> None:
        text = " ".join(paragraph.removeprefix("Threads: ").split())
        found = SINCE.search(text)
        if found:
            self.since = found[1]
            text = text[: found.start()]
        self.threads = text[0].upper() + text[1:]

    def parameter_names(self) -> set[str]:
        return {name for name, _ in self.parameters}

    def value(self) -> str:
        """What a constant stands for."""
        return self.code.split(None, 2)[2]

    def is_status(self) -> bool:
        return self.name == "WS_OK" or bool(
            re.fullmatch(r"-\d+", self.value()) and self.name != "WS_FOREVER"
        )


class Header:
    """The header, taken apart."""

    def __init__(self, source: str) -> None:
        self.opening = _opening(source)
        self.functions: list[Declaration] = []
        self.types: list[Declaration] = []
        self.constants: list[Declaration] = []
        for text, code in _declarations(source):
            self._sort_in(text, code)
        if not (self.functions and self.types and self.constants):
            raise HeaderError("no functions, types or constants")

    def _sort_in(self, text: str, code: str) -> None:
        if define := re.match(r"#define (\w+) ", code):
            self.constants.append(Declaration(define[1], code, text))
        elif code.startswith("typedef "):
            name = re.search(r"\(\*(\w+)\)|(\w+);$", code)
            assert name, code
            self.types.append(Declaration(name[1] or name[2], code, text))
        elif call := re.search(r"\b(ws_\w+)\(", code):
            function = Declaration(call[1], code, text)
            function.read_tags()
            self.functions.append(function)

    def chapters(self) -> Iterator[tuple[str, str]]:
        """The opening chapter: titles and texts. The first has no title."""
        title, texts = "", list[str]()
        for paragraph in self.opening.split("\n\n")[1:]:
            if paragraph.startswith("Made from "):
                continue
            if found := HEADING.match(paragraph):
                if texts:
                    yield title, "\n\n".join(texts)
                title, texts = found[1], []
                # The heading is a word of the sentence where no stop follows it.
                is_word = not found[2].startswith(".")
                start = found[1].capitalize() + " " if is_word else ""
                paragraph = start + paragraph[found.end() :]
            texts.append(paragraph)
        yield title, "\n\n".join(texts)


def _opening(source: str) -> str:
    comment = re.match(r"\s*/\*\n(.*?)\*/", source, re.DOTALL)
    if not comment:
        raise HeaderError("no opening chapter")
    lines = [re.sub(r"^ \* ?", "", line) for line in comment[1].splitlines()]
    return "\n".join(lines).strip()


def _declarations(source: str) -> Iterator[tuple[str, str]]:
    """Each text with the code below it."""
    text: list[str] = []
    code: list[str] = []
    for line in source.splitlines():
        if line.startswith("///"):
            text.append(line.removeprefix("///").removeprefix(" "))
        elif text and (line or code):
            code.append(line)
            is_open = sum(part.count("{") - part.count("}") for part in code)
            if line.startswith("#define ") or (line.endswith(";") and not is_open):
                yield "\n".join(text), "\n".join(code)
                text, code = [], []
