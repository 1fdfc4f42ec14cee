"""The project's own rules, as far as a program can check them."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

import gridmonitoring
from tests.support.project import PURE_FOLDERS, ROOT, SOURCE, pure_files, relative, source_files, text_files
from tests.support.source_rules import entropy_findings, world_findings

ENTROPY_HOME = SOURCE / "runtime" / "entropy.py"

# Written in two parts, so that this file does not name what it looks for.
INDEX_PATTERNS = [
    "pypi" + r"\.org",
    "python" + r"hosted\.org",
    "registry" + r"\.npmjs",
    "proxy" + r"\.golang",
    "--(extra-)?index" + "-url[ =]",
    r'"resolved": *"' + "http",
]
OUTSIDE_PATTERNS = [r"\.\./" + "shared", "/work" + "/", "/tmp" + "/team"]
SILENCERS = ["type: " + "ignore", "no" + "qa", "pragma: no " + "cover", "NotImplemented" + "Error"]
OPEN_ENDS = ["TO" + "DO", "FIX" + "ME", "XX" + "X"]
FAKES = [
    "unittest" + r"\.mock",
    "monkeypatch" + r"\.setattr",
    "Magic" + "Mock",
    r"pytest\.(mark\.)?(skip|xfail)" + "(if)?",
    "importor" + "skip",
    r"time\.sl" + r"eep\(",
]


def _matches(paths: list[Path], patterns: list[str]) -> list[str]:
    wanted = re.compile("|".join(f"(?:{pattern})" for pattern in patterns))
    return [
        f"{relative(path)}:{number}: {line.strip()[:120]}"
        for path in paths
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if wanted.search(line)
    ]


def _code() -> list[Path]:
    return [*source_files(), *sorted((ROOT / "tests").rglob("*.py")), *sorted((ROOT / "tools").rglob("*.py"))]


@pytest.mark.parametrize(
    "source",
    [
        "open('x')",
        "reader = open",
        "import io\nio.open('x')",
        "import sys\nsys.stdout.write('x')",
        "print(1)",
        "__import__('os')",
    ],
)
def test_world_is_found_in_source(source: str) -> None:
    assert world_findings(source)


@pytest.mark.parametrize(
    "source", ["open_box(key)", "box.open(key)", "self.opened = 1", "from a import open_signed"]
)
def test_opening_a_box_is_no_use_of_the_world(source: str) -> None:
    assert world_findings(source) == []


@pytest.mark.parametrize(
    "source",
    [
        "SigningKey.generate()",
        "make = X25519PrivateKey.generate",
        "os.urandom(32)",
        "from os import urandom",
        "from os import urandom as bytes_of",
        "import secrets",
        "from secrets import randbelow",
        "nacl.utils.random(32)",
        "from nacl import utils\nutils.random(32)",
        "from nacl.utils import random",
        "AESGCM.generate_key(256)",
        "hpke_suite(1).encrypt(b'', key, info)",
        "suite.encrypt(b'', key, info)",
        "uuid.uuid4()",
        "random.SystemRandom()",
    ],
)
def test_entropy_is_found_in_source(source: str) -> None:
    assert entropy_findings(source)


@pytest.mark.parametrize(
    "source",
    [
        "AESGCM(key).encrypt(nonce, data, None)",
        "cipher = AESGCM(key)\ncipher.encrypt(nonce, data, None)",
        "def f(cipher: AESGCM) -> bytes:\n    return cipher.encrypt(nonce, data, None)",
        "SigningKey(seed).sign(message)",
        "random.Random(7).random()",
        "import uuid",
    ],
)
def test_work_with_given_keys_and_nonces_draws_no_entropy(source: str) -> None:
    assert entropy_findings(source) == []


def test_pure_folders_do_not_use_the_world() -> None:
    findings = {relative(path): world_findings(path.read_text(encoding="utf-8")) for path in pure_files()}
    assert {path: found for path, found in findings.items() if found} == {}


def test_entropy_is_drawn_in_one_file() -> None:
    others = [path for path in source_files() if path != ENTROPY_HOME]
    findings = {relative(path): entropy_findings(path.read_text(encoding="utf-8")) for path in others}
    assert {path: found for path, found in findings.items() if found} == {}


def test_the_import_rules_name_every_pure_folder() -> None:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    layers, forbidden = config["contracts"]
    below_runtime = {name for layer in layers["layers"][2:] for name in layer.split(" | ")}
    assert below_runtime == {*PURE_FOLDERS, "errors"}
    assert set(forbidden["source_modules"]) == {f"gridmonitoring.{name}" for name in below_runtime}
    assert layers["exhaustive"]


def test_every_folder_of_the_package_says_what_it_is() -> None:
    folders = {path.parent for path in source_files()}
    assert {relative(folder) for folder in folders if not (folder / "__init__.py").exists()} == set()


def test_no_file_names_a_package_index() -> None:
    assert _matches(text_files(), INDEX_PATTERNS) == []


def test_no_file_points_outside_the_checkout() -> None:
    assert _matches(text_files(), OUTSIDE_PATTERNS) == []


def test_nothing_is_silenced_or_left_open() -> None:
    assert _matches(_code(), SILENCERS + [rf"\b{word}\b" for word in OPEN_ENDS]) == []


def test_tests_use_no_mocks_skips_or_sleeps() -> None:
    assert _matches(sorted((ROOT / "tests").rglob("*.py")), FAKES) == []


def _locked(name: str) -> dict[str, str]:
    """Package name to version, of one lock file; every entry must carry a hash."""
    text = (ROOT / "requirements" / name).read_text(encoding="utf-8")
    entries = re.findall(
        r"^([A-Za-z0-9._-]+)==([^ ;\\]+)[^\n]*\\\n    --hash=sha256:[0-9a-f]{64}", text, re.MULTILINE
    )
    starts = re.findall(r"^[A-Za-z0-9]", text, re.MULTILINE)
    assert len(entries) == len(starts), f"{name} holds an entry without version or hash"
    return {package.lower(): version for package, version in entries}


@pytest.mark.parametrize(
    "name", ["build.txt", "data.txt", "dev.txt", "display.txt", "lock.txt", "runtime.txt"]
)
def test_locks_pin_one_version_everywhere(name: str) -> None:
    dev = _locked("dev.txt")
    locked = _locked(name)
    assert locked
    assert {package for package in locked if dev.get(package, locked[package]) != locked[package]} == set()


def test_locks_hold_what_the_package_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    runtime = _locked("runtime.txt")
    assert _names(project["dependencies"]) <= runtime.keys()
    for extra, requirements in project["optional-dependencies"].items():
        locked = _locked(f"{extra}.txt")
        assert _names(requirements) <= locked.keys() - runtime.keys(), f"{extra} asks for nothing of its own"
        assert runtime.items() <= locked.items() <= _locked("dev.txt").items()


def _names(requirements: list[str]) -> set[str]:
    return {re.split(r"[<>=!~ \[;]", requirement)[0].lower() for requirement in requirements}


def test_newest_version_in_the_changelog_is_the_packages() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## \[(\d+\.\d+\.\d+)\] - \d{4}-\d{2}-\d{2}$", text, re.MULTILINE)
    assert versions[0] == gridmonitoring.__version__
