"""Examining a copy that differs, for its forensic report (paper V-B): what it is about, and its proof.

Left out: confirming that it differs (`incidents`), and verifying a report (`forensics`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gridmonitoring.blockchain.bodies import Part
from gridmonitoring.blockchain.state_rows import Table
from gridmonitoring.blockchain.state_tree import row_key_hash
from gridmonitoring.encoding.hashes import sha256
from gridmonitoring.errors import StorageError
from gridmonitoring.runtime.consensus.application import Application
from gridmonitoring.runtime.findings import Finding
from gridmonitoring.runtime.forensics import ForensicReport, Proof, Since, differences
from gridmonitoring.runtime.reference import digest
from gridmonitoring.runtime.storage.tables import SHAPES, StoredFile, Values

if TYPE_CHECKING:
    from gridmonitoring.runtime.monitoring import PassRecord

LONGEST_VALUE = 4096
"""Longest altered value that a report quotes in full, bytes."""


def examine(
    finding: Finding,
    stored: StoredFile | None,
    witness: Application | None,
    chain: bytes,
    last_good: PassRecord | None,
    now: tuple[int, int],
) -> ForensicReport:
    """Examine one finding: `stored` the node's file with it, `witness` another node, `now` (height, ms)."""
    name, _, table = finding.table.partition(".")
    found = _stored(finding, name, stored)
    expected = finding.content
    part = Part[name.upper()] if name in SHAPES else Part.FILE
    is_row = part is Part.ROW and len(finding.place) == 2 and isinstance(finding.place[1], bytes)
    good = last_good
    return ForensicReport(
        chain=chain.hex(),
        node=finding.node,
        part=part.name.lower(),
        table=table,
        place=finding.place[1].hex() if is_row else "",
        key=finding.key,
        meter=meter_of(part, finding, expected or found, witness).hex(),
        block=_block_of(part, finding, witness),
        fields=tuple(differences(name, finding.place, found, expected)),
        found=finding.found,
        expected=finding.expected,
        found_hash=value_hash(part, found).hex(),
        expected_hash=value_hash(part, expected).hex(),
        altered=_quoted(part, found),
        proof=_proof(finding, witness) if is_row else None,
        since=Since(
            *((good.number, good.height, good.began) if good else (0, 0, 0)),
            *now,
        ),
    )


def _stored(finding: Finding, name: str, file: StoredFile | None) -> Values | None:
    """Return the stored row that a finding is about, as it is now."""
    if file is None or name not in SHAPES or not finding.place:
        return None
    sql = SHAPES[name].delete.replace("DELETE", "SELECT *", 1)
    try:
        return next(file.scan(sql, *finding.place), None)
    except StorageError:
        return None


def value_hash(part: Part, row: Values | None) -> bytes:
    """Return the SHA-256 of a row's value, of other parts the digest of their columns; empty for none."""
    if row is None:
        return b""
    if part is Part.ROW and isinstance(row[2], bytes):
        return sha256(row[2])
    return digest(list(row))


def _quoted(part: Part, row: Values | None) -> str | None:
    if part is not Part.ROW or row is None or not isinstance(row[2], bytes) or len(row[2]) > LONGEST_VALUE:
        return None
    return row[2].hex()


def meter_of(part: Part, finding: Finding, row: Values | None, witness: Application | None) -> bytes:
    """Return the meter whose data a finding is about, or nothing."""
    mid: object = b""
    if part is Part.ROW and len(finding.place) == 2:
        mid = finding.place[1][:16] if isinstance(finding.place[1], bytes) else b""
    elif part is Part.DETAIL and row is not None:
        mid = row[1]
    elif part is Part.WRAPPED and finding.place:
        mid = finding.place[0]
    if witness is None or not isinstance(mid, bytes) or len(mid) != 16:
        return b""
    return mid if witness.truth.row(Table.METER, mid) is not None else b""


def _block_of(part: Part, finding: Finding, witness: Application | None) -> str:
    """Return in words which block a finding is about."""
    if part is Part.ROW and len(finding.place) == 2:
        table, key = finding.place
        if table in (Table.LOT, Table.BLOCK, Table.SIDE, Table.DUE) and len(key) == 24:
            return f"block {int.from_bytes(key[16:], 'big')} of thread {key[:16].hex()}"
        return "the state"
    if part in (Part.BLOCK, Part.HANDOVER):
        return f"consensus block {finding.key}"
    if part in (Part.DETAIL, Part.START) and witness is not None and finding.place:
        block = witness.truth.block_at(finding.place[0]) if isinstance(finding.place[0], int) else None
        return f"consensus block {block.header.height}" if block else "no block"
    return "the log" if part in (Part.TILE, Part.SEGMENT) else ""


def _proof(finding: Finding, witness: Application | None) -> Proof | None:
    """Return the row as another node has it, with its path to the last checkpoint."""
    if witness is None or finding.place[0] not in set(Table):
        return None
    table, key = finding.place
    block, value = witness.truth.block(witness.height), witness.truth.row(table, key)
    if block is None:
        return None
    proof = witness.tree.prove(row_key_hash(table, key))
    return Proof(
        witness.height,
        block.note.hex(),
        None if value is None else value.hex(),
        proof.bucket.hex(),
        tuple(item.hex() for item in proof.path),
        tuple((height, stored.hex()) for height, stored in witness.truth.handovers()),
    )
