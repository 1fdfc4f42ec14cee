"""`docs/paper_map.md` stays true: what it names exists, and every row is filled in."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.support.project import ROOT

NOT_YET = "not yet"
HEADER = ["paper", "what it asks", "file", "test"]
NAMED_PATH = re.compile(r"`((?:src|tests|tools|docs|\.ci)/[^`]*)`")
PLACE = re.compile(r"`([^`]+)`")


def _text() -> str:
    return (ROOT / "docs" / "paper_map.md").read_text(encoding="utf-8")


def _rows(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in cells if row != HEADER and not set("".join(row)) <= set("-: ")]


def _problem(place: str) -> str | None:
    """What is wrong with `path` or `path::test`, or None."""
    name, _, test = place.partition("::")
    path = ROOT / name
    if not path.exists():
        return f"{name} does not exist"
    if test and test not in _functions(path):
        return f"{name} has no {test}"
    return None


def _functions(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}


def _cell_problem(cell: str) -> str | None:
    """A cell is `not yet`, or places in backticks with commas between, then maybe `; not yet: words`."""
    places, _, rest = cell.partition("; ")
    if cell == NOT_YET:
        return None
    if PLACE.sub("", places).replace(",", "").strip() or not PLACE.search(places):
        return f"neither places nor {NOT_YET!r}: {cell}"
    if rest and not rest.startswith(f"{NOT_YET}: "):
        return f"after the places only '{NOT_YET}: ...' may follow: {cell}"
    return None


@pytest.mark.parametrize(
    "place", ["src/gridmonitoring/no_such_file.py", "tests/unit/test_paper_map.py::test_no_such_test"]
)
def test_a_missing_place_is_noticed(place: str) -> None:
    assert _problem(place)


@pytest.mark.parametrize("cell", ["", "soon", "src/gridmonitoring/errors.py", "`a`; later", "not yet, `a`"])
def test_a_cell_in_another_form_is_noticed(cell: str) -> None:
    assert _cell_problem(cell)


def test_every_place_that_the_map_names_exists() -> None:
    assert [problem for place in NAMED_PATH.findall(_text()) if (problem := _problem(place))] == []


def test_every_row_is_filled_in() -> None:
    rows = _rows(_text())
    assert [row for row in rows if len(row) != len(HEADER) or not all(row)] == []
    assert [problem for row in rows for cell in row[2:] if (problem := _cell_problem(cell))] == []


def test_the_map_covers_every_section() -> None:
    sections = {row[0].split(" ")[0] for row in _rows(_text())}
    wanted = {"II-A", "II-B", *(f"III-A-{n}" for n in range(1, 8)), *(f"IV-{s}" for s in "ABCD")}
    assert wanted | {"V-A", "V-B", "V-C"} <= sections


def test_what_has_a_file_has_a_test() -> None:
    """Files without a test are claims; a row gets both or neither."""
    assert [row for row in _rows(_text()) if (row[2] == NOT_YET) != (row[3] == NOT_YET)] == []
