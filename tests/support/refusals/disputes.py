"""Lies about violations, disputes and cut-offs (paper III-A-5, V-A)."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from gridmonitoring.blockchain.bodies import AccuseProposer, Exhibit, Kind, Resolve
from gridmonitoring.blockchain.evidence_builders import build_statement
from gridmonitoring.blockchain.state_rows import OpenFindingRow, Table, open_finding_key
from gridmonitoring.contracts.violations import DISPUTE_TERM_MS, Violation
from gridmonitoring.energy_center.credit import Account
from gridmonitoring.keys.sealed_commands import DELIVERY_DOMAIN
from gridmonitoring.keys.signatures import split
from gridmonitoring.runtime.contract_offices import dispute, give_claim_up, lift_cut_off
from gridmonitoring.runtime.evidence_source import ApplicationEvidence
from gridmonitoring.runtime.parties import Signer
from tests.support.acts import accusation, decision, exhibits
from tests.support.guilty_proposer import a_unit_more, last_checkpoint, signed_result, wrong_result
from tests.support.network import MeterInHand
from tests.support.refusals.scene import Lies, Scene
from tests.support.refusals.watch import note_of_one

NEVER = 2**63 - 1
"""A number that no finding has."""


def found(scene: Scene, meter: MeterInHand, violation: Violation) -> int:
    """Return the number of a meter's last finding of a type."""
    row: OpenFindingRow = scene.network.row(Table.OPEN_FINDING, open_finding_key(meter.mid, violation))
    return row.number


def disputed(
    scene: Scene, meter: MeterInHand, violation: Violation, by: Signer | None = None, **changes: Any
) -> bytes:
    number = changes.pop("number", None) or found(scene, meter, violation)
    mid = changes.pop("mid", meter.mid)
    return dispute(by or meter.consumer, mid, number, changes.pop("time", scene.now))


def decided(scene: Scene, meter: MeterInHand, violation: Violation, **how: Any) -> bytes:
    return decision(scene.network, meter.mid, found(scene, meter, violation), scene.now, **how)


def other_decision(scene: Scene) -> bytes:
    """Return a decision of which the second operator signed the opposite."""
    raw = decided(scene, scene.with_a_gap, Violation.SEQUENCE_GAP, upheld=True)
    return scene.altered(raw, "operator-a", upheld=False)


def too_late(scene: Scene) -> bytes:
    """Return a dispute that is signed when its time is over."""
    meter = scene.tampered
    late = meter.time + DISPUTE_TERM_MS + 1
    scene.network.engine.decide([], late).durable.result()
    scene.small.clock.move_to(late)
    return disputed(scene, meter, Violation.TAMPER, time=late)


def own_claim(scene: Scene, utility: str = "utility", **changes: Any) -> bytes:
    meter = scene.with_a_gap
    body = {"upheld": False, "second": b"", "approval": b"", **changes}
    number = found(scene, meter, Violation.SEQUENCE_GAP)
    return scene.signer(utility).transaction(Kind.RESOLVE, Resolve(meter.mid, number, **body), scene.now)


def accused(scene: Scene, bundle: bytes = b"no proof", **changes: Any) -> bytes:
    """Return an accusation of the first node by the second."""
    raw = accusation(scene.network, scene.meter.mid, bundle, scene.now, by="node-02")
    return scene.altered(raw, "node-02", **changes) if changes else raw


def accused_proposer(scene: Scene, body: AccuseProposer) -> bytes:
    return scene.signer("node-01").transaction(Kind.ACCUSE_PROPOSER, body, scene.now)


def proposed(scene: Scene, **changes: Any) -> bytes:
    """Return the accusation of node 2 for a wrong result of the last block, as it is said here."""
    checkpoint, note = last_checkpoint(scene.network)
    accounts, mid = changes.pop("accounts", ()), changes.pop("mid", b"")
    note, signed = changes.pop("note", note), changes.pop("signed", b"")
    said = {"state_root": bytes(32), **changes}
    signed = signed or signed_result(scene.network, "node-02", checkpoint, **said)
    return accused_proposer(scene, AccuseProposer(mid or b"", signed, note, accounts))


def a_unit_less(account: Account) -> Account:
    """Return an account that was charged a unit too little."""
    (height, money), *others = a_unit_more(account).lots
    return replace(account, lots=((height, money + 2), *others))


def reported_twice(scene: Scene) -> bytes:
    """Return an accusation of what node 4 signed once and is named for already."""
    wrong = wrong_result(scene.network, "node-04")
    scene.network.require(accused_proposer(scene, wrong))
    return accused_proposer(scene, wrong)


def true_statement(scene: Scene) -> bytes:
    """Return what a quorum signed of a meter's account."""
    network = scene.network
    return build_statement(ApplicationEvidence(network.application, network.document), scene.meter.mid)


