"""One app_hash, however the same transactions are replayed: hash seeds, cuts into blocks, no secret."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from shutil import copytree, rmtree

import pytest

from gridmonitoring.blockchain.checkpoint import app_hash
from gridmonitoring.blockchain.genesis import decode_genesis
from gridmonitoring.runtime.clock import SimulatedClock
from gridmonitoring.runtime.directory import Directory
from gridmonitoring.runtime.founding import create_truth
from gridmonitoring.runtime.network import Network
from gridmonitoring.runtime.storage.truth import Truth, decode_body
from gridmonitoring.runtime.verification import verify_path
from tests.support.project import ROOT
from tests.support.tampering import NODES, rich_network

SEEDS = range(20)


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("chain") / "network"
    rich_network(path)
    return path


def test_hash_seeds_change_nothing(chain: Path, tmp_path: Path) -> None:
    """Twenty interpreters, each with its own order of sets, on a copy that has no secret key."""
    copy = tmp_path / "copy"
    copytree(chain, copy)
    rmtree(copy / "keys")
    told = [replayed(copy / "nodes" / "node-03", seed) for seed in SEEDS]
    assert len({one["probe"] for one in told}) == len(SEEDS)
    assert all(one["verified"] for one in told)
    assert {one["app_hash"] for one in told} == {verify_path(chain).app_hash.hex()}


def replayed(path: Path, seed: int) -> dict[str, object]:
    environment = {**os.environ, "PYTHONHASHSEED": str(seed)}
    command = [sys.executable, "-m", "tests.support.verify_process", str(path)]
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    told: dict[str, object] = json.loads(run.stdout)
    return told


@pytest.mark.parametrize("size", [1, 3, 50, 10_000])
def test_cuts_into_blocks_change_nothing(chain: Path, tmp_path: Path, size: int) -> None:
    raws, time = logged(chain)
    path = tmp_path / "network"
    copytree(chain / "keys", path / "keys")
    document = (chain / "genesis.cbor").read_bytes()
    (path / "genesis.cbor").write_bytes(document)
    directory = Directory(path)
    for name in NODES:
        create_truth(directory, name, decode_genesis(document), document)
    with Network(directory, SimulatedClock(time)) as network:
        for start in range(0, len(raws), size):
            decision = network.engine.decide(raws[start : start + size], time)
            assert [receipt.error for receipt in decision.receipts if receipt.error] == []
            decision.durable.result()
        application = network.application
        log = application.log.log
        found = app_hash(log.root(), log.size, application.tree.root)
    assert found == verify_path(chain).app_hash
    assert verify_path(path).app_hash == found


def logged(path: Path) -> tuple[list[bytes], int]:
    """Return every transaction of a chain in order, and the time of its last block."""
    truth = Truth(path / "nodes" / "node-01" / "truth.db", read_only=True)
    raws: list[bytes] = []
    time = 0
    for block in truth.blocks():
        raws += decode_body(block.body)
        time = block.header.time
    truth.close()
    return raws, time
