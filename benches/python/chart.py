"""The figures as a chart: SVG that follows the reader's light or dark mode."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from contenders import RAW
from figures import (
    CONNECTIONS,
    KINDS,
    SIZES,
    Cell,
    Figures,
    connections_name,
    size_name,
)

WIDTH = 960
MARGIN = 16
NAMES = 184
GAP = 28
BAR = 9
ROW = 26
HEAD = 56
PANEL_HEAD = 30
VALUE = 34
# A bar is never longer than this ratio; its value says what it is.
LONGEST = 1.5
ROLES = {"client": "Clients", "server": "Servers"}

STYLE = """
text { font: 12px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328 }
.title { font-size: 16px; font-weight: 600 }
.panel { font-weight: 600 }
.quiet { fill: #59636e }
.own { font-weight: 600 }
.value { font-size: 10px; stroke: #ffffff; stroke-width: 3px; paint-order: stroke }
.axis { stroke: #d1d9e0 }
.one { stroke: #59636e; stroke-dasharray: 2 3 }
.binary { fill: #8c959f } .text { fill: #c8ced4 }
.own-binary { fill: #0969da } .own-text { fill: #80b8f5 }
.ground { fill: #ffffff }
@media (prefers-color-scheme: dark) {
text { fill: #f0f6fc } .quiet { fill: #9198a1 } .axis { stroke: #3d444d } .one { stroke: #9198a1 }
.binary { fill: #767e88 } .text { fill: #4b525b }
.own-binary { fill: #4493f8 } .own-text { fill: #265a99 }
.ground { fill: #0d1117 } .value { stroke: #0d1117 }
}
"""


def draw(figures: Figures) -> str:
    """Rows of panels, clients and servers with one connection and with many; a column a size."""
    parts: list[str] = []
    # One scale for all, so that any two bars can be compared.
    ratios = [one.ratio for of in figures.results.values() for one in of.values()]
    longest = min(max(ratios), LONGEST)
    top = HEAD
    for role in ROLES:
        for count in CONNECTIONS:
            drawn = list(_panels(figures, role, count, top, longest))
            parts += drawn
            names = len(_names(figures, role))
            top += PANEL_HEAD + ROW * names + GAP // 2
    height = top + MARGIN
    title = "Round trips against raw TCP in C (1.00): longer is better"
    head = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
            f'width="{WIDTH}" height="{height}" role="img" aria-label="{escape(title)}">'
        ),
        f"<style>{STYLE}</style>",
        f'<rect class="ground" width="{WIDTH}" height="{height}" rx="8"/>',
        _text(MARGIN, 26, title, "title"),
        *_legend(46),
    ]
    return "\n".join([*head, *parts, "</svg>", ""])


def _legend(y: int) -> Iterator[str]:
    x = MARGIN
    for kind in KINDS:
        yield f'<rect class="own-{kind}" x="{x}" y="{y - 9}" width="12" height="{BAR}"/>'
        yield f'<rect class="{kind}" x="{x + 14}" y="{y - 9}" width="12" height="{BAR}"/>'
        yield _text(x + 32, y, kind, "quiet")
        x += 90
    yield _text(x, y, "the dashed line is raw TCP", "quiet")


def _names(figures: Figures, role: str) -> list[str]:
    return [name for name in figures.names(role) if name != RAW]


def _panels(
    figures: Figures, role: str, count: int, top: int, longest: float
) -> Iterator[str]:
    names = _names(figures, role)
    yield _text(MARGIN, top + 16, f"{ROLES[role]}, {connections_name(count)}", "panel")
    first = top + PANEL_HEAD
    for index, name in enumerate(names):
        style = "own" if name == "talkws" else ""
        yield _text(MARGIN, first + ROW * index + 14, name, style)
    width = (WIDTH - 2 * MARGIN - NAMES - GAP * (len(SIZES) - 1)) // len(SIZES)
    for column, size in enumerate(SIZES):
        left = MARGIN + NAMES + column * (width + GAP)
        yield _text(left, top + 16, size_name(size), "quiet")
        cells = {kind: Cell(role, count, size, kind) for kind in KINDS}
        scale = (width - VALUE) / longest
        yield from _panel(figures, names, cells, (left, first, scale))


def _panel(
    figures: Figures,
    names: list[str],
    cells: dict[str, Cell],
    place: tuple[int, int, float],
) -> Iterator[str]:
    left, top, scale = place
    bottom = top + ROW * len(names) - 4
    one = left + scale
    yield f'<line class="axis" x1="{left}" y1="{top}" x2="{left}" y2="{bottom}"/>'
    yield f'<line class="one" x1="{one:.1f}" y1="{top}" x2="{one:.1f}" y2="{bottom}"/>'
    for index, name in enumerate(names):
        own = "own-" if name == "talkws" else ""
        for line, (kind, cell) in enumerate(cells.items()):
            y = top + ROW * index + line * (BAR + 1)
            result = figures.of(name, cell)
            if result is None:
                yield _text(left + 4, y + BAR - 1, "could not", "value quiet")
                continue
            length = scale * min(result.ratio, LONGEST)
            yield (
                f'<rect class="{own}{kind}" x="{left}" y="{y}" '
                f'width="{length:.1f}" height="{BAR}"/>'
            )
            value = f"{result.ratio:.2f}"
            yield _text(left + length + 4, y + BAR - 1, value, "value quiet")


def _text(x: float, y: float, text: str, style: str = "") -> str:
    styled = f' class="{style}"' if style else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{styled}>{escape(text)}</text>'
