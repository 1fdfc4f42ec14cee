"""The truth of one validator: ordered transactions and the state computed from them, in one file.

One atomic durable commit per consensus block. Tables:

- `meta`     the genesis document and the format
- `block`    each consensus block: header, the transactions as one array, the checkpoint's note
- `tile`     complete tiles of 256 hashes of the transaction log
- `row`      the rows of the state
- `segment`  where a transaction ID stands in the log, sorted, one per full segment
- `handover` each change of the validator set, with the note and proof that vouch for it

Everything here is checked against signed roots when it is used; nothing in the file is believed.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import apsw
from msgspec import Struct

from gridmonitoring.blockchain.state_rows import Table
from gridmonitoring.encoding.bounds import Bytes16, Bytes32, Millis, Unsigned
from gridmonitoring.encoding.cbor import decode, encode, loads
from gridmonitoring.encoding.hashes import sha256
from gridmonitoring.errors import EncodingError, StorageError, Tampered
from gridmonitoring.runtime.storage.database import open_database

SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS block (
    height INTEGER PRIMARY KEY, header BLOB NOT NULL, body BLOB NOT NULL, note BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS start (first INTEGER PRIMARY KEY, height INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS tile (
    level INTEGER, number INTEGER, hashes BLOB NOT NULL, PRIMARY KEY (level, number)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS row (
    tbl INTEGER, key BLOB, value BLOB NOT NULL, PRIMARY KEY (tbl, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS segment (number INTEGER PRIMARY KEY, ids BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS handover (height INTEGER PRIMARY KEY, value BLOB NOT NULL);
"""
BODY_LIMIT = 8 * 1024 * 1024
"""Largest body of a block, bytes."""
SEGMENT = 65536
"""Transactions per segment of the ID index."""
ID_PREFIX = 8
"""Bytes of a transaction ID that the index sorts by."""
_ENTRY = ID_PREFIX + 8
PUT_ROWS = """INSERT OR REPLACE INTO row (key, tbl, value)
SELECT substr(value, 1, ?), ?, substr(value, ? + 1) FROM carray(?)"""
"""Writes rows of one table and length of key, each as key || value."""
_BLOBS = int(apsw.mapping_carray["SQLITE_CARRAY_BLOB"])


class BlockHeader(Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="consensus-block/1"):
    """What the validators vote on besides the state that follows from it."""

    chain: Bytes32
    """Chain ID."""
    height: Unsigned
    """Height of the consensus block, from 1."""
    time: Millis
    """Block time, ms; grows."""
    previous: Bytes32
    """sha256d of the previous header; the chain ID before the first."""
    proposer: Bytes16
    """Node that proposed it."""
    first: Unsigned
    """Log size before it."""
    count: Unsigned
    """Transactions in it."""
    body: Bytes32
    """sha256 of the encoded transactions."""


class StoredBlock(Struct, frozen=True):
    """A committed consensus block."""

    header: BlockHeader
    """Its header."""
    body: bytes
    """Encoded array of transactions."""
    note: bytes
    """The checkpoint after it, signed by its quorum."""


class Commit(Struct, frozen=True):
    """All that one consensus block changes."""

    block: StoredBlock
    """The block."""
    rows: list[tuple[int, bytes, bytes | None]]
    """(table, key, encoded value or None to delete)."""
    tiles: list[tuple[int, int, bytes]]
    """(level, number, hashes) of tiles that became complete."""
    segments: list[tuple[int, bytes]]
    """(number, sorted IDs) of segments that became full."""
    handovers: list[tuple[int, bytes]]
    """(height, encoded `evidence_bundle.Handover`) where the validator set changed."""
    notes: tuple[tuple[int, bytes], ...] = ()
    """(height, note) of earlier blocks that a quorum has signed since."""


def encode_body(transactions: Iterable[bytes]) -> bytes:
    """Return the transactions of a block as one array."""
    return encode(list(transactions))


def decode_body(body: bytes) -> list[bytes]:
    """Return the transactions of a block; raises `EncodingError`."""
    transactions = loads(body, BODY_LIMIT)
    if not isinstance(transactions, list) or not all(isinstance(raw, bytes) for raw in transactions):
        raise EncodingError("not an array of transactions")
    return transactions


def build_segment(entries: Iterable[tuple[bytes, int]]) -> bytes:
    """Return a segment of the ID index: sorted (ID prefix, log index)."""
    return b"".join(
        sorted(identifier[:ID_PREFIX] + index.to_bytes(8, "big") for identifier, index in entries)
    )


