"""Whether the tests of Table 1 would notice: each metric's property is taken away in a copy of the program.

`sabotage/<metric>.diff` is a change of a line or two that leaves a program without the property.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from shutil import copytree, ignore_patterns

import pytest

from tests.support.project import ROOT

FOLDER = ROOT / "tests" / "conformance" / "sabotage"
TESTS = ROOT / "tests" / "conformance" / "test_table_1.py"
METRICS = (
    "customer_utility_control",
    "data_confidentiality",
    "data_immutability",
    "data_integrity",
    "data_manageability",
    "data_provenance_and_auditing",
    "information_sharing",
)
"""The metrics of Table 1."""


def apply(metric: str, where: Path, *options: str) -> None:
    """Take a metric's property away."""
    command = ["git", "apply", *options, str(FOLDER / f"{metric}.diff")]
    ended = subprocess.run(command, cwd=where, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


def test_each_metric_has_its_test_and_its_sabotage() -> None:
    assert sorted(re.findall(r"^def test_(\w+)", TESTS.read_text(encoding="utf-8"), re.MULTILINE)) == [
        *METRICS
    ]
    assert sorted(path.stem for path in FOLDER.iterdir()) == [*METRICS]


@pytest.mark.parametrize("metric", METRICS)
def test_the_sabotage_is_of_this_program(metric: str) -> None:
    apply(metric, ROOT, "--check")


@pytest.mark.soak
@pytest.mark.parametrize("metric", METRICS)
def test_without_its_property_a_metrics_test_fails(metric: str, tmp_path: Path) -> None:
    for name in ("src", "tests"):
        copytree(ROOT / name, tmp_path / name, ignore=ignore_patterns("__pycache__"))
    (tmp_path / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    apply(metric, tmp_path)
    test = f"tests/conformance/test_table_1.py::test_{metric}"
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, "1 failed" in ended.stdout) == (1, True), ended.stdout + ended.stderr
