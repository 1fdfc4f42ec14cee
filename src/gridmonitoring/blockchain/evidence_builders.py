"""Making evidence bundles: what `evidence` asks for, gathered from whoever has log and state.

A source is a node at one committed block, or its files; building draws nothing from elsewhere, and
each bundle is verified before it is returned, so what a source serves wrongly is an error here and
not at the reader's.

Left out: writing the file, and finding a block's transactions in the log, which the caller indexes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

from msgspec.structs import replace

from gridmonitoring.blockchain.bodies import (
    Accuse,
    AccuseExhibit,
    AccuseProposer,
    AppendSideBlock,
    Exhibit,
    Form,
    PaymentConfirmation,
    PurchaseRequest,
    Report,
)
from gridmonitoring.blockchain.checkpoint import decode_note
from gridmonitoring.blockchain.evidence import verify
from gridmonitoring.blockchain.evidence_bill import read_agreement, read_agreement_row, read_tariff_row
from gridmonitoring.blockchain.evidence_bundle import (
    Bundle,
    EvidenceKind,
    EvidenceRow,
    Handover,
    LoggedTransaction,
    Opening,
)
from gridmonitoring.blockchain.evidence_contents import RowKey, require, step
from gridmonitoring.blockchain.evidence_history import needed
from gridmonitoring.blockchain.genesis import chain_id, decode_genesis
from gridmonitoring.blockchain.state_rows import (
    BlockRow,
    CommandKind,
    CommandRow,
    PaymentRow,
    Table,
    device_key,
    height_key,
    party_key,
)
from gridmonitoring.blockchain.state_tree import RowProof
from gridmonitoring.blockchain.transactions import Payload, decode_payload
from gridmonitoring.encoding.bounds import Role
from gridmonitoring.encoding.cbor import PACKAGE_LIMIT, decode, encode
from gridmonitoring.errors import Malformed
from gridmonitoring.keys.sealed_commands import read_delivery
from gridmonitoring.keys.signatures import split

B = TypeVar("B")


class EvidenceSource(Protocol):
    """Log and state as of one checkpoint."""

    def genesis(self) -> bytes:
        """Return the genesis document."""
        ...

    def note(self) -> bytes:
        """Return the signed checkpoint with a minimal quorum; everything else is as of it."""
        ...

    def history(self) -> Sequence[Handover]:
        """Return every change of the validator set so far, oldest first; those not needed are left out."""
        ...

    def transaction(self, index: int) -> bytes:
        """Return the transaction at a log index, as logged."""
        ...

    def inclusion(self, index: int, size: int) -> Sequence[bytes]:
        """Return the inclusion proof of an index in the log's first `size` entries, lowest first."""
        ...

    def row(self, table: Table, key: bytes) -> tuple[bytes | None, RowProof]:
        """Return a row's encoded value, None where there is none, and its proof under the state root."""
        ...


def build_reading(source: EvidenceSource, index: int, opening: Opening | None = None) -> bytes:
    """Return evidence of the report at a log index, opened where it hides its registers.

    Raises `EvidenceError`, as all builders do, where source and log have no such thing.
    """
    with step(7):
        payload = _payload(source, index)
        body = _body(payload.body, Report)
        rows: list[RowKey] = [(Table.DEVICE, device_key(payload.signer, body.epoch))]
    return _bundle(source, EvidenceKind.READING, [index], rows, () if opening is None else (opening,))


def build_purchase(source: EvidenceSource, index: int) -> bytes:
    """Return evidence of the purchase whose form is at a log index, by its lot or its locked block."""
    with step(7):
        payload = _payload(source, index)
        body = _body(payload.body, Form)
        request = decode(split(body.request)[0], PurchaseRequest)
        payment = decode(split(body.confirmation)[0], PaymentConfirmation)
        rows = [
            _party(payload.role, payload.signer),
            _party(request.payer_role, request.payer),
            _party(Role.VENDOR, payment.vendor),
        ]
        paid = decode(_value(source, Table.PAYMENT, payment.vendor + payment.reference), PaymentRow)
        credit = height_key(body.mid, paid.height)
        if source.row(Table.LOT, credit)[0] is not None:
            rows.append((Table.LOT, credit))
            return _bundle(source, EvidenceKind.PURCHASE, [index], rows)
        lock = _lock_index(source, credit)
        rows += [(Table.BLOCK, credit), _signer(source, lock)]
    return _bundle(source, EvidenceKind.PURCHASE, [index, lock], rows)


def build_block(source: EvidenceSource, mid: bytes, height: int, life: Iterable[int]) -> bytes:
    """Return evidence of a locked parent block; `life` are the log indices of its transactions."""
    with step(7):
        key = height_key(mid, height)
        lock = _lock_index(source, key)
        rows = [(Table.BLOCK, key), _signer(source, lock)]
    return _bundle(source, EvidenceKind.BLOCK, [*life, lock], rows)


def build_message(source: EvidenceSource, index: int) -> bytes:
    """Return evidence of the side block that the transaction at a log index appended."""
    with step(7):
        payload = _payload(source, index)
        body = _body(payload.body, AppendSideBlock)
        rows = [_signer(source, index), (Table.SIDE, height_key(body.mid, body.height))]
    return _bundle(source, EvidenceKind.MESSAGE, [index], rows)


