"""The specification cannot fall behind the code: tables, tags, rules and links are held against it."""

from __future__ import annotations

import re
from typing import Any

import pytest

from gridmonitoring.blockchain import evidence
from gridmonitoring.blockchain.bodies import BODIES, Kind
from gridmonitoring.blockchain.evidence_bundle import Bundle
from gridmonitoring.blockchain.genesis import Genesis
from gridmonitoring.blockchain.state_rows import Table
from gridmonitoring.blockchain.transactions import Payload
from gridmonitoring.processing.rows import ROW_TYPES
from tests.support.project import ROOT, source_files
from tools import spec_tables, verify_evidence

PAGES = sorted((ROOT / "docs" / "spec").glob("*.md"))
PURE_SOURCE = "\n".join(path.read_text(encoding="utf-8") for path in source_files())


def page(name: str) -> str:
    return (ROOT / "docs" / "spec" / name).read_text(encoding="utf-8")


def fields_after(text: str, heading: str) -> list[str]:
    """Return the names in the second column of the first table after a heading."""
    lines = text.split(heading, 1)[1].splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("|---"))
    names = []
    for line in lines[start + 1 :]:
        if not line.startswith("|"):
            break
        names.append(line.split("|")[2].strip())
    return names


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_tables_are_those_of_the_code(path: Any) -> None:
    """Where this fails, `python -m tools.spec_tables` writes the page anew."""
    text = path.read_text(encoding="utf-8")
    assert spec_tables.made(text) == text


@pytest.mark.parametrize(("kind", "version"), BODIES)
def test_every_transaction_is_listed_field_by_field(kind: Kind, version: int) -> None:
    body = BODIES[kind, version]
    listed = fields_after(page("transactions.md"), f"### {int(kind)} {Kind(kind).name}, version {version}\n")
    assert listed == list(body.__struct_fields__)


@pytest.mark.parametrize("table", Table)
def test_every_row_is_listed_field_by_field(table: Table) -> None:
    cls = ROW_TYPES[table]
    tag = [] if cls.__struct_config__.tag is None else [""]
    listed = fields_after(page("state.md"), f"### {int(table)} {table.name}\n")
    assert listed == tag + list(cls.__struct_fields__)


@pytest.mark.parametrize(
    ("name", "cls"), [("genesis.md", Genesis), ("transactions.md", Payload), ("evidence.md", Bundle)]
)
def test_documents_are_listed_field_by_field(name: str, cls: type[Any]) -> None:
    tag = [] if cls.__struct_config__.tag is None else [""]
    assert fields_after(page(name), f"`{cls.__name__}`\n") == tag + list(cls.__struct_fields__)


def test_a_changed_table_is_noticed() -> None:
    text = page("genesis.md")
    assert spec_tables.made(text.replace("| 1 | name |", "| 1 | title |")) == text


def test_rules_are_the_closed_list() -> None:
    used = set(re.findall(r"(?:refuse|Refused)\(\s*\"([a-z_]+)\"", PURE_SOURCE))
    listed = re.findall(r"^\| ([a-z_]+) \|", page("rules.md"), re.MULTILINE)[1:]
    assert listed == sorted(set(listed))
    assert set(listed) == used


def test_every_refusal_names_its_rule_in_place() -> None:
    """So that the list above can be made by looking."""
    calls = re.findall(r"(?:refuse|Refused)\(\s*([^\s\"].{0,20})", PURE_SOURCE)
    assert [call for call in calls if not call.startswith(("rule", "GridMonitoringError"))] == []


def test_domain_tags_are_listed() -> None:
    used = set(re.findall(r"\"(gridmon/[a-z-]+/\d)\"", PURE_SOURCE))
    assert set(re.findall(r"`(gridmon/[a-z-]+/\d)`", page("signatures.md"))) == used


def test_steps_are_numbered_alike_everywhere() -> None:
    numbers = [str(number) for number in range(1, 10)]
    assert re.findall(r"^\*\*(\d)\. ", page("evidence.md"), re.MULTILINE) == numbers
    assert re.findall(r"^(\d)\. ", evidence.__doc__ or "", re.MULTILINE) == numbers
    assert [str(number) for number in verify_evidence.STEPS] == numbers


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Any) -> None:
    text = path.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        assert (path.parent / target).exists()
    anchors = {
        re.sub(r"[^\w -]", "", h.lower()).replace(" ", "-")
        for h in re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    }
    assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= anchors


def test_pages_that_the_code_names_exist() -> None:
    named = set(re.findall(r"docs/spec/[a-z_]+\.md", PURE_SOURCE))
    assert {name for name in named if not (ROOT / name).exists()} == set()


def test_the_index_has_every_page() -> None:
    index = page("README.md")
    assert {path.name for path in PAGES} - {"README.md"} == set(re.findall(r"\]\(([a-z_]+\.md)\)", index))
