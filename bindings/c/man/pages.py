#!/usr/bin/env python3
"""Makes the man pages of the C library from its header, which is the manual.

    pages.py include/talkws.h VERSION DIRECTORY

writes DIRECTORY/NAME.3 for each function, and talkws.7 for the opening chapter, with all types,
constants and status numbers.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from header import Declaration, Header
from roff import Page


def first_sentence(doc: str) -> str:
    """What stands in the page's first line, beside the name."""
    sentence = re.split(r"[.:;](?:\s|$)", doc, maxsplit=1)[0].replace("`", "")
    sentence = " ".join(sentence.split())
    is_word = len(sentence) < 2 or sentence[1].islower() or sentence[1] == " "
    return sentence[0].lower() + sentence[1:] if is_word else sentence


def function_page(function: Declaration, header: Header, page: Page) -> None:
    page.name = function.name
    page.section("NAME")
    page.title(function.name, first_sentence(function.description))
    page.section("SYNOPSIS")
    page.declaration("#include <talkws.h>")
    page.blank()
    page.declaration(function.code, function.parameter_names())
    page.section("DESCRIPTION")
    page.prose(function.description)
    if function.parameters:
        page.section("PARAMETERS")
        for name, text in function.parameters:
            page.term(rf"\fI{name}\fR", text)
    if function.returned:
        page.section("RETURN VALUE")
        page.results(function.returned)
    if function.notes:
        page.section("NOTES")
        page.prose(function.notes)
    page.section("THREADS")
    page.prose(function.threads)
    page.section("SINCE")
    page.line(f"libtalkws {function.since}")
    page.section("SEE ALSO")
    page.see_also([*related(function, header), ("talkws", 7)])


def related(function: Declaration, header: Header) -> Iterator[tuple[str, int]]:
    """The functions that a function's text names."""
    names = {other.name for other in header.functions} - {function.name}
    said = set(re.findall(r"\bws_\w+", function.text))
    for name in sorted(names & said):
        yield name, 3


def chapter_page(header: Header, page: Page) -> None:
    page.name = "talkws"
    purpose = header.opening.partition("\n\n")[0].partition(": ")[2]
    page.section("NAME")
    page.title("talkws", purpose.rstrip("."))
    page.section("SYNOPSIS")
    page.declaration("#include <talkws.h>")
    page.blank()
    page.declaration("cc program.c $(pkg-config --cflags --libs talkws)")
    page.section("DESCRIPTION")
    for title, text in header.chapters():
        if title:
            page.section(title)
        page.prose(text)
    page.section("FUNCTIONS")
    for function in header.functions:
        page.term(rf"\fB{function.name}\fR(3)", first_sentence(function.description))
    page.section("TYPES")
    for declared in header.types:
        page.subsection(declared.name)
        page.prose(declared.text)
        page.example(declared.code)
    for title, is_listed in (("CONSTANTS", False), ("STATUS NUMBERS", True)):
        page.section(title)
        for constant in header.constants:
            if constant.is_status() == is_listed:
                page.term(page.constant(constant.name, constant.value()), constant.text)
    page.section("SEE ALSO")
    page.see_also((function.name, 3) for function in header.functions)


def date() -> str:
    """Today, or the day that a reproducible build names."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    return time.strftime("%Y-%m-%d", time.gmtime(float(epoch) if epoch else None))


def main() -> int:
    if len(sys.argv) != 4:
        print(__doc__, file=sys.stderr)
        return 2
    path, version, directory = sys.argv[1:]
    header = Header(Path(path).read_text(encoding="utf-8"))
    pages = {"talkws": 7} | {function.name: 3 for function in header.functions}
    for function in header.functions:
        page = Page(3, date(), version, pages)
        function_page(function, header, page)
        page.write(Path(directory))
    page = Page(7, date(), version, pages)
    chapter_page(header, page)
    page.write(Path(directory))
    return 0


if __name__ == "__main__":
    sys.exit(main())
