"""`docs/adr/`: the index lists every record, each has its three parts, and what it names exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.project import ROOT, SOURCE

FOLDER = ROOT / "docs" / "adr"
RECORDS = sorted(FOLDER.glob("[0-9]*.md"))
LINE = re.compile(r"^\| \[(\d{4})\]\(([^)]+)\) \| (.+) \|$", re.MULTILINE)
FILE = re.compile(r"`([a-z_]+/[a-z_/]+\.py)`")


def test_the_index_lists_every_record_with_its_title() -> None:
    listed = LINE.findall((FOLDER / "README.md").read_text(encoding="utf-8"))
    titles = [path.read_text(encoding="utf-8").splitlines()[0] for path in RECORDS]
    assert [name for _, name, _ in listed] == [path.name for path in RECORDS]
    assert [f"# {int(number)}. {title}" for number, _, title in listed] == titles


def test_no_number_is_used_twice() -> None:
    numbers = [int(path.name[:4]) for path in RECORDS]
    assert numbers == sorted(set(numbers))
    assert numbers[:34] == list(range(1, 35))


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_a_record_has_its_parts_and_names_what_exists(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"]
    assert [name for name in FILE.findall(text) if not (SOURCE / name).is_file()] == []
    assert len(text.split()) < 400
