"""Accusations: a node is named on the ledger for what it signed itself (paper V-A, III-A-4, IV-D).

A node signs what it delivers to a meter. Where the proof inside does not hold, the signature is the evidence:
every node checks the same bytes by the same steps, and so does any third party. Nobody can be accused of what
a quorum signed, nor of what another signed.

A proposer signs the result that it says its transactions have. The state follows from the log alone, so a
quorum's checkpoint of the same log with another state shows that the result is wrong; a proof under the
proposed state shows whom it charges too much.

Left out: how the meter finds out (`smart_meter`), and what a quorum that lies together does.
"""

from __future__ import annotations

from gridmonitoring.blockchain.bodies import Accuse, AccuseExhibit, AccuseProposer, Exhibit
from gridmonitoring.blockchain.checkpoint import Checkpoint, decode_note, verify_quorum
from gridmonitoring.blockchain.evidence import holds
from gridmonitoring.blockchain.evidence_bundle import EvidenceKind
from gridmonitoring.blockchain.genesis import ValidatorSet
from gridmonitoring.blockchain.ledger import Ledger, open_by, party_in_force, refuse
from gridmonitoring.blockchain.proposals import (
    BlockProposal,
    open_proposal,
    read_proposal,
    require_contradiction,
    require_overcharge,
)
from gridmonitoring.blockchain.state_rows import ExhibitRow, ProposalRow, Table
from gridmonitoring.blockchain.transactions import Transaction
from gridmonitoring.contracts.violations import Violation
from gridmonitoring.encoding.bounds import Role
from gridmonitoring.encoding.cbor import encode
from gridmonitoring.encoding.hashes import sha256d
from gridmonitoring.errors import BadSignature, CheckpointError, EncodingError, MerkleError, Refused
from gridmonitoring.keys.sealed_commands import DELIVERY_DOMAIN, read_delivery
from gridmonitoring.processing.findings import violate
from gridmonitoring.processing.threads import live_on, meter_of

STATEMENTS = (EvidenceKind.STATEMENT, EvidenceKind.BILL)
"""Deliveries that are about money."""


def accuse(ledger: Ledger, transaction: Transaction) -> None:
    """Check an accusation: 1 who signed, 2 for which meter, 3 that the proof does not hold; record it.

    Raises `Refused` (malformed_delivery, unknown_signer, revoked_key, bad_signature, unknown_meter,
    wrong_meter, no_case).
    """
    body: Accuse = transaction.payload.body
    _name(ledger, transaction, body.mid, body.delivery)


def exhibit(ledger: Ledger, transaction: Transaction) -> None:
    """Keep a part of a large delivery until its node accuses by it; a new one takes the place of the last.

    Raises `Refused` (wrong_part).
    """
    body: Exhibit = transaction.payload.body
    node = transaction.payload.signer
    if body.number:
        before: ExhibitRow | None = ledger.view.get(Table.EXHIBIT, exhibit_key(node, body.number - 1))
        if before is None or before.digest != body.digest:
            refuse("wrong_part", f"part {body.number} does not follow another of the same delivery")
    row = ExhibitRow(body.digest, body.content)
    ledger.view.put(Table.EXHIBIT, exhibit_key(node, body.number), row)


def accuse_exhibit(ledger: Ledger, transaction: Transaction) -> None:
    """As `accuse`, by a delivery in parts: size is no escape. Raises `Refused` (no_exhibit) besides."""
    body: AccuseExhibit = transaction.payload.body
    keys = [exhibit_key(transaction.payload.signer, number) for number in range(body.count)]
    rows: list[ExhibitRow | None] = [ledger.view.get(Table.EXHIBIT, key) for key in keys]
    delivery = b"".join([row.content for row in rows if row is not None and row.digest == body.digest])
    if sha256d(delivery) != body.digest:
        refuse("no_exhibit", f"the last {body.count} parts that this node logged are not this delivery")
    for key in keys:
        ledger.view.delete(Table.EXHIBIT, key)
    _name(ledger, transaction, body.mid, delivery)


