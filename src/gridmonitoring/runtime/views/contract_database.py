"""The contract database, to be queried: every message, violation, action and receipt (paper II-A, III-A-5).

For whoever investigates a breach of terms: what happened, per meter, type and time. Filled from the side
blocks of the log, the messages that wait for one, and the rows of findings. It can be dropped and rebuilt
from the truth at any time, and nothing is decided from it.

Left out: proof. What is found names its side block's place in the log, of which a bundle can be made.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
from msgspec import Struct

from gridmonitoring.blockchain.bodies import AppendSideBlock
from gridmonitoring.blockchain.side_block import Entry, decode_side
from gridmonitoring.blockchain.state_rows import EntryKind, FindingRow, MessageRow, Table
from gridmonitoring.blockchain.transactions import decode_payload
from gridmonitoring.encoding.bounds import Bytes16, Signed, Unsigned
from gridmonitoring.encoding.cbor import PACKAGE_LIMIT, decode, encode
from gridmonitoring.errors import StorageError
from gridmonitoring.keys.signatures import split
from gridmonitoring.runtime.consensus.application import Application
from gridmonitoring.runtime.storage.database import open_database
from gridmonitoring.runtime.storage.truth import decode_body

MID_SIZE = 16
"""Bytes of a meter ID, with which keys of rows begin."""
WAITING = -1
"""Stands in the place of a log index while a message waits for its side block."""
SCHEMA = """
CREATE TABLE IF NOT EXISTS progress (height INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS message (
    mid BLOB NOT NULL, number INTEGER NOT NULL, kind INTEGER NOT NULL, violation INTEGER NOT NULL,
    time INTEGER NOT NULL, entry INTEGER NOT NULL, content BLOB NOT NULL, finding BLOB,
    PRIMARY KEY (mid, number)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_type ON message (violation, time);
CREATE INDEX IF NOT EXISTS by_time ON message (time);
"""


class Recorded(Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """One entry of the contract database."""

    mid: Bytes16
    """Meter ID."""
    number: Unsigned
    """Number of the message, and of the finding."""
    index: Signed
    """Log index of the side block that holds it, -1 while it waits for one."""
    message: MessageRow
    """The message as the side block has it."""
    finding: FindingRow | None
    """Of a violation the finding as it is now: count, receipt, dispute."""


class Query(Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """What to look for."""

    mid: bytes = b""
    """Meter ID, empty for all."""
    number: Unsigned = 0
    """Number, 0 for all."""
    violations: bool = False
    """Only violations."""
    violation: Unsigned = 0
    """TVLN, 0 for all."""
    since: Unsigned = 0
    """Earliest time, ms."""
    until: Unsigned = 2**63 - 1
    """Latest time, ms."""
    limit: Unsigned = 500
    """Most entries, the newest first."""


class ContractDatabase:
    """The view in one file."""

    def __init__(self, path: Path) -> None:
        """Open or make it; raises `StorageError`."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = open_database(path, SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def clear(self) -> None:
        """Forget everything."""
        with self._transaction():
            self._connection.execute("DELETE FROM message")
            self._connection.execute("DELETE FROM progress")

    def follow(self, application: Application) -> int:
        """Take in what the truth has beyond what is known; return how many entries there are.

        Raises `StorageError`.
        """
        height = next(iter(self._rows("SELECT max(height) FROM progress")))[0] or 0
        if height > application.height:
            self.clear()  # it is of another past
            height = 0
        if height < application.height or not height:
            with self._transaction():
                self._take(application, height)
        return int(next(iter(self._rows("SELECT count(*) FROM message")))[0])

    def find(self, query: Query) -> list[Recorded]:
        """Return what a query finds, the newest first."""
        sql = (
            "SELECT mid, number, entry, content, finding FROM message WHERE (?1 = x'' OR mid = ?1)"
            " AND (?2 = 0 OR number = ?2) AND (?3 = 0 OR kind = ?3) AND (?4 = 0 OR violation = ?4)"
            " AND time BETWEEN ?5 AND ?6 ORDER BY time DESC, number DESC LIMIT ?7"
        )
        kind = int(EntryKind.VIOLATION) if query.violations else 0
        found = self._rows(
            *(sql, query.mid, query.number, kind, query.violation, query.since, query.until, query.limit)
        )
        return [_recorded(*row) for row in found]

    def _take(self, application: Application, height: int) -> None:
        for block in application.truth.blocks(height + 1):
            for offset, raw in enumerate(decode_body(block.body)):
                payload = decode_payload(split(raw)[0])
                if isinstance(payload.body, AppendSideBlock):
                    side = decode_side(payload.body.block)
                    for entry in side.body.entries:
                        self._put(payload.body.mid, entry, block.header.first + offset)
        self._connection.execute("DELETE FROM message WHERE entry = ?", (WAITING,))
        for key, _ in application.truth.rows_of(Table.MESSAGE):
            message: MessageRow = application.read((Table.MESSAGE, key))
            self._put(key[:MID_SIZE], Entry(int.from_bytes(key[MID_SIZE:], "big"), message), WAITING)
        for key, _ in application.truth.rows_of(Table.FINDING):
            finding: FindingRow = application.read((Table.FINDING, key))
            self._connection.execute(
                "UPDATE message SET finding = ? WHERE mid = ? AND number = ?",
                (encode(finding), key[:MID_SIZE], int.from_bytes(key[MID_SIZE:], "big")),
            )
        self._connection.execute("DELETE FROM progress")
        self._connection.execute("INSERT INTO progress VALUES (?)", (application.height,))

    def _put(self, mid: bytes, entry: Entry, index: int) -> None:
        said = entry.message
        self._connection.execute(
            "INSERT OR REPLACE INTO message VALUES (?, ?, ?, ?, ?, ?, ?, NULL)",
            (mid, entry.number, int(said.kind), said.violation, said.tsm, index, encode(said)),
        )

    def _transaction(self) -> apsw.Connection:
        return self._connection  # as a context manager: all or nothing

    def _rows(self, sql: str, *values: Any) -> Iterator[tuple[Any, ...]]:
        try:
            yield from self._connection.execute(sql, values)
        except apsw.Error as error:
            raise StorageError(f"the contract database cannot be read: {error}; rebuild it") from error


def _recorded(mid: bytes, number: int, index: int, content: bytes, finding: bytes | None) -> Recorded:
    message = decode(content, MessageRow, PACKAGE_LIMIT)
    found = None if finding is None else decode(finding, FindingRow, PACKAGE_LIMIT)
    return Recorded(mid, number, index, message, found)
