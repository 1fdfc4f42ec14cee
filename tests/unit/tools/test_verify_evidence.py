from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from gridmonitoring.blockchain.bodies import Kind
from gridmonitoring.blockchain.evidence import verify
from gridmonitoring.blockchain.evidence_bundle import EvidenceKind
from gridmonitoring.blockchain.genesis import LONGEST_MS, decode_genesis
from gridmonitoring.blockchain.state_rows import CommandKind, Table
from gridmonitoring.encoding.bounds import Role
from gridmonitoring.encoding.cbor import encode, loads
from gridmonitoring.encoding.hashes import sha256d
from gridmonitoring.errors import EvidenceError
from tests.support.evidence_cases import proven_bundles
from tests.support.mutations import with_leaf
from tests.support.project import ROOT
from tools import verify_evidence

TOOL = ROOT / "tools" / "verify_evidence.py"
ALLOWED = {"cbor2", "nacl"}
GENESIS, PROVEN = proven_bundles()
LIMIT = 64 * 1024 * 1024


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
    assert set(Table) == verify_evidence.TABLES
    assert {number: name.replace(" ", "_").upper() for number, name in verify_evidence.COMMANDS.items()} == {
        int(kind): kind.name for kind in CommandKind
    }
    assert {number: name.upper() for number, name in verify_evidence.KINDS.items()} == {
        int(kind): kind.name for kind in EvidenceKind
    }


FOUNDING = decode_genesis(GENESIS)
PARTY, VALIDATOR = FOUNDING.parties[0], FOUNDING.validators[0]
PARAMETERS: dict[str, dict[str, Any]] = {
    "a bound without end": {"future_bound": LONGEST_MS + 1},
    "a notice without end": {"key_notice": LONGEST_MS + 1},
    "an expiry without end": {"command_expiry": LONGEST_MS + 1},
    "a target that nothing meets": {"target": bytes(4)},
    "a target in another form": {"target": bytes.fromhex("217fffff")},
}
UNFOUNDED: dict[str, dict[str, Any]] = {
    **{name: {"parameters": replace(FOUNDING.parameters, **said)} for name, said in PARAMETERS.items()},
    "a currency in small letters": {"currency": "eur"},
    "a consumer": {"parties": (*FOUNDING.parties, replace(PARTY, role=Role.CONSUMER))},
    "a party twice": {"parties": (*FOUNDING.parties, replace(PARTY, name="again"))},
    "a key of small order": {
        "parties": (*FOUNDING.parties, replace(PARTY, sign_key=bytes((1,)) + bytes(31)))
    },
    "a box key of small order": {"parties": (*FOUNDING.parties[1:], replace(PARTY, hpke_key=bytes(32)))},
    "a contract key of small order": {"contract_key": bytes(32)},
    "no validator": {"validators": ()},
    "a validator that is no node": {"validators": (replace(VALIDATOR, node=bytes(16)),)},
    "two validators of one node": {"validators": (VALIDATOR, replace(VALIDATOR, name="z"))},
}


@pytest.mark.parametrize("name", UNFOUNDED)
def test_a_genesis_that_breaks_a_rule_is_refused(name: str) -> None:
    """By both verifiers, though the bundle names it as its own."""
    founding = encode(replace(FOUNDING, **UNFOUNDED[name]))
    bundle = encode(with_leaf(loads(PROVEN["command"], LIMIT), (2,), sha256d(founding)))
    with pytest.raises(EvidenceError, match="step 2"):
        verify(bundle, founding)
    with pytest.raises(verify_evidence.NotProven, match="step 2"):
        verify_evidence.verify(bundle, founding)


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
