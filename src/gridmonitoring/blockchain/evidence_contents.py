"""What a bundle's proofs leave to look at: entries of the log and rows of the state, under one checkpoint.

Also the tools that the checks of all kinds share: exactly which items, and whose key was in force where.

Left out: the kinds themselves (`evidence_kinds`) and the proofs (`evidence`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple, TypeVar

from msgspec import Struct

from gridmonitoring.blockchain.bodies import Kind
from gridmonitoring.blockchain.checkpoint import Checkpoint
from gridmonitoring.blockchain.evidence_bundle import EvidenceKind, Opening
from gridmonitoring.blockchain.genesis import Genesis
from gridmonitoring.blockchain.state_rows import DeviceRow, PartyRow, Table, device_key, party_key
from gridmonitoring.blockchain.transactions import Transaction
from gridmonitoring.encoding.bounds import Role
from gridmonitoring.encoding.cbor import PACKAGE_LIMIT, decode
from gridmonitoring.errors import BadSignature, EvidenceError, GridMonitoringError, Malformed
from gridmonitoring.keys.signatures import open_signed, signing_context, verify_signature

SIGNERS = {
    Kind.FORM: Role.NODE,
    Kind.REPORT: Role.METER,
    Kind.LOCK: Role.NODE,
    Kind.SIDE_BLOCK: Role.NODE,
    Kind.ACCUSE: Role.NODE,
    Kind.ACCUSE_PROPOSER: Role.NODE,
    Kind.EXHIBIT: Role.NODE,
    Kind.ACCUSE_EXHIBIT: Role.NODE,
}
"""Role in which each type of transaction is signed that evidence is made of."""

T = TypeVar("T")

RowKey = tuple[Table, bytes]
"""(table, key)."""


class Entry(Struct, frozen=True):
    """A transaction that is in the log."""

    index: int
    """Log index."""
    transaction: Transaction
    """Decoded; of a block's life only those are verified whose signature says more than the log does."""


class ProvenRow(NamedTuple):
    """A row that is in the state."""

    table: Table
    """Table."""
    key: bytes
    """Key."""
    value: bytes
    """Encoded value; `processing.rows` knows every table's type."""


class Proven(Struct, frozen=True):
    """What a bundle proves."""

    kind: EvidenceKind
    """What it is evidence of."""
    chain_id: bytes
    """sha256d of the genesis document."""
    genesis: Genesis
    """The genesis document."""
    checkpoint: Checkpoint
    """Checkpoint that log and state are proved under."""
    transactions: tuple[Entry, ...]
    """In order of log index."""
    rows: tuple[ProvenRow, ...]
    """In order of table, then key."""
    openings: tuple[Opening, ...]
    """READING of an interval claim: its registers, where they were opened."""

    def value(self, table: Table, key: bytes) -> bytes:
        """Return the encoded value of a row; raises `Malformed` where the bundle lacks it."""
        for row in self.rows:
            if (row.table, row.key) == (table, key):
                return row.value
        raise Malformed(f"the bundle lacks the row {table.name} {key.hex()}")

    def row(self, table: Table, key: bytes, kind: type[T]) -> T:
        """Return the value of a row; raises an `EncodingError`."""
        return decode(self.value(table, key), kind, PACKAGE_LIMIT)


@contextmanager
def step(number: int) -> Iterator[None]:
    """Name the step in which anything inside fails, as `EvidenceError`."""
    try:
        yield
    except EvidenceError:
        raise
    except GridMonitoringError as error:
        raise EvidenceError(number, str(error)) from error


def require(holds: bool, otherwise: str) -> None:
    """Raise `Malformed` unless a condition holds."""
    if not holds:
        raise Malformed(otherwise)


def require_items(
    proven: Proven, signed: Sequence[Entry], kinds: Sequence[Kind], rows: Iterable[RowKey], openings: int = 0
) -> None:
    """Require that `signed` are of these types, each in its role, and exactly these rows and openings.

    Raises `Malformed`.
    """
    payloads = [entry.transaction.payload for entry in signed]
    require(
        [payload.kind for payload in payloads] == list(kinds), "other transactions than this evidence needs"
    )
    for payload, kind in zip(payloads, kinds, strict=True):
        require(payload.role == SIGNERS[kind], f"a {kind.name} is not signed in the role {payload.role.name}")
    require([row[:2] for row in proven.rows] == sorted(set(rows)), "other rows than this evidence needs")
    require(len(proven.openings) <= openings, "an opening that there is no hash for")


def party_of(entry: Entry) -> RowKey:
    """Return the row that holds the keys of an entry's signer, where that is no meter."""
    payload = entry.transaction.payload
    return Table.PARTY, party_key(payload.role, payload.signer)


def device_of(entry: Entry) -> RowKey:
    """Return the row that holds the keys of a report's signer."""
    payload = entry.transaction.payload
    return Table.DEVICE, device_key(payload.signer, payload.body.epoch)


def key_at(row: PartyRow | DeviceRow, index: int) -> bytes:
    """Return the signing key that was in force at a log index; raises `BadSignature` where none was."""
    for former in row.former:
        if former.since <= index < former.until:
            return former.sign_key
    if row.sign_key and row.since <= index:
        return row.sign_key
    raise BadSignature(f"no key of the signer was in force at log entry {index}")


def party_key_at(proven: Proven, row: RowKey, index: int) -> bytes:
    """Return a party's key in force at a log index; raises an `EncodingError` or `BadSignature`."""
    return key_at(proven.row(*row, PartyRow), index)


def check_signer(proven: Proven, entry: Entry) -> None:
    """Check an entry's envelope under its signer's key at that place of the log.

    Raises an `EncodingError` or `BadSignature`.
    """
    if entry.transaction.payload.role == Role.METER:
        key = key_at(proven.row(*device_of(entry), DeviceRow), entry.index)
    else:
        key = party_key_at(proven, party_of(entry), entry.index)
    verify_signature(key, entry.transaction.signed, entry.transaction.signature)


def open_document(proven: Proven, signer: RowKey, index: int, domain: str, document: bytes) -> bytes:
    """Return what a party signed inside a transaction; raises an `EncodingError` or `BadSignature`."""
    key = party_key_at(proven, signer, index)
    return open_signed(document, key, signing_context(domain, proven.chain_id), verify_signature)
