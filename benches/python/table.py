"""Figures as text: for a terminal, and in Markdown."""

from __future__ import annotations

from collections.abc import Callable

from contenders import RAW
from figures import CONNECTIONS, KINDS, SIZES, Cell, Figures, size_name
from rounds import Result

ROW = "{:<26}{:>16}{:>14}{:>20}"


def of_cell(cell: Cell, results: dict[str, Result]) -> str:
    """For a terminal: the contenders of one cell, the fastest first."""
    lines = [
        "",
        str(cell),
        ROW.format("", "round trips/s", "ratio to raw", "CPU us/round trip"),
    ]
    for name, result in sorted(results.items(), key=lambda one: -one[1].ratio):
        rate, ratio = f"{result.rate:,.0f}", f"{result.ratio:.2f}"
        lines.append(ROW.format(name, rate, ratio, microseconds(result)))
    return "\n".join(lines)


def microseconds(result: Result) -> str:
    """Processor time with as many digits as mean something."""
    value = result.processor * 1e6
    return f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def rate(result: Result) -> str:
    """Round trips a second, shortly: 41,200 is 41k."""
    if result.rate < 10_000:
        return f"{result.rate:,.0f}"
    return f"{result.rate / 1000:.0f}k"


def of_role(figures: Figures, role: str) -> str:
    """In Markdown: ratios and processor times, a row for each contender."""
    shown = of_ratio(figures, role), of_processor_time(figures, role)
    return "\n\n".join(shown)


def of_ratio(figures: Figures, role: str) -> str:
    def ratio(name: str, result: Result) -> str:
        return rate(result) + "/s" if name == RAW else f"{result.ratio:.2f}"

    return _of(figures, role, "ratio to raw TCP", ratio)


def of_processor_time(figures: Figures, role: str) -> str:
    return _of(
        figures, role, "CPU µs a message", lambda _, result: microseconds(result)
    )


def _of(
    figures: Figures, role: str, title: str, show: Callable[[str, Result], str]
) -> str:
    columns = [(count, size) for count in CONNECTIONS for size in SIZES]
    heads = [f"{count} × {size_name(size)}" for count, size in columns]
    lines = [_row([title, *heads]), "|---" + "|---:" * len(columns) + "|"]
    for name in figures.names(role):
        cells = []
        for count, size in columns:
            found = [figures.of(name, Cell(role, count, size, kind)) for kind in KINDS]
            cells.append(" / ".join("-" if r is None else show(name, r) for r in found))
        label = f"**{name}**" if name == "talkws" else name
        lines.append(_row([label, *cells]))
    return "\n".join(lines)


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
