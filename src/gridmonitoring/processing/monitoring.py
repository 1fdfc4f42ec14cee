"""What nodes report of each other and of meters that went silent (paper II-A, IV-B, V-B).

A node reports its own copy on its own word: it accuses nobody else. A report about another node's copy of a
row carries what that node itself signed about it, beside the row's proof under a quorum's checkpoint of
the same height; so an honest node, which signs what it has checked against its tree, cannot be smeared. The
meter concerned gets a violation in its thread and an alert on its display.

Left out: how a difference is found and mended (`runtime`), and who pays for it, which the agreement says.
"""

from __future__ import annotations

from msgspec.structs import replace

from gridmonitoring.blockchain.bodies import CopyDiffers, CopyHealed, CopyProof, MeterSilent, Part
from gridmonitoring.blockchain.checkpoint import decode_note, verify_quorum
from gridmonitoring.blockchain.genesis import ValidatorSet
from gridmonitoring.blockchain.ledger import Ledger, open_by, party_in_force, refuse, require_document
from gridmonitoring.blockchain.state_rows import (
    CommandKind,
    CopyRow,
    MeterRow,
    SilenceRow,
    Stage,
    SupplyPointRow,
    Table,
)
from gridmonitoring.blockchain.state_tree import RowProof, verify_row_hash
from gridmonitoring.blockchain.transactions import Transaction
from gridmonitoring.contracts.messages import Message
from gridmonitoring.contracts.violations import Violation
from gridmonitoring.encoding.bounds import Role
from gridmonitoring.encoding.cbor import encode
from gridmonitoring.encoding.hashes import sha256d
from gridmonitoring.errors import CheckpointError, MerkleError, Refused
from gridmonitoring.processing.conduct import conduct_of
from gridmonitoring.processing.findings import violate
from gridmonitoring.processing.rows import AgreementRow
from gridmonitoring.processing.threads import live_on, meter_of, order, tell

COPY_DOMAIN = "gridmon/copy/1"
"""Domain tag of a node's signature on what its copy of a row is."""
MAX_OPEN_COPIES = 64
"""Most differing copies of one node that wait to be healed; a file with more is reported as a whole."""
SILENT_INTERVALS = 3
"""Reporting intervals without a report after which a meter is silent."""
_TABLES = frozenset(int(table) for table in Table)


def copy_key(node: bytes, part: int, table: int, place: bytes) -> bytes:
    """Return the key of a differing copy's row."""
    return node + sha256d(encode([int(part), table, place]))[:16]


def copy_document(height: int, table: int, place: bytes, found: bytes) -> bytes:
    """Return what a node signs about its copy of a row at a height; `found` as in `CopyDiffers`."""
    return encode([height, table, place, found])


def silent_after(interval: int, future_bound: int) -> int:
    """Return how long after its last report a meter is silent, ms; no signed time is off by more."""
    return SILENT_INTERVALS * interval + future_bound


def report_copy(ledger: Ledger, transaction: Transaction) -> None:
    """Record that a node's copy differs: 1 what and whose, 2 its proof, 3 once, 4 thread and display.

    Raises `Refused` (unknown_signer, revoked_key, bad_place, no_difference, no_proof, bad_proof,
    bad_signature, document_mismatch, unknown_meter, already_recorded, too_many_copies).
    """
    payload = transaction.payload
    body: CopyDiffers = payload.body
    # 1
    accused = party_in_force(ledger, Role.NODE, body.node)
    if (body.part is Part.ROW) != (body.table in _TABLES) or (body.part is not Part.ROW and body.table):
        refuse("bad_place", "a row of the state has a table, anything else has none")
    if body.found == body.expected:
        refuse("no_difference", "the copy is said to be what it should be")
    # 2
    if body.proof is not None:
        _check_proof(ledger, body, body.proof, payload.signer, accused.sign_key)
    elif body.node != payload.signer:
        refuse("no_proof", "of another node's copy only what that node signed is believed")
    # 3
    key = copy_key(body.node, body.part, body.table, body.place)
    if ledger.view.get(Table.COPY, key) is not None:
        refuse("already_recorded", "this copy was reported and is not healed yet")
    conduct = conduct_of(ledger, body.node)
    if conduct.unhealed >= MAX_OPEN_COPIES:
        refuse("too_many_copies", f"{conduct.unhealed} copies of this node wait to be healed")
    mid = _whose(ledger, body)
    row = CopyRow(
        *(transaction.id, payload.signer, payload.time, body.part, body.table, body.place),
        *(mid, body.proof is not None),
    )
    ledger.view.put(Table.COPY, key, row)
    counted = replace(
        conduct, differing=conduct.differing + 1, unhealed=conduct.unhealed + 1, time=payload.time
    )
    ledger.view.put(Table.CONDUCT, body.node, counted)
    # 4
    if mid:
        meter = live_on(ledger, mid, transaction)
        meter = violate(ledger, transaction, mid, meter, Violation.COPY_DIFFERS, told=True)
        _alert(ledger, transaction, mid, meter, Message.COPY_ALTERED)


