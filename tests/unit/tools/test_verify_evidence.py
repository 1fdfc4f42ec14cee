from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gridmonitoring.blockchain.bodies import Kind
from gridmonitoring.blockchain.evidence_bundle import EvidenceKind
from gridmonitoring.blockchain.state_rows import CommandKind, Table
from tests.support.evidence_cases import proven_bundles
from tests.support.project import ROOT
from tools import verify_evidence

TOOL = ROOT / "tools" / "verify_evidence.py"
ALLOWED = {"cbor2", "nacl"}
GENESIS, PROVEN = proven_bundles()


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    (tmp_path / "genesis.cbor").write_bytes(GENESIS)
    path = tmp_path / "reading.cbor"
    path.write_bytes(PROVEN["reading opened"])
    return path


def run(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(TOOL), *map(str, arguments)]
    environment = {"PATH": os.environ["PATH"], **environment}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def test_it_imports_nothing_of_the_project() -> None:
    tree = ast.parse(TOOL.read_text(encoding="utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    roots = {name.split(".")[0] for name in names}
    assert roots - set(sys.stdlib_module_names) == ALLOWED


def test_its_closed_lists_are_the_ledgers() -> None:
    assert set(Kind) == verify_evidence.TYPES
    assert range(1, verify_evidence.LAST_TABLE + 1) == range(1, max(Table) + 1)
    assert {number: name.replace(" ", "_").upper() for number, name in verify_evidence.COMMANDS.items()} == {
        int(kind): kind.name for kind in CommandKind
    }
    assert {number: name.upper() for number, name in verify_evidence.KINDS.items()} == {
        int(kind): kind.name for kind in EvidenceKind
    }


def test_it_runs_alone(bundle: Path) -> None:
    done = run(bundle, PYTHONIOENCODING="utf-8")
    assert (done.returncode, done.stderr) == (0, "")
    assert verify_evidence.verify(PROVEN["reading opened"], GENESIS)["genesis"] in done.stdout
    assert done.stdout.count("✓") == len(verify_evidence.STEPS)
    assert "1.8.0 = 120250 Wh" in done.stdout


def test_it_prints_plain_letters_where_there_are_no_others(bundle: Path) -> None:
    done = run(bundle, LANG="C", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert done.returncode == 0
    assert done.stdout.isascii()


def test_json_is_one_line(bundle: Path) -> None:
    done = run(bundle, "--json")
    proven = json.loads(done.stdout)
    assert done.stdout.count("\n") == 1
    assert proven["proven"] is True
    assert proven["kind"] == "reading"
    assert proven["facts"]["registers"] == {"1.8.0": 120_250}


def test_genesis_may_be_named(bundle: Path, tmp_path: Path) -> None:
    elsewhere = (tmp_path / "genesis.cbor").rename(tmp_path / "other.cbor")
    assert run(bundle).returncode == 1
    assert run(bundle, "--genesis", elsewhere).returncode == 0


@pytest.mark.parametrize("flag", [[], ["--json"]])
def test_a_failure_is_one_line_and_no_traceback(
    bundle: Path, capsys: pytest.CaptureFixture[str], flag: list[str]
) -> None:
    broken = bytearray(bundle.read_bytes())
    broken[len(broken) // 2] ^= 1
    bundle.write_bytes(bytes(broken))
    assert verify_evidence.main([str(bundle), *flag]) == 1
    said = capsys.readouterr()
    assert said.err.startswith("NOT PROVEN: step ")
    assert said.err.count("\n") == 1
    if flag:
        assert json.loads(said.out)["proven"] is False


def test_a_file_that_is_not_there_is_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert verify_evidence.main([str(tmp_path / "none.cbor")]) == 1
    said = capsys.readouterr()
    assert said.err.count("\n") == 1
    assert said.out == ""


@pytest.mark.parametrize("name", PROVEN)
def test_every_kind_is_told_in_one_sentence(name: str) -> None:
    said = verify_evidence.sentence(verify_evidence.verify(PROVEN[name], GENESIS))
    assert said.endswith(".")
    assert said.count("\n") == 0
    assert "meter 101112131415161718191a1b1c1d1e1f" in said


def test_a_time_past_all_calendars_is_told_in_milliseconds() -> None:
    proven = verify_evidence.verify(PROVEN["command"], GENESIS)
    proven["facts"]["expires"] = 2**63 - 1
    assert "9223372036854775807 ms" in verify_evidence.sentence(proven)