def exhibit_key(node: bytes, number: int) -> bytes:
    """Return the key of a part."""
    return node + number.to_bytes(2, "big")


def _name(ledger: Ledger, transaction: Transaction, mid: bytes, signed: bytes) -> None:
    """Name the node that signed a delivery, by the steps of `accuse`."""
    # 1
    try:
        delivery = read_delivery(signed)
    except EncodingError as error:
        raise Refused("malformed_delivery", str(error)) from error
    node = party_in_force(ledger, Role.NODE, delivery.node)
    open_by(ledger, node.sign_key, DELIVERY_DOMAIN, signed)
    # 2
    meter_of(ledger, mid)
    if delivery.mid != mid:
        refuse("wrong_meter", "the delivery is for another meter")
    # 3
    if holds(delivery.bundle, encode(ledger.chain.genesis)):
        refuse("no_case", "a quorum signed what this node delivered")
    violation = Violation.OVERCHARGE if delivery.kind in STATEMENTS else Violation.INTEGRITY_FAILURE
    meter = live_on(ledger, mid, transaction)
    meter = violate(ledger, transaction, mid, meter, violation, node=delivery.node)
    ledger.view.put(Table.METER, mid, meter)


def proposal_key(proposal: BlockProposal, mid: bytes) -> bytes:
    """Return the key of a wrong proposal's row: one for each log, and each meter or none."""
    return proposal.node + sha256d(encode([proposal.size, proposal.log_root, mid]))[:16]


def accuse_proposer(ledger: Ledger, transaction: Transaction) -> None:
    """Name a proposer: 1 what it signed, 2 what the quorum did, 3 that they differ, 4 once; 5 record it.

    Raises `Refused` (malformed_proposal, unknown_signer, bad_signature, bad_proof, no_case,
    already_recorded).
    """
    payload = transaction.payload
    body: AccuseProposer = payload.body
    # 1
    proposal = _proposal(ledger, body.proposal)
    # 2
    decided = _decided(ledger, body.note)
    # 3
    try:
        require_contradiction(proposal, decided)
        require_overcharge(body, proposal, decided, ledger.parameters().bucket_bits)
    except (EncodingError, MerkleError) as error:
        raise Refused("no_case", str(error)) from error
    # 4
    key = proposal_key(proposal, body.mid)
    if ledger.view.get(Table.PROPOSAL, key) is not None:
        refuse("already_recorded", "this proposal was reported before")
    # 5
    row = ProposalRow(transaction.id, payload.signer, payload.time, proposal.height, proposal.size, body.mid)
    ledger.view.put(Table.PROPOSAL, key, row)
    if body.mid:
        meter = live_on(ledger, body.mid, transaction)
        meter = violate(ledger, transaction, body.mid, meter, Violation.OVERCHARGE, node=proposal.node)
        ledger.view.put(Table.METER, body.mid, meter)


def _proposal(ledger: Ledger, signed: bytes) -> BlockProposal:
    """Return what a validator signed as its proposal."""
    try:
        proposal = read_proposal(signed)
    except EncodingError as error:
        raise Refused("malformed_proposal", str(error)) from error
    validators: ValidatorSet = ledger.view.get(Table.VALIDATORS, b"")
    if all(validator.node != proposal.node for validator in validators.validators):
        refuse("unknown_signer", f"node {proposal.node.hex()[:8]} is no validator")
    try:
        return open_proposal(signed, validators.validators, ledger.chain.id, ledger.check)
    except (BadSignature, EncodingError) as error:
        raise Refused("bad_signature", str(error)) from error


def _decided(ledger: Ledger, note: bytes) -> Checkpoint:
    """Return the checkpoint of this chain that a quorum of the validators signed."""
    validators: ValidatorSet = ledger.view.get(Table.VALIDATORS, b"")
    try:
        verify_quorum(note, validators.powers(), ledger.check)
        checkpoint = decode_note(note).checkpoint
        if checkpoint.origin != ledger.chain.genesis.origin():
            raise CheckpointError("the note is of another chain")
    except CheckpointError as error:
        raise Refused("bad_proof", str(error)) from error
    return checkpoint
