"""The README cannot drift: the program's help, its commands, every file that it names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from gridmonitoring.user_layer.cli.app import app
from gridmonitoring.user_layer.demo.incidents import INCIDENTS
from gridmonitoring.user_layer.demo.report import COLUMNS
from tests.support.project import ROOT, SOURCE

README = (ROOT / "README.md").read_text(encoding="utf-8")
WIDTH = 100


def help_of(*words: str) -> str:
    asked = [*words, "--help"]
    runner = CliRunner()
    result = runner.invoke(app, asked, prog_name="gridmon", terminal_width=WIDTH, max_content_width=WIDTH)
    assert result.exit_code == 0
    return "\n".join(line.rstrip() for line in result.output.strip().splitlines())


def test_the_help_is_the_programs() -> None:
    assert f"```text\n{help_of()}\n```" in README


def commands() -> list[tuple[str, ...]]:
    found = re.findall(r"^\| `gridmon ([a-z -]+?)(?: [A-Z]+)?` \|", README, re.MULTILINE)
    return [tuple(words.split()) for words in found]


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_each_command_of_the_table_exists(words: tuple[str, ...]) -> None:
    assert help_of(*words).startswith(f"Usage: gridmon {' '.join(words)}")


def test_the_table_names_every_command() -> None:
    program = typer.main.get_command(app)
    assert isinstance(program, typer.core.TyperGroup)
    named = {*re.findall(r"`gridmon ([a-z-]+)", README), *re.findall(r"`([a-z-]+)`", README)}
    assert set(program.commands) <= named


def test_what_the_demonstration_prints_is_told_as_it_is() -> None:
    assert " ".join(COLUMNS) in " ".join(README.split())
    for name in INCIDENTS:
        assert f"\n{name.replace('_', ' ')}  " in README


def test_files_that_it_names_exist() -> None:
    linked = re.findall(r"\]\(([^)#]+)\)", README)
    named = re.findall(r"`((?:docs|tools|src)/[\w./-]+)", README)
    inside = re.findall(r"`((?:[a-z_]+/)+(?:[a-z_]+\.py)?)`", README)
    assert linked
    assert named
    assert len(inside) > 8
    missing = [path for path in [*linked, *named] if not (ROOT / path).exists()]
    missing += [path for path in inside if not _there(path)]
    assert missing == []


def _there(path: str) -> bool:
    return any((folder / path).exists() for folder in (ROOT, SOURCE, SOURCE.parent))


def test_pictures_say_where_their_readings_come_from() -> None:
    pictures = sorted((ROOT / "docs" / "pictures").glob("*.svg"))
    assert pictures
    for picture in pictures:
        text = picture.read_text(encoding="utf-8")
        assert "Georges Hebrail" in text
        assert "CC-BY-4.0" in text
        assert Path(picture).name in README
