"""Forensics of a copy that differs: which node, block, field, what it was by quorum, since when (paper V-B).

A report is plain data, written as JSON and as text. Where it is about a row of the state it is evidence: it
carries the row as it should be with its path to a checkpoint that a quorum signed, and the handovers of
validators from genesis on, so that `verify_report` needs the genesis document alone.

Left out: who altered it, which no ledger knows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec
from msgspec import Struct

from gridmonitoring.blockchain.checkpoint import decode_note
from gridmonitoring.blockchain.genesis import decode_genesis
from gridmonitoring.blockchain.state_rows import Table
from gridmonitoring.blockchain.state_tree import RowProof, verify_row
from gridmonitoring.encoding.cbor import decode
from gridmonitoring.encoding.hashes import sha256
from gridmonitoring.errors import (
    CheckpointError,
    EncodingError,
    EvidenceError,
    MerkleError,
    StorageError,
    UserError,
)
from gridmonitoring.processing.rows import decode_row
from gridmonitoring.runtime.consensus.validator_history import ValidatorHistory
from gridmonitoring.runtime.findings import show
from gridmonitoring.runtime.state_check import leaves
from gridmonitoring.runtime.storage.tables import Values
from gridmonitoring.runtime.storage.truth import BlockHeader

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "meta": ("name", "value"),
    "block": ("height", "header", "transactions", "note"),
    "start": ("first", "height"),
    "tile": ("level", "number", "hashes"),
    "row": ("table", "key", "value"),
    "segment": ("number", "ids"),
    "handover": ("height", "value"),
    "detail": ("position", "mid", "time", "ciphertext"),
    "channel": ("id", "offer"),
    "wrapped": ("mid", "epoch", "period", "recipient", "box"),
}
"""Columns of each table of the files."""


class FieldDifference(Struct, frozen=True):
    """One field that differs."""

    name: str
    """Its name, of nested ones the path; a byte of what cannot be read."""
    found: str
    """What the node has."""
    expected: str
    """What it was by quorum."""


class Since(Struct, frozen=True):
    """Since when."""

    good_pass: int
    """The last pass of the monitor in which nothing of the node was suspected, 0 where there was none."""
    good_height: int
    """The block that it went up to."""
    good_time: int
    """When it began, ms; the copy was right at some time after this."""
    found_height: int
    """Last block when the difference was found."""
    found_time: int
    """When it was found, ms."""


class Proof(Struct, frozen=True):
    """What a row was by quorum; bytes in hex."""

    height: int
    """Consensus block."""
    note: str
    """Checkpoint after it, signed by a quorum."""
    value: str | None
    """Encoded value of the row, or None where the state has none."""
    bucket: str
    """Content of its bucket of the state tree."""
    path: tuple[str, ...]
    """Siblings up to the state root."""
    handovers: tuple[tuple[int, str], ...]
    """(height, handover) of each change of the validator set."""


class ForensicReport(Struct, frozen=True, tag="forensic-report/1"):
    """All that is known of one copy that differs; bytes in hex."""

    chain: str
    """Chain ID."""
    node: str
    """The validator whose copy it is."""
    part: str
    """Part of its files."""
    table: str
    """Table of a row of the state, else empty."""
    place: str
    """Key of a row of the state, else empty."""
    key: str
    """Key within the part, readable."""
    meter: str
    """Meter ID of the data, or empty."""
    block: str
    """Which block it belongs to, in words."""
    fields: tuple[FieldDifference, ...]
    """Fields that differ."""
    found: str
    """What is there, in short."""
    expected: str
    """What should be, in short."""
    found_hash: str
    """SHA-256 of what is there, empty where nothing is."""
    expected_hash: str
    """SHA-256 of what should be, empty where nothing should."""
    altered: str | None
    """The altered value of a row itself, where it is not long."""
    proof: Proof | None
    """What it was by quorum; None where the log or the other nodes say it, not a root."""
    since: Since
    """Since when."""
    transaction: str = ""
    """ID of the transaction that reported it, empty where it could not be recorded."""
    healed: tuple[str, ...] = ()
    """What was done to put it right."""


def differences(
    name: str, place: Values, found: Values | None, expected: Values | None
) -> Iterator[FieldDifference]:
    """Yield the fields that differ between two stored rows of a table, decoded where both can be."""
    if found is None or expected is None:
        return
    columns = COLUMNS[name][len(place) :]
    for column, ours, theirs in zip(columns, found[len(place) :], expected[len(place) :], strict=True):
        if ours != theirs:
            yield from _column(name, column, place, ours, theirs)


def _column(
    name: str, column: str, place: Values, found: object, expected: object
) -> Iterator[FieldDifference]:
    ours, theirs = _decoded(name, column, place, found), _decoded(name, column, place, expected)
    if ours is not None and theirs is not None and ours != theirs:
        for field in [*theirs, *(field for field in ours if field not in theirs)]:
            if ours.get(field) != theirs.get(field):
                yield FieldDifference(field, ours.get(field, "missing"), theirs.get(field, "missing"))
    elif isinstance(found, bytes) and isinstance(expected, bytes):
        at = next(
            (n for n, (one, other) in enumerate(zip(found, expected, strict=False)) if one != other),
            min(len(found), len(expected)),
        )
        within = f"{column}, byte {at}"
        yield FieldDifference(within, found[at : at + 1].hex() or "end", expected[at : at + 1].hex() or "end")
    else:
        yield FieldDifference(column, show((found,)), show((expected,)))


def _decoded(name: str, column: str, place: Values, value: object) -> dict[str, str] | None:
    """Return the fields of a stored column, or None where it has none or cannot be read."""
    if not isinstance(value, bytes):
        return None
    try:
        if name == "row":
            return dict(leaves("", decode_row(place[0], value)))
        if column == "header":
            return dict(leaves("header", decode(value, BlockHeader)))
        if column == "note":
            lines = value.decode("ascii", "replace").splitlines()
            return {f"note, line {number}": line for number, line in enumerate(lines, 1)}
    except (EncodingError, ValueError, KeyError):
        return None
    return None


# reading and verifying


def decode_report(content: bytes) -> ForensicReport:
    """Read a report; raises `UserError` where it is none."""
    try:
        return msgspec.json.decode(content, type=ForensicReport)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UserError(f"no forensic report: {error}") from error


def encode_report(report: ForensicReport) -> bytes:
    """Return a report as JSON."""
    return msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n"


def verify_report(report: ForensicReport, document: bytes) -> None:
    """Verify what a report proves, with the genesis document alone.

    1 it carries a proof and is of this chain; 2 validator sets along the handovers; 3 the checkpoint's
    quorum; 4 the row under it; 5 the value that it calls altered is another; 6 the fields are those that
    differ. Raises `EvidenceError`, which has the step.
    """
    step = 1
    try:
        proof = report.proof
        genesis = decode_genesis(document)
        if proof is None or bytes.fromhex(report.chain) != sha256(sha256(document)):
            raise MerkleError("the report proves nothing, or is of another chain")
        step = 2
        history = ValidatorHistory(genesis)
        history.follow((height, bytes.fromhex(stored)) for height, stored in proof.handovers)
        step = 3
        note = bytes.fromhex(proof.note)
        history.require_quorum(proof.height, note)
        checkpoint = decode_note(note).checkpoint
        if (checkpoint.origin, checkpoint.height) != (genesis.origin(), proof.height):
            raise CheckpointError("the note is of another chain or block")
        step = 4
        table, key = Table[report.table.upper()], bytes.fromhex(report.place)
        value = None if proof.value is None else bytes.fromhex(proof.value)
        path = RowProof(bytes.fromhex(proof.bucket), tuple(bytes.fromhex(item) for item in proof.path))
        verify_row(table, key, value, path, checkpoint.state_root, genesis.parameters.bucket_bits)
        step = 5
        altered = None if report.altered is None else bytes.fromhex(report.altered)
        _require_difference(report, altered, value)
        step = 6
        _require_fields(report, (table, key), altered, value)
    except (EncodingError, CheckpointError, MerkleError, StorageError, ValueError, KeyError) as error:
        raise EvidenceError(step, str(error)) from error


def _require_difference(report: ForensicReport, altered: bytes | None, value: bytes | None) -> None:
    found = b"" if altered is None else sha256(altered)
    expected = b"" if value is None else sha256(value)
    if report.expected_hash != expected.hex() or report.found_hash == report.expected_hash:
        raise MerkleError("what it expects is not what the quorum signed, or nothing differs")
    if altered is not None and report.found_hash != found.hex():
        raise MerkleError("the altered value is not the one of the report's hash")


def _require_fields(
    report: ForensicReport, place: Values, altered: bytes | None, value: bytes | None
) -> None:
    if altered is None or value is None:
        return
    expected = tuple(differences("row", place, (*place, altered), (*place, value)))
    if report.fields != expected:
        raise MerkleError("the fields are not those in which the two values differ")


def report_lines(report: ForensicReport, times: Sequence[str]) -> list[tuple[str, str]]:
    """Return a report as names and values for people; `times` are those of `since`, good and found."""
    rows = [
        ("node", report.node),
        ("part", " ".join(item for item in (report.part, report.table, report.key) if item)),
        ("block", report.block),
    ]
    rows += [("meter", report.meter)] if report.meter else []
    rows += [(f"field {one.name}", f"is {one.found}, was {one.expected}") for one in report.fields]
    if not report.fields:
        rows.append(("content", f"is {report.found}, should be {report.expected}"))
    since = report.since
    good = (
        f"pass {since.good_pass} of {times[0]}, up to block {since.good_height}"
        if since.good_pass
        else "no pass yet"
    )
    rows += [("last found good in", good), ("found", f"{times[1]}, at block {since.found_height}")]
    proof = report.proof
    signed = f"checkpoint of block {proof.height}, signed by {', '.join(_signers(proof))}" if proof else ""
    rows.append(("by quorum", signed or "what the log and the other nodes have"))
    rows.append(("recorded in", report.transaction or "not recorded"))
    rows += [("healed", action) for action in report.healed] or [("healed", "not yet")]
    return rows


def _signers(proof: Proof) -> list[str]:
    return [line.name for line in decode_note(bytes.fromhex(proof.note)).signatures]