def _alike(rows: Iterable[tuple[int, bytes, bytes | None]]) -> dict[tuple[int, int], list[bytes]]:
    """Return key || value of the rows to write, by table and length of key.

    Rows alike are written by one statement each: one by one, every row would wait for the interpreter's lock.
    They are in order of key, so that a page of the table is visited once.
    """
    alike: dict[tuple[int, int], list[bytes]] = {}
    for table, key, value in rows:
        if value is not None:
            alike.setdefault((table, len(key)), []).append(key + value)
    for rows_alike in alike.values():
        rows_alike.sort()
    return alike


def row_name(table: int) -> str:
    """Return how a table of the state is called where tables of the file are meant too."""
    return f"row.{Table(table).name.lower()}" if table in _TABLES else f"row.{table}"


_TABLES = frozenset(int(table) for table in Table)


class Truth:
    """One validator's file."""

    def __init__(self, path: Path, *, read_only: bool = False, hurried: bool = False) -> None:
        """Open a file; `hurried` does not wait for the disk, for one that is synced before it is used."""
        self.path = path
        self._db = open_database(path, SCHEMA, read_only=read_only)
        if hurried:
            self._db.execute("PRAGMA synchronous=OFF")
        self._reader = open_database(path, SCHEMA, read_only=True)

    def close(self) -> None:
        """Close the file."""
        self._reader.close()
        self._db.close()

    def genesis(self) -> bytes | None:
        """Return the genesis document, or None in a new file."""
        return self._one("SELECT value FROM meta WHERE name = 'genesis'")

    def create(self, genesis: bytes, rows: Iterable[tuple[int, bytes, bytes]]) -> None:
        """Write genesis and its rows into a new file, atomically."""
        try:
            with self._db:
                self._db.execute("INSERT INTO meta VALUES ('genesis', ?)", (genesis,))
                self._db.executemany("INSERT INTO row VALUES (?, ?, ?)", rows)
        except apsw.Error as error:
            raise StorageError(f"{self.path.name}: {error}") from error

    def commit(self, commit: Commit) -> None:
        """Write one block and all that follows from it, durably; raises `StorageError`."""
        block = commit.block
        gone = [row[:2] for row in commit.rows if row[2] is None]
        try:
            with self._db:
                self._db.execute(
                    "INSERT INTO block VALUES (?, ?, ?, ?)",
                    (block.header.height, encode(block.header), block.body, block.note),
                )
                if block.header.count:
                    self._db.execute(
                        "INSERT INTO start VALUES (?, ?)", (block.header.first, block.header.height)
                    )
                for (table, length), rows in _alike(commit.rows).items():
                    self._db.execute(PUT_ROWS, (length, table, length, apsw.carray(tuple(rows))))
                self._db.executemany("DELETE FROM row WHERE tbl = ? AND key = ?", gone)
                self._db.executemany("INSERT INTO tile VALUES (?, ?, ?)", commit.tiles)
                self._db.executemany("INSERT INTO segment VALUES (?, ?)", commit.segments)
                self._db.executemany("INSERT OR REPLACE INTO handover VALUES (?, ?)", commit.handovers)
                self._db.executemany(
                    "UPDATE block SET note = ? WHERE height = ?", [pair[::-1] for pair in commit.notes]
                )
        except apsw.Error as error:
            raise StorageError(f"{self.path.name}: {error}") from error

    def height(self) -> int:
        """Return the height of the last block, 0 before the first."""
        found = self._row("SELECT max(height) FROM block")
        return int(found[0] or 0) if found else 0

    def block(self, height: int) -> StoredBlock | None:
        """Return a block, or None; raises `Tampered` where it is not what its header says."""
        found = self._row("SELECT header, body, note FROM block WHERE height = ?", height)
        if found is None:
            return None
        try:
            block = StoredBlock(decode(_blob(found[0]), BlockHeader), _blob(found[1]), _blob(found[2]))
        except (EncodingError, StorageError) as error:
            raise Tampered("block", str(height), f"the header cannot be read: {error}") from error
        if block.header.height != height or sha256(block.body) != block.header.body:
            raise Tampered("block", str(height), "height or transactions are not those of its header")
        return block

    def blocks(self, first: int = 1) -> Iterator[StoredBlock]:
        """Yield the blocks from a height on, in order, one in memory at a time."""
        for height in range(first, self.height() + 1):
            block = self.block(height)
            if block is None:
                raise Tampered("block", str(height), "is missing")
            yield block

    def transaction(self, index: int) -> bytes:
        """Return the transaction at a log index; raises `Tampered` where there is none."""
        block = self.block_at(index)
        if block is None:
            raise Tampered("block", f"with log entry {index}", "is missing")
        transactions = decode_body(block.body)
        if not block.header.first <= index < block.header.first + len(transactions):
            raise Tampered("start", str(block.header.first), f"does not lead to log entry {index}")
        return transactions[index - block.header.first]

    def block_at(self, index: int) -> StoredBlock | None:
        """Return the block that should hold the transaction at a log index, or None."""
        found = self._row(
            "SELECT first, height FROM start WHERE first <= ? ORDER BY first DESC LIMIT 1", index
        )
        return self.block(int(found[1])) if found else None

    def tile(self, level: int, number: int) -> bytes | None:
        """Return a complete tile of the log, or None."""
        return self._one("SELECT hashes FROM tile WHERE level = ? AND number = ?", level, number)

    def row(self, table: int, key: bytes) -> bytes | None:
        """Return the stored value of a row, unchecked, or None."""
        return self._one("SELECT value FROM row WHERE tbl = ? AND key = ?", table, key)

    def rows_at(self, table: int, keys: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
        """Yield (key, stored value) of those of a table's rows that exist, unchecked, in one query."""
        if keys:
            array = apsw.carray(tuple(keys), flags=_BLOBS)
            sql = "SELECT key, value FROM row WHERE tbl = ? AND key IN carray(?)"
            for key, value in self._query(sql, table, array):
                yield bytes(key), bytes(value)

    def rows(self) -> Iterator[tuple[int, bytes, bytes]]:
        """Yield every row of the state, by table and key."""
        for table, key, value in self._query("SELECT tbl, key, value FROM row ORDER BY tbl, key"):
            if not isinstance(table, int):
                raise StorageError(f"a row of table {table!r}, which is no number")
            yield table, _blob(key), _blob(value)

    def rows_of(self, table: int, prefix: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Yield (key, value) of a table's rows whose key starts with a prefix, in order."""
        for key, value in self._query(
            "SELECT key, value FROM row WHERE tbl = ? AND key >= ? ORDER BY key", table, prefix
        ):
            if not _blob(key).startswith(prefix):
                return
            yield _blob(key), _blob(value)

    def handovers(self) -> list[tuple[int, bytes]]:
        """Return (height, encoded handover) of each change of the validator set, oldest first."""
        found = self._query("SELECT height, value FROM handover ORDER BY height")
        return [(int(height), _blob(value)) for height, value in found]

    def segments(self) -> int:
        """Return how many full segments the ID index has."""
        found = self._row("SELECT count(*) FROM segment")
        return int(found[0]) if found else 0

    def find(self, identifier: bytes) -> list[int]:
        """Return the log indexes in full segments that may hold a transaction ID."""
        prefix = identifier[:ID_PREFIX]
        found: list[int] = []
        for (blob,) in self._query("SELECT ids FROM segment"):
            entries = memoryview(_blob(blob))
            keys = range(len(entries) // _ENTRY)
            at = bisect_left(keys, prefix, key=lambda n: bytes(entries[n * _ENTRY : n * _ENTRY + ID_PREFIX]))
            while at < len(keys) and bytes(entries[at * _ENTRY : at * _ENTRY + ID_PREFIX]) == prefix:
                found.append(int.from_bytes(entries[at * _ENTRY + ID_PREFIX : (at + 1) * _ENTRY], "big"))
                at += 1
        return found

    def _one(self, sql: str, *arguments: object) -> bytes | None:
        found = self._row(sql, *arguments)
        return None if found is None else _blob(found[0])

    def _row(self, sql: str, *arguments: object) -> tuple[Any, ...] | None:
        for found in self._query(sql, *arguments):
            return found
        return None

    def _query(self, sql: str, *arguments: object) -> Iterator[tuple[Any, ...]]:
        try:
            yield from self._reader.execute(sql, arguments)
        except apsw.Error as error:
            raise StorageError(f"{self.path.name}: {error}") from error


def _blob(value: Any) -> bytes:
    """Return what SQLite has in a place of bytes; a column may hold any type. Raises `StorageError`."""
    if not isinstance(value, bytes):
        raise StorageError(f"{type(value).__name__} stands where bytes should be")
    return value