def _check_proof(ledger: Ledger, body: CopyDiffers, proof: CopyProof, signer: bytes, key: bytes) -> None:
    """Check what a report carries: 1 the quorum's note, 2 the row under it, 3 the node's own statement."""
    if body.part is not Part.ROW:
        refuse("bad_proof", "only rows of the state are proved")
    validators: ValidatorSet = ledger.view.get(Table.VALIDATORS, b"")
    try:
        # 1
        verify_quorum(proof.note, validators.powers(), ledger.check)
        checkpoint = decode_note(proof.note).checkpoint
        if checkpoint.origin != ledger.chain.genesis.origin():
            raise CheckpointError("the note is of another chain")
        # 2
        verify_row_hash(
            *(body.table, body.place, body.expected or None, RowProof(proof.bucket, proof.path)),
            *(checkpoint.state_root, ledger.parameters().bucket_bits),
        )
    except (CheckpointError, MerkleError) as error:
        raise Refused("bad_proof", str(error)) from error
    # 3
    if signer == body.node:
        if proof.statement:
            refuse("bad_proof", "a node that reports its own copy signs the report alone")
        return
    said = copy_document(checkpoint.height, body.table, body.place, body.found)
    require_document(said, open_by(ledger, key, COPY_DOMAIN, proof.statement), "statement of the copy")


def _whose(ledger: Ledger, body: CopyDiffers) -> bytes:
    """Return the meter whose data it is, or nothing; a row's key says it itself."""
    if body.part is not Part.ROW:
        if body.mid:
            meter_of(ledger, body.mid)
        return body.mid
    if body.mid:
        refuse("bad_place", "whose row it is, its key says")
    mid = body.place[:16]
    return mid if len(mid) == 16 and ledger.view.get(Table.METER, mid) is not None else b""


def heal_copy(ledger: Ledger, transaction: Transaction) -> None:
    """Record that a node put its own copy right; raises `Refused` (nothing_to_heal)."""
    payload = transaction.payload
    body: CopyHealed = payload.body
    key = copy_key(payload.signer, body.part, body.table, body.place)
    row: CopyRow | None = ledger.view.get(Table.COPY, key)
    if row is None:
        refuse("nothing_to_heal", "no such copy of this node was reported, or it was healed")
    ledger.view.delete(Table.COPY, key)
    conduct = conduct_of(ledger, payload.signer)
    counted = replace(conduct, healed=conduct.healed + 1, unhealed=conduct.unhealed - 1, time=payload.time)
    ledger.view.put(Table.CONDUCT, payload.signer, counted)
    if row.mid:
        meter = live_on(ledger, row.mid, transaction)
        told = Message.COPY_RESTORED
        meter = tell(ledger, row.mid, meter, told, transaction.id, payload.time, meter.state)
        _alert(ledger, transaction, row.mid, meter, told)


def report_silence(ledger: Ledger, transaction: Transaction) -> None:
    """Record that a meter is silent: 1 it should report, 2 this was its last, 3 long enough ago, 4 once.

    Raises `Refused` (unknown_meter, wrong_stage, has_reported, not_silent, already_recorded).
    """
    payload = transaction.payload
    body: MeterSilent = payload.body
    # 1
    meter = meter_of(ledger, body.mid)
    point: SupplyPointRow = ledger.view.get(Table.SUPPLY_POINT, body.mid)
    if point.stage != Stage.SUPPLIED:
        refuse("wrong_stage", f"meter {body.mid.hex()[:8]} is {point.stage.name.lower()}, not supplied")
    # 2
    if (body.epoch, body.sequence) != (meter.epoch, meter.sequence):
        refuse("has_reported", f"the last report of this meter is {meter.sequence} of epoch {meter.epoch}")
    # 3
    agreement: AgreementRow = ledger.view.get(Table.AGREEMENT, body.mid)
    bound = silent_after(agreement.agreement.reporting_interval_ms, ledger.parameters().future_bound)
    if payload.time <= meter.time + bound:
        refuse("not_silent", f"the last report is not more than {bound} ms old")
    # 4
    noticed: SilenceRow | None = ledger.view.get(Table.SILENCE, body.mid)
    if noticed is not None and (noticed.epoch, noticed.sequence) == (body.epoch, body.sequence):
        refuse("already_recorded", "this silence was noticed before")
    row = SilenceRow(body.epoch, body.sequence, meter.time, payload.time, payload.signer)
    ledger.view.put(Table.SILENCE, body.mid, row)
    meter = live_on(ledger, body.mid, transaction)
    meter = violate(ledger, transaction, body.mid, meter, Violation.SILENCE, told=True)
    _alert(ledger, transaction, body.mid, meter, Message.NOT_HEARD)


def _alert(ledger: Ledger, transaction: Transaction, mid: bytes, meter: MeterRow, message: Message) -> None:
    """Order a message to the meter's display and write the meter's row."""
    meter = order(ledger, mid, meter, CommandKind.MESSAGE, transaction, int(message))
    ledger.view.put(Table.METER, mid, meter)
