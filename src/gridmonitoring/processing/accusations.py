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

from gridmonitoring.blockchain.bodies import Accuse, AccuseProposer
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
from gridmonitoring.blockchain.state_rows import ProposalRow, Table
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
    # 1
    try:
        delivery = read_delivery(body.delivery)
    except EncodingError as error:
        raise Refused("malformed_delivery", str(error)) from error
    node = party_in_force(ledger, Role.NODE, delivery.node)
    open_by(ledger, node.sign_key, DELIVERY_DOMAIN, body.delivery)
    # 2
    meter_of(ledger, body.mid)
    if delivery.mid != body.mid:
        refuse("wrong_meter", "the delivery is for another meter")
    # 3
    if holds(delivery.bundle, encode(ledger.chain.genesis)):
        refuse("no_case", "a quorum signed what this node delivered")
    violation = Violation.OVERCHARGE if delivery.kind in STATEMENTS else Violation.INTEGRITY_FAILURE
    meter = live_on(ledger, body.mid, transaction)
    meter = violate(ledger, transaction, body.mid, meter, violation, node=delivery.node)
    ledger.view.put(Table.METER, body.mid, meter)


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
