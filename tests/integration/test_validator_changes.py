"""A change of the validator set is in force two blocks later, also when the network is opened in between."""

from __future__ import annotations

from pathlib import Path

import pytest

from gridmonitoring.blockchain.checkpoint import decode_note
from gridmonitoring.blockchain.genesis import Validator, ValidatorSet
from gridmonitoring.blockchain.state_rows import Table
from gridmonitoring.errors import Tampered
from gridmonitoring.runtime.audit import audit
from gridmonitoring.runtime.consensus.validator_history import ValidatorHistory
from gridmonitoring.runtime.directory import Directory
from gridmonitoring.runtime.storage.tables import HANDOVER
from gridmonitoring.runtime.storage.truth import Truth
from gridmonitoring.runtime.verification import verify_path
from tests.support.acts import governance, proposal
from tests.support.network import SmallNetwork, open_small, small_network
from tests.support.tampering import NODES, alter, delete, file_of


def wanted(small: SmallNetwork, *names: str) -> bytes:
    """Return the governance transaction that leaves these validators."""
    row: ValidatorSet = small.network.row(Table.VALIDATORS, b"")
    left: tuple[Validator, ...] = tuple(v for v in row.validators if v.name in names)
    change = proposal(small.network, validators=left)
    return governance(small.network, change, NODES, small.clock.now_ms())


def signers(path: Path) -> dict[int, list[str]]:
    """Return who signed each block of a closed network."""
    truth = Truth(path / "nodes" / "node-01" / "truth.db", read_only=True)
    signed = {
        block.header.height: [line.name for line in decode_note(block.note).signatures]
        for block in truth.blocks()
    }
    truth.close()
    return signed


def test_a_validator_leaves_two_blocks_later(tmp_path: Path) -> None:
    path = tmp_path / "network"
    small = small_network(path, meters=0)
    small.submit([wanted(small, "node-01", "node-02", "node-03")])
    height = small.network.application.height
    small.close()
    small = open_small(path)
    for _ in range(3):
        small.network.tick()
    small.close()
    found = signers(path)
    assert found[height] == list(NODES)
    assert found[height + 1] == list(NODES)
    assert found[height + 2] == list(NODES[:3])
    assert found[height + 3] == list(NODES[:3])
    assert verify_path(path).verified
    assert audit(Directory(path)).verified


def test_two_changes_in_a_row(tmp_path: Path) -> None:
    path = tmp_path / "network"
    small = small_network(path, meters=0)
    small.submit([wanted(small, "node-01", "node-02", "node-03")])
    small.submit([wanted(small, "node-01", "node-02")])
    height = small.network.application.height
    for _ in range(3):
        small = small.reopen()
        small.network.tick()
    small.close()
    found = signers(path)
    assert [len(found[at]) for at in range(height - 1, height + 4)] == [4, 4, 3, 2, 2]
    assert verify_path(path).verified
    assert audit(Directory(path)).verified


def test_handovers_lead_from_genesis_to_the_present_set(tmp_path: Path) -> None:
    path = tmp_path / "network"
    small = small_network(path, meters=0)
    small.submit([wanted(small, "node-01", "node-02", "node-03")])
    small.network.tick()
    small.network.tick()
    truth, genesis = small.network.application.truth, small.network.genesis
    handovers = truth.handovers()
    height = handovers[0][0]
    history = ValidatorHistory(genesis)
    history.follow(handovers)
    assert [len(history.signing(height + later).validators) for later in (0, 1, 2)] == [4, 4, 3]
    with pytest.raises(Tampered):
        ValidatorHistory(genesis).follow([(height + 1, handovers[0][1])])
    small.close()


def test_no_file_has_the_handover_any_more(tmp_path: Path) -> None:
    """Then quorums do not lead from genesis to now; executing the blocks does, and names what is missing."""
    path = tmp_path / "network"
    small = small_network(path, meters=0)
    small.submit([wanted(small, "node-01", "node-02", "node-03")])
    for _ in range(3):
        small.network.tick()
    small.close()
    for name in NODES:
        alter(file_of(path, HANDOVER, name), HANDOVER, delete)
    found = audit(Directory(path))
    assert [(finding.node, finding.table, finding.found) for finding in found.findings] == [
        (name, "handover", "missing") for name in NODES
    ]