def signed_by_another(scene: Scene) -> bytes:
    """Return a delivery in the first node's name that the second signed."""
    raw = accused(scene)
    delivery = split(scene.decoded(raw).payload.body.delivery)[0]
    return scene.altered(raw, "node-02", delivery=scene.signer("node-02").document(DELIVERY_DOMAIN, delivery))


LIES: Lies = {
    "an accusation of what a quorum signed": (
        "no_case",
        lambda scene: accused(scene, true_statement(scene)),
    ),
    "an accusation without a delivery": (
        "malformed_delivery",
        lambda scene: accused(scene, delivery=bytes(100)),
    ),
    "an accusation of what another signed": ("bad_signature", signed_by_another),
    "an accusation about another meter": (
        "wrong_meter",
        lambda scene: scene.altered(accused(scene), "node-02", mid=scene.tampered.mid),
    ),
    "a block proposal that is none": ("malformed_proposal", lambda scene: proposed(scene, signed=bytes(100))),
    "a block proposal of no validator": ("unknown_signer", lambda scene: proposed(scene, node=bytes(16))),
    "a block proposal that another signed": (
        "bad_signature",
        lambda scene: proposed(scene, node=scene.signer("node-03").id),
    ),
    "a block proposal held against what no quorum signed": (
        "bad_proof",
        lambda scene: proposed(scene, note=note_of_one(scene)),
    ),
    "a block proposal that was not decided": ("no_case", lambda scene: proposed(scene, log_root=bytes(32))),
    "a block proposal with the quorum's own result": (
        "no_case",
        lambda scene: proposed(scene, state_root=scene.network.application.tree.root),
    ),
    "a meter without its accounts": ("no_case", lambda scene: proposed(scene, mid=scene.meter.mid)),
    "an account that the proposal does not have": (
        "no_case",
        lambda scene: proposed(
            scene,
            mid=scene.meter.mid,
            accounts=wrong_result(scene.network, "node-02", scene.meter.mid).accounts,
        ),
    ),
    "a block proposal that gave a meter a unit": (
        "no_case",
        lambda scene: accused_proposer(
            scene, wrong_result(scene.network, "node-02", scene.meter.mid, a_unit_less)
        ),
    ),
    "a block proposal that was reported before": ("already_recorded", reported_twice),
    "a part without the one before": (
        "wrong_part",
        lambda scene: scene.signer("node-03").transaction(
            Kind.EXHIBIT, Exhibit(bytes(32), 1, b"part"), scene.now
        ),
    ),
    "an accusation by parts that were not logged": (
        "no_exhibit",
        lambda scene: exhibits(scene.network, scene.meter.mid, bytes(20_000), scene.now)[-1],
    ),
    "a dispute about no meter": (
        "unknown_meter",
        lambda scene: disputed(scene, scene.tampered, Violation.TAMPER, mid=bytes(range(16))),
    ),
    "a dispute about no violation": (
        "unknown_violation",
        lambda scene: disputed(scene, scene.tampered, Violation.TAMPER, number=NEVER),
    ),
    "a neighbour's dispute": (
        "wrong_consumer",
        lambda scene: disputed(scene, scene.tampered, Violation.TAMPER, by=scene.guest),
    ),
    "another utility's dispute": (
        "wrong_utility",
        lambda scene: disputed(scene, scene.tampered, Violation.TAMPER, by=scene.signer("utility-2")),
    ),
    "a dispute twice": (
        "already_disputed",
        lambda scene: disputed(scene, scene.with_a_gap, Violation.SEQUENCE_GAP),
    ),
    "a decision where nothing is disputed": (
        "not_disputed",
        lambda scene: decided(scene, scene.tampered, Violation.TAMPER),
    ),
    "a decision by one operator alone": (
        "same_operator",
        lambda scene: decided(scene, scene.with_a_gap, Violation.SEQUENCE_GAP, second="operator-a"),
    ),
    "a decision that the second operator did not sign": ("document_mismatch", other_decision),
    "a utility that upholds its own claim": ("not_its_claim", lambda scene: own_claim(scene, upheld=True)),
    "a claim that another utility gives up": (
        "wrong_utility",
        lambda scene: own_claim(scene, utility="utility-2"),
    ),
    "a claim of a violation that there is not": (
        "unknown_violation",
        lambda scene: give_claim_up(scene.signer("utility"), scene.meter.mid, NEVER, scene.now),
    ),
    "a cut-off lifted that is not in force": (
        "nothing_to_lift",
        lambda scene: lift_cut_off(scene.signer("utility"), scene.meter.mid, scene.now),
    ),
    "a cut-off lifted by another utility": (
        "wrong_utility",
        lambda scene: lift_cut_off(scene.signer("utility-2"), scene.meter.mid, scene.now),
    ),
    "a dispute when its time is over": ("term_over", too_late),
}
