"""IV-D, majority: a proposer whose result is not that of its transactions is outvoted, and named for good."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from gridmonitoring.blockchain.bodies import AccuseProposer, Kind
from gridmonitoring.blockchain.evidence import verify
from gridmonitoring.blockchain.evidence_bundle import EvidenceKind
from gridmonitoring.blockchain.state_rows import FindingRow, ProposalRow, Table
from gridmonitoring.contracts.violations import Violation
from gridmonitoring.errors import EvidenceError, Refused
from gridmonitoring.runtime.consensus.engine import Decision
from gridmonitoring.runtime.evidence_requests import make_evidence
from gridmonitoring.runtime.verification import verify_path
from tests.support.guilty_proposer import (
    GuiltyApplication,
    corrupt,
    last_checkpoint,
    signed_result,
    wrong_result,
)
from tests.support.network import SmallNetwork, report_wires, small_network
from tests.support.shell import done
from tools import verify_evidence


@pytest.fixture
def small(tmp_path: Path) -> SmallNetwork:
    return small_network(tmp_path / "network", meters=2)


def named(small: SmallNetwork) -> list[tuple[bytes, ProposalRow]]:
    """Return (node, row) of each proposal that the ledger knows to be wrong."""
    rows = small.network.application.truth.rows_of(Table.PROPOSAL)
    return [(key[:16], small.network.row(Table.PROPOSAL, key)) for key, _ in rows]


def findings(small: SmallNetwork, mid: bytes) -> list[FindingRow]:
    keys = [key for key, _ in small.network.application.truth.rows_of(Table.FINDING, mid)]
    return [small.network.row(Table.FINDING, key) for key in keys]


def report_until_its_turn(small: SmallNetwork, name: str) -> None:
    """Have the meters settle until a corrupted validator was outvoted."""
    guilty = next(one for one in small.network.engine.validators if one.name == name)
    for _ in small.network.engine.validators:
        small.deliver(report_wires(small, 1, settle_every=1))
        if guilty.halted:
            return


def test_a_proposer_that_charges_too_much_is_outvoted_and_named(small: SmallNetwork) -> None:
    """Nobody pays the unit too much; every meter's thread names the node, and anybody can check it."""
    network = small.network
    guilty = corrupt(network, "node-03")
    report_until_its_turn(small, "node-03")
    assert guilty.halted == "its proposal was refused by the others and it must be healed"
    assert sorted((node, row.mid) for node, row in named(small)) == sorted(
        (guilty.node, meter.mid) for meter in small.meters
    )
    for meter in small.meters:
        overcharges = [one for one in findings(small, meter.mid) if one.violation == Violation.OVERCHARGE]
        assert [one.node for one in overcharges] == [guilty.node]
        bundle = make_evidence(network.application, network.document, EvidenceKind.ACCUSATION, meter.mid)
        assert verify(bundle, network.document).kind is EvidenceKind.ACCUSATION
        facts = verify_evidence.verify(bundle, network.document)["facts"]
        assert (facts["node"], facts["meter"], facts["taken_too_much"]) == (
            *(guilty.node.hex(), meter.mid.hex(), 1),
        )
    network.heal("node-03")
    assert guilty.halted is None
    assert not isinstance(guilty.application, GuiltyApplication)
    small.close()
    listed = done("show", "violation", small.directory.root)
    assert {(one["node"], one["meter"]) for one in listed["nodes"]} == {
        (guilty.node.hex(), meter.mid.hex()) for meter in small.meters
    }
    assert {one["violation"] for one in listed["entries"]} == {"overcharge"}
    assert verify_path(small.directory.root).verified


def test_a_proposer_that_changes_another_row_is_named_alone(small: SmallNetwork) -> None:
    """Nobody is charged: the ledger names the node, and no meter's thread."""

    def more_messages(rows: dict[tuple[Table, bytes], Any]) -> None:
        for key, row in list(rows.items()):
            if key[0] == Table.METER:
                rows[key] = replace(row, messages=row.messages + 1)

    guilty = corrupt(small.network, "node-03", more_messages)
    report_until_its_turn(small, "node-03")
    ((node, row),) = named(small)
    assert (node, row.mid) == (guilty.node, b"")
    assert all(findings(small, meter.mid) == [] for meter in small.meters)


def test_what_was_proposed_and_not_decided_is_no_offence(small: SmallNetwork) -> None:
    """Another log, or the same state, whoever signed it: an honest node cannot be named for either."""
    network = small.network
    checkpoint, note = last_checkpoint(network)
    honest = signed_result(network, "node-02", checkpoint)
    elsewhere = {"state_root": bytes(32), "log_root": bytes(32)}
    undecided = signed_result(network, "node-02", checkpoint, **elsewhere)
    later = signed_result(network, "node-02", checkpoint, state_root=bytes(32), size=checkpoint.size + 1)
    another_round = signed_result(network, "node-02", checkpoint, height=99, block=bytes(32))
    for signed in (honest, undecided, later, another_round):
        body = AccuseProposer(b"", signed, note, ())
        raw = network.signer("node-01").transaction(Kind.ACCUSE_PROPOSER, body, small.clock.now_ms())
        with pytest.raises(Refused, match="no_case"):
            network.require(raw)
    assert named(small) == []


def test_honest_proposers_are_never_named(small: SmallNetwork) -> None:
    """Whatever is offered, repetitions included, every validator takes its turns and none is named."""
    decisions: list[Decision] = []
    for _ in range(2 * len(small.network.engine.validators)):
        for meter in small.meters:
            offered = [*meter.wires(settles=True, energy=50)]
            opened = small.network.open([*offered, *offered])
            small.clock.move_to(meter.time)
            decisions.append(small.network.decide_opened(opened))
    assert {decision.proposer for decision in decisions} == {v.name for v in small.network.engine.validators}
    assert any(receipt.error for decision in decisions for receipt in decision.receipts)
    assert not any(decision.refused for decision in decisions)
    assert not any(vote.refusal for decision in decisions for vote in decision.votes)


def test_evidence_against_a_proposer_breaks_with_any_bit(small: SmallNetwork) -> None:
    network, mid = small.network, small.meters[0].mid
    body = wrong_result(network, "node-02", mid)
    raw = network.signer("node-01").transaction(Kind.ACCUSE_PROPOSER, body, small.clock.now_ms())
    network.require(raw)
    bundle = make_evidence(network.application, network.document, EvidenceKind.ACCUSATION, mid)
    verify_evidence.verify(bundle, network.document)
    for place in range(len(bundle)):
        flipped = bytearray(bundle)
        flipped[place] ^= 1 << place % 8
        with pytest.raises(EvidenceError):
            verify(bytes(flipped), network.document)
        with pytest.raises(verify_evidence.NotProven):
            verify_evidence.verify(bytes(flipped), network.document)
