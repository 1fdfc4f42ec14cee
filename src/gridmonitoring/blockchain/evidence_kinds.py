"""What each kind of evidence must hold, no more and no less (docs/spec/evidence.md, steps 7 to 9).

Everything here is already known to be in the log or in the state under one checkpoint. Each function
carries the steps: 7 exactly the items of the kind, 8 signatures under keys in force at the log index,
9 what the items say of each other.

Left out: rules of the state, which the quorum applied; a bundle shows what was decided, by whom and
over which bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from gridmonitoring.blockchain.bodies import (
    PAYMENT_DOMAIN,
    REQUEST_DOMAIN,
    Accuse,
    AccuseExhibit,
    AppendSideBlock,
    Exhibit,
    Form,
    Kind,
    PaymentConfirmation,
    PurchaseRequest,
    Report,
    Settlement,
)
from gridmonitoring.blockchain.evidence_bill import (
    check_bill,
    read_account,
    read_agreement,
    read_agreement_row,
    succession,
)
from gridmonitoring.blockchain.evidence_blocks import (
    check_life,
    check_locked_form,
    check_message,
    locked_block,
)
from gridmonitoring.blockchain.evidence_bundle import EvidenceKind
from gridmonitoring.blockchain.evidence_contents import (
    Entry,
    Proven,
    RowKey,
    check_signer,
    device_of,
    open_document,
    party_of,
    require,
    require_items,
    step,
)
from gridmonitoring.blockchain.parent_block import parent_format
from gridmonitoring.blockchain.readings import reading_commitment
from gridmonitoring.blockchain.state_rows import CommandKind, CommandRow, LotRow, Table, height_key, party_key
from gridmonitoring.encoding.bounds import Role
from gridmonitoring.encoding.cbor import decode
from gridmonitoring.encoding.hashes import sha256d
from gridmonitoring.errors import Malformed
from gridmonitoring.keys.sealed_commands import DELIVERY_DOMAIN, read_delivery
from gridmonitoring.keys.signatures import split

MID_SIZE = 16
"""Bytes of a MID, which keys of rows begin with."""

B = TypeVar("B")


def check_reading(proven: Proven) -> None:
    """A report with its device's key; an opening only for a claim that hides its registers."""
    with step(7):
        entry, body = _first(proven, Report)
        hidden = not isinstance(body.reading, Settlement)
        require_items(proven, proven.transactions, [Kind.REPORT], [device_of(entry)], openings=int(hidden))
    with step(8):
        check_signer(proven, entry)
    with step(9):
        for opening in proven.openings:
            commitment = reading_commitment(opening.salt, opening.registers)
            require(commitment == body.reading, "salt and registers are not what the claim commits to")


def check_purchase(proven: Proven) -> None:
    """A form, whole, and its credit: a lot that is open, or the locked block."""
    with step(7):
        entry, body = _first(proven, Form)
        request = decode(split(body.request)[0], PurchaseRequest)
        payment = decode(split(body.confirmation)[0], PaymentConfirmation)
        payer: RowKey = (Table.PARTY, _party(request.payer_role, request.payer))
        vendor: RowKey = (Table.PARTY, _party(Role.VENDOR, payment.vendor))
        locked = len(proven.transactions) > 1
        credit = _one_row(proven, Table.BLOCK if locked else Table.LOT)
        rows = [*map(party_of, proven.transactions), payer, vendor, credit]
        require_items(proven, proven.transactions, [Kind.FORM, Kind.LOCK] if locked else [Kind.FORM], rows)
    with step(8):
        for signed in proven.transactions:
            check_signer(proven, signed)
        open_document(proven, payer, entry.index, REQUEST_DOMAIN, body.request)
        open_document(proven, vendor, entry.index, PAYMENT_DOMAIN, body.confirmation)
    with step(9):
        _check_form(proven, entry, request, payment)
        if locked:
            check_locked_form(proven, locked_block(proven), entry, request)
        else:
            _check_lot(proven, credit, entry, request, payment)