def build_command(source: EvidenceSource, mid: bytes, number: int) -> bytes:
    """Return evidence of a meter's command: what the meter is to obey."""
    with step(7):
        key = height_key(mid, number)
        command = decode(_value(source, Table.COMMAND, key), CommandRow, PACKAGE_LIMIT)
        rows: list[RowKey] = [(Table.COMMAND, key)]
        if command.kind == CommandKind.SCRIPT:
            rows += _succession(source, read_agreement(command.document).tariff)
    return _bundle(source, EvidenceKind.COMMAND, [], rows)


def build_statement(source: EvidenceSource, mid: bytes) -> bytes:
    """Return evidence of a meter's account and last statement."""
    return _bundle(source, EvidenceKind.STATEMENT, [], [(Table.ACCOUNT, mid)])


def build_bill(source: EvidenceSource, index: int) -> bytes:
    """Return evidence of the bill of the settlement at a log index, the last of its meter so far."""
    with step(7):
        payload = _payload(source, index)
        body = _body(payload.body, Report)
        mid = payload.signer
        agreement = read_agreement_row(_value(source, Table.AGREEMENT, mid))
        rows: list[RowKey] = [
            (Table.DEVICE, device_key(mid, body.epoch)),
            (Table.ACCOUNT, mid),
            (Table.AGREEMENT, mid),
            *_succession(source, agreement.tariff),
        ]
    return _bundle(source, EvidenceKind.BILL, [index], rows)


def build_accusation(source: EvidenceSource, index: int) -> bytes:
    """Return evidence of the accusation at a log index."""
    with step(7):
        said = _payload(source, index).body
        rows = [_signer(source, index)]
        if isinstance(said, AccuseProposer):
            return _bundle(source, EvidenceKind.ACCUSATION, [index], rows, carried=(said.note,))
        parts: list[tuple[int, bytes]] = []
        if isinstance(said, AccuseExhibit):
            parts = _parts(source, index, rows[0], said)
        signed = b"".join([part for _, part in parts]) if parts else _body(said, Accuse).delivery
        rows.append(_party(Role.NODE, read_delivery(signed).node))
    return _bundle(source, EvidenceKind.ACCUSATION, [*[at for at, _ in parts], index], rows)


def _parts(
    source: EvidenceSource, index: int, signer: RowKey, accusation: AccuseExhibit
) -> list[tuple[int, bytes]]:
    """Return (log index, content) of the parts that a node logged before its accusation, in order."""
    found: dict[int, tuple[int, bytes]] = {}
    at, wanted = index, accusation.count - 1
    while at and wanted >= 0:
        at -= 1
        said = _payload(source, at).body
        if isinstance(said, Exhibit) and _signer(source, at) == signer and said.number == wanted:
            require(said.digest == accusation.digest, "the parts are not those of the accusation")
            found[wanted] = (at, said.content)
            wanted -= 1
    require(wanted < 0, "the log lacks parts of the accusation")
    return [found[number] for number in range(accusation.count)]


def _bundle(
    source: EvidenceSource,
    kind: EvidenceKind,
    indices: Iterable[int],
    rows: Iterable[RowKey],
    openings: tuple[Opening, ...] = (),
    carried: tuple[bytes, ...] = (),
) -> bytes:
    """Return the encoded bundle of these items, verified; `carried` are checkpoints inside them."""
    note, genesis = source.note(), source.genesis()
    with step(4):
        size = decode_note(note).checkpoint.size
    with step(7):
        bundle = Bundle(
            kind,
            chain_id(genesis),
            (),
            note,
            tuple(_logged(source, index, size) for index in sorted(set(indices))),
            tuple(_proved(source, *row) for row in sorted(set(rows))),
            openings,
        )
    with step(3):
        history = needed(decode_genesis(genesis), list(source.history()), note, carried)
        encoded = encode(replace(bundle, history=history))
    verify(encoded, genesis)
    return encoded


def _logged(source: EvidenceSource, index: int, size: int) -> LoggedTransaction:
    require(0 <= index < size, f"the log has no entry {index}")
    return LoggedTransaction(index, source.transaction(index), tuple(source.inclusion(index, size)))


def _proved(source: EvidenceSource, table: Table, key: bytes) -> EvidenceRow:
    value, proof = source.row(table, key)
    if value is None:
        raise Malformed(f"the state has no row {table.name} {key.hex()}")
    return EvidenceRow(table, key, value, proof.bucket, proof.path)


def _value(source: EvidenceSource, table: Table, key: bytes) -> bytes:
    value, _ = source.row(table, key)
    if value is None:
        raise Malformed(f"the state has no row {table.name} {key.hex()}")
    return value


def _payload(source: EvidenceSource, index: int) -> Payload[object]:
    size = decode_note(source.note()).checkpoint.size
    require(0 <= index < size, f"the log has no entry {index}")
    return decode_payload(split(source.transaction(index))[0])


def _body(body: object, kind: type[B]) -> B:
    if not isinstance(body, kind):
        raise Malformed(f"the log entry is no {kind.__name__}")
    return body


def _party(role: int, party: bytes) -> RowKey:
    return Table.PARTY, party_key(role, party)


def _signer(source: EvidenceSource, index: int) -> RowKey:
    payload = _payload(source, index)
    return _party(payload.role, payload.signer)


def _lock_index(source: EvidenceSource, key: bytes) -> int:
    return decode(_value(source, Table.BLOCK, key), BlockRow).index


def _succession(source: EvidenceSource, first: bytes) -> list[RowKey]:
    """Return the rows of a tariff and all that followed it."""
    rows: list[RowKey] = []
    key = first
    while key:
        rows.append((Table.TARIFF, key))
        key = read_tariff_row(key, _value(source, Table.TARIFF, key)).successor
    return rows
