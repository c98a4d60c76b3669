"""What a run leaves behind: figures in a file, tables, a chart, and the documents' region."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import chart
import document
import pytest
import table
from contenders import CONTENDERS, RAW, ROLES
from figures import CONNECTIONS, KINDS, SIZES, Cell, Figures, read
from rounds import Result


def whole_run() -> Figures:
    figures = Figures({"Python": "3.13.0", "picows": None}, 2, 0.04)
    for role in ROLES:
        for count in CONNECTIONS:
            for size in SIZES:
                for kind in KINDS:
                    figures.results[Cell(role, count, size, kind)] = {
                        one.name: Result(41234.5, 1.0 if one.is_raw else 0.25, 1e-5, 9)
                        for one in CONTENDERS
                        if role in one.roles
                    }
    return figures


def a_cell(figures: Figures) -> Cell:
    return next(iter(figures.results))


def test_figures_are_read_as_they_were_written(tmp_path: Path) -> None:
    figures = whole_run()
    figures.write(tmp_path / "figures.json")
    assert read(tmp_path / "figures.json") == figures


def test_a_table_has_a_row_for_each_contender_of_the_role() -> None:
    shown = table.of_role(whole_run(), "server")
    rows = re.findall(r"^\| \**([^|*]+?)\** \|", shown, re.MULTILINE)
    names = [one.name for one in CONTENDERS if "server" in one.roles]
    assert rows == ["ratio to raw TCP", *names, "CPU µs a message", *names]
    assert f"| {RAW} | 41k/s / 41k/s |" in shown
    assert "| **talkws** | 0.25 / 0.25 |" in shown


def test_a_table_says_where_a_contender_could_not() -> None:
    figures = whole_run()
    del figures.results[a_cell(figures)]["talkws"]
    assert "| **talkws** | - / 0.25 |" in table.of_role(figures, a_cell(figures).role)


def test_the_chart_is_svg_with_a_bar_for_each_result() -> None:
    figures = whole_run()
    del figures.results[a_cell(figures)]["talkws"]
    drawn = chart.draw(figures)
    root = ElementTree.fromstring(drawn)
    values = [one.text for one in root.iter("{http://www.w3.org/2000/svg}text")]
    results = sum(len(of) - 1 for of in figures.results.values())
    assert values.count("0.25") == results
    assert values.count("could not") == 1
    assert drawn == chart.draw(figures)


def test_no_bar_leaves_its_panel() -> None:
    figures = whole_run()
    cell = a_cell(figures)
    figures.results[cell]["talkws"] = Result(1e6, 70.0, 1e-6, 9)
    root = ElementTree.fromstring(chart.draw(figures))
    bars = root.iter("{http://www.w3.org/2000/svg}rect")
    ends = [float(bar.get("x", 0)) + float(bar.get("width", 0)) for bar in bars]
    assert max(ends) <= chart.WIDTH


def test_only_the_region_of_the_document_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    readme, svg = tmp_path / "README.md", tmp_path / "chart.svg"
    monkeypatch.setattr(document, "ROOT", tmp_path)
    monkeypatch.setattr(document, "README", readme)
    monkeypatch.setattr(document, "CHART", svg)
    readme.write_text(f"before\n{document.BEGIN}\nold\n{document.END}\nafter\n")
    document.write_docs(whole_run())
    first = readme.read_text()
    assert first.startswith("before\n")
    assert first.endswith("\nafter\n")
    assert "old" not in first
    assert "Python 3.13.0" in first
    assert svg.read_text().startswith("<svg")
    document.write_docs(whole_run())
    assert readme.read_text() == first


def test_a_part_of_a_run_is_not_put_into_the_documents() -> None:
    figures = whole_run()
    del figures.results[a_cell(figures)]
    with pytest.raises(SystemExit, match="a part of one"):
        document.write_docs(figures)
