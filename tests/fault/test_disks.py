"""Disks that are full or fail: a typed error, nothing acknowledged, and all goes on when there is space."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from gridmonitoring.errors import ConsensusError, StorageError
from gridmonitoring.runtime.verification import verify_path
from tests.support.network import report_wires, small_network
from tests.support.project import ROOT


@pytest.mark.parametrize("limit", [140_001, 160_000, 200_037])
def test_a_full_disk(tmp_path: Path, limit: int) -> None:
    path = tmp_path / "network"
    small_network(path, meters=1).close()
    command = [sys.executable, "-m", "tests.support.full_disk_process", str(path), str(limit)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    told = json.loads(run.stdout)
    assert told["acknowledged"]
    assert told["first"] == StorageError.__name__
    assert told["again"] == ConsensusError.__name__
    assert all(reason.startswith("cannot write: ") for reason in told["halted"])
    assert told["stored"] >= told["acknowledged"][-1]
    verification = verify_path(path)
    assert verification.verified


def test_one_disk_of_four(tmp_path: Path) -> None:
    path = tmp_path / "network"
    small = small_network(path, meters=1)
    engine = small.network.engine
    engine.validators[2].application.truth.close()
    small.deliver(report_wires(small, 2))
    assert [validator.halted is None for validator in engine.validators] == [True, True, False, True]
    small.deliver(report_wires(small, 2))
    small.network.heal("node-03")
    assert len(engine.voting()) == 4
    small.deliver(report_wires(small, 2))
    small.close()
    assert verify_path(path).verified


def test_two_disks_of_four_are_no_quorum(tmp_path: Path) -> None:
    path = tmp_path / "network"
    small = small_network(path, meters=1)
    engine = small.network.engine
    before = small.meters[0].sequence
    for validator in engine.validators[:2]:
        validator.application.truth.close()
    with pytest.raises(StorageError):
        small.deliver(report_wires(small, 1))
    with pytest.raises(ConsensusError, match="no quorum"):
        small.deliver(report_wires(small, 1))
    for name in ("node-01", "node-02"):
        small.network.heal(name)
    small.meters[0].start_over()
    assert small.meters[0].sequence == before + 1
    small.deliver(report_wires(small, 2))
    small.close()
    assert verify_path(path).verified
