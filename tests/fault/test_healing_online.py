"""A validator that reads an altered row stops voting, names it, and is healed while the others go on."""

from __future__ import annotations

from pathlib import Path

import pytest

from gridmonitoring.blockchain.state_rows import Table
from gridmonitoring.errors import ConsensusError, StorageError, UserError
from gridmonitoring.runtime.verification import verify_path
from tests.support.network import SmallNetwork, report_wires, small_network
from tests.support.tampering import VICTIM, alter_row


@pytest.fixture
def small(tmp_path: Path) -> SmallNetwork:
    made = small_network(tmp_path / "network", meters=1)
    made.deliver(report_wires(made, 4))
    return made.reopen()


def truth_of(small: SmallNetwork, node: str = VICTIM) -> Path:
    return small.directory.node(node) / "truth.db"


def halted(small: SmallNetwork) -> dict[str, str]:
    return {v.name: v.halted for v in small.network.engine.validators if v.halted}


def test_a_row_is_fetched_with_its_proof(small: SmallNetwork) -> None:
    key = alter_row(truth_of(small), Table.TARIFF)
    small.deliver(report_wires(small, 4))
    (reason,) = halted(small).values()
    assert reason == f"row.tariff {key.hex()}: the stored row is not what was committed"
    small.deliver(report_wires(small, 4))
    named, followed = small.network.heal(VICTIM)
    assert named.startswith(f"{VICTIM}: row.tariff {key.hex()}: is ")
    assert followed == "2 blocks followed"
    finish(small)


def test_a_row_that_has_changed_since(small: SmallNetwork) -> None:
    """No validator has the old value any more; blocks executed anew do."""
    key = alter_row(truth_of(small), Table.ACCOUNT)
    small.deliver(report_wires(small, 4))
    assert halted(small)[VICTIM].startswith(f"row.account {key.hex()}: ")
    for _ in range(3):
        small.deliver(report_wires(small, 4))
    assert len(small.network.heal(VICTIM)) == 2
    finish(small)


def finish(small: SmallNetwork) -> None:
    """Require all to vote on, and files that verify."""
    assert not halted(small)
    small.deliver(report_wires(small, 4))
    assert not halted(small)
    assert len({v.height for v in small.network.engine.validators}) == 1
    path = small.directory.root
    small.close()
    assert verify_path(path).verified


def test_rows_are_asked_of_another_validator(small: SmallNetwork) -> None:
    key = alter_row(truth_of(small, "node-01"), Table.BLOCK)
    row = small.network.row(Table.BLOCK, key)
    assert row is not None
    assert list(halted(small)) == ["node-01"]
    small.network.heal("node-01")
    finish(small)


def test_two_of_four_altered_leave_no_quorum_until_one_is_healed(small: SmallNetwork) -> None:
    for name in ("node-01", "node-03"):
        alter_row(truth_of(small, name), Table.TARIFF)
    with pytest.raises(ConsensusError, match="no quorum"):
        small.deliver(report_wires(small, 4))
    assert set(halted(small)) == {"node-01", "node-03"}
    small.network.heal("node-03")
    small.meters[0].start_over()
    small.deliver(report_wires(small, 4))
    small.network.heal("node-01")
    finish(small)


def test_all_altered_are_healed_by_their_logs(small: SmallNetwork) -> None:
    names = [validator.name for validator in small.network.engine.validators]
    for name in names:
        alter_row(truth_of(small, name), Table.TARIFF)
    with pytest.raises(ConsensusError, match="no validator is voting"):
        small.deliver(report_wires(small, 4))
    for name in names:
        small.network.heal(name)
    small.meters[0].start_over()
    finish(small)


def test_what_cannot_be_healed_stays_halted(small: SmallNetwork) -> None:
    with pytest.raises(UserError):
        small.network.heal("node-99")
    for validator in small.network.engine.validators:
        small.network.take_down(validator, "for the test")
        truth = truth_of(small, validator.name)
        truth.write_bytes(truth.read_bytes()[:20_000])
    with pytest.raises(StorageError, match="cannot be healed"):
        small.network.heal(VICTIM)
    assert len(halted(small)) == 4
    small.close()
