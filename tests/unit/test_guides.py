"""The guides and CONTRIBUTING cannot drift: files, tests, modules and make targets that they name exist."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from tests.support.project import ROOT, SOURCE

PAGES = [ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs" / "guides").glob("*.md"))]
PATHS = re.compile(r"\b((?:src|tests|docs|tools)/[\w/.-]*\w)")
SHORT = re.compile(r"`((?:contracts|smart_meter|processing|runtime|energy_center)/[\w/]+\.py)`")
TESTS = re.compile(r"`(test_\w+)`")
MODULES = re.compile(r"-m (tools\.\w+)")
TARGETS = re.compile(r"(?:`|    )make (?:\w+=\S+ )?([a-z]+)")
NAMES = {
    name for path in (ROOT / "tests").rglob("*.py") for name in re.findall(r"def (\w+)", path.read_text())
}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_a_page_names_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert [name for name in PATHS.findall(text) if not (ROOT / name).exists()] == []
    assert [name for name in SHORT.findall(text) if not (SOURCE / name).is_file()] == []
    assert [name for name in TESTS.findall(text) if name not in NAMES] == []
    assert [name for name in MODULES.findall(text) if importlib.util.find_spec(name) is None] == []
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert [name for name in TARGETS.findall(text) if name not in targets] == []


def test_pages_name_something() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert len(TESTS.findall(text)) >= 3
    assert {"test", "setup", "soak", "lock"} <= set(TARGETS.findall(text))