def check_block(proven: Proven) -> None:
    """A locked parent block, and every transaction of its life, which the header commits to."""
    with step(7):
        require(len(proven.transactions) > 1, "a block needs the transactions of its life, and its lock")
        *life, lock = proven.transactions
        rows = [party_of(lock), _one_row(proven, Table.BLOCK)]
        require_items(proven, [lock], [Kind.LOCK], rows)
    with step(8):
        check_signer(proven, lock)
    with step(9):
        check_life(proven, locked_block(proven), life)


def check_side_block(proven: Proven) -> None:
    """A side block, with the row of its parent's side blocks."""
    with step(7):
        entry, body = _first(proven, AppendSideBlock)
        parent: RowKey = (Table.SIDE, height_key(body.mid, body.height))
        require_items(proven, proven.transactions, [Kind.SIDE_BLOCK], [party_of(entry), parent])
    with step(8):
        check_signer(proven, entry)
    with step(9):
        check_message(proven, entry, parent)


def check_command(proven: Proven) -> None:
    """A command; one that brings a new script also brings the tariffs it is priced by."""
    with step(7):
        key = _one_row(proven, Table.COMMAND)
        command = proven.row(*key, CommandRow)
        tariffs: list[RowKey] = []
        if command.kind == CommandKind.SCRIPT:
            agreement = read_agreement(command.document)
            require(agreement.mid == key[1][:MID_SIZE], "the agreement is another meter's")
            tariffs = [(Table.TARIFF, tariff) for tariff, _ in succession(agreement.tariff, _tariffs(proven))]
        require_items(proven, proven.transactions, [], [key, *tariffs])


def check_statement(proven: Proven) -> None:
    """An account with its last statement."""
    with step(7):
        key = _one_row(proven, Table.ACCOUNT)
        require_items(proven, proven.transactions, [], [key])
    with step(9):
        read_account(proven.value(*key))


def check_priced_bill(proven: Proven) -> None:
    """A settlement, the statement that it led to, and the agreement and tariffs it is priced by."""
    with step(7):
        entry, body = _first(proven, Report)
        mid = entry.transaction.payload.signer
        agreement = read_agreement_row(proven.value(Table.AGREEMENT, mid))
        tariffs = succession(agreement.tariff, _tariffs(proven))
        rows: list[RowKey] = [device_of(entry), (Table.ACCOUNT, mid), (Table.AGREEMENT, mid)]
        rows += [(Table.TARIFF, tariff) for tariff, _ in tariffs]
        require_items(proven, proven.transactions, [Kind.REPORT], rows)
    with step(8):
        check_signer(proven, entry)
    with step(9):
        if not isinstance(body.reading, Settlement):
            raise Malformed("the report does not settle")
        statement = read_account(proven.value(Table.ACCOUNT, mid)).statement
        check_bill(entry.transaction.payload, body.reading, statement, agreement, tariffs)


def check_accusation(proven: Proven, holds: Callable[[bytes], bool]) -> None:
    """A logged accusation, and the accused node's key; `holds` tells whether a bundle proves anything."""
    with step(7):
        signed, kinds, mid = _accused_of(proven)
        *exhibits, entry = proven.transactions
        delivery = read_delivery(signed)
        accused: RowKey = (Table.PARTY, _party(Role.NODE, delivery.node))
        require_items(proven, proven.transactions, kinds, [*map(party_of, proven.transactions), accused])
    with step(8):
        for one in (*exhibits, entry):
            check_signer(proven, one)
        open_document(proven, accused, entry.index, DELIVERY_DOMAIN, signed)
    with step(9):
        require(delivery.mid == mid, "the delivery is for another meter")
        require(not holds(delivery.bundle), "a quorum signed what this node delivered")


def _accused_of(proven: Proven) -> tuple[bytes, list[Kind], bytes]:
    """Return the signed delivery, whole or joined from its parts, the types it takes, and the meter."""
    if len(proven.transactions) == 1:
        _, body = _first(proven, Accuse)
        return body.delivery, [Kind.ACCUSE], body.mid
    bodies = [entry.transaction.payload.body for entry in proven.transactions]
    last, parts = bodies[-1] if bodies else None, [one for one in bodies[:-1] if isinstance(one, Exhibit)]
    if not isinstance(last, AccuseExhibit) or len(parts) != len(bodies) - 1:
        raise Malformed("other transactions than this evidence needs")
    require(
        [(one.digest, one.number) for one in parts] == [(last.digest, n) for n in range(last.count)],
        "the parts are not those of the accusation, in order",
    )
    require(len({party_of(entry) for entry in proven.transactions}) == 1, "parts of several nodes")
    signed = b"".join([one.content for one in parts])
    require(sha256d(signed) == last.digest, "the parts are not the delivery")
    return signed, [*[Kind.EXHIBIT] * last.count, Kind.ACCUSE_EXHIBIT], last.mid


TOLD = (EvidenceKind.COMMAND, EvidenceKind.STATEMENT, EvidenceKind.BILL)
"""What a meter may be told."""

CHECKS: Mapping[EvidenceKind, Callable[[Proven], None]] = {
    EvidenceKind.READING: check_reading,
    EvidenceKind.PURCHASE: check_purchase,
    EvidenceKind.BLOCK: check_block,
    EvidenceKind.MESSAGE: check_side_block,
    EvidenceKind.COMMAND: check_command,
    EvidenceKind.STATEMENT: check_statement,
    EvidenceKind.BILL: check_priced_bill,
}
"""Kind -> its steps 7 to 9."""


def _first(proven: Proven, kind: type[B]) -> tuple[Entry, B]:
    """Return the first transaction and its body; raises `Malformed` where it is of another type."""
    if proven.transactions:
        entry = proven.transactions[0]
        if isinstance(entry.transaction.payload.body, kind):
            return entry, entry.transaction.payload.body
    raise Malformed("other transactions than this evidence needs")


def _one_row(proven: Proven, table: Table) -> RowKey:
    """Return the key of the only row of a table; raises `Malformed`."""
    keys = [row.key for row in proven.rows if row.table == table]
    require(len(keys) == 1, f"{len(keys)} rows of the table {table.name}, not one")
    return table, keys[0]


def _tariffs(proven: Proven) -> dict[bytes, bytes]:
    return {row.key: row.value for row in proven.rows if row.table == Table.TARIFF}


def _party(role: int, party: bytes) -> bytes:
    require(role in set(Role), "no such role")
    return party_key(role, party)


def _check_form(proven: Proven, entry: Entry, request: PurchaseRequest, payment: PaymentConfirmation) -> None:
    """Check what payer, vendor and node say against each other; raises `Malformed`."""
    payload = entry.transaction.payload
    body: Form = payload.body
    require(payment.request == sha256d(split(body.request)[0]), "the vendor confirmed another request")
    paid = (request.amount, request.currency)
    require((payment.amount, payment.currency) == paid, "the vendor confirmed another amount")
    require(request.currency == proven.genesis.currency, "the money is not this chain's")
    require(request.mid == body.mid, "the form is for another meter than the request")
    require(body.area == proven.genesis.area, "the form is for another area")
    require(max(request.time, payment.time) <= payload.time, "request or payment is signed after the form")


def _check_lot(
    proven: Proven, key: RowKey, entry: Entry, request: PurchaseRequest, payment: PaymentConfirmation
) -> None:
    """Check that a lot is this form's, and says of it what the form does; raises an `EncodingError`."""
    body: Form = entry.transaction.payload.body
    lot = proven.row(*key, LotRow)
    height = int.from_bytes(key[1][MID_SIZE : MID_SIZE + 8], "big")
    require(key[1] == height_key(body.mid, height), "the lot is another meter's")
    made = parent_format(proven.chain_id, body.mid, height, entry.transaction.id)
    require(
        (lot.form, lot.format, lot.log_size) == (entry.transaction.id, made, entry.index),
        "the lot is another form's",
    )
    require(
        (lot.ttp, lot.tpt, lot.node, lot.payer, lot.vendor, lot.amount)
        == (
            *(request.time, entry.transaction.payload.time, entry.transaction.payload.signer),
            *(request.payer, payment.vendor, request.amount),
        ),
        "the lot says something else of the purchase than the form",
    )
    said = (lot.energy, lot.tariff, lot.script, lot.dispatch, lot.replaces)
    form = (body.energy, body.tariff, body.script, body.dispatch, body.replaces)
    require(said == form, "the lot says something else of the form")
