"""Copies of the last blocks, as they come, and the list of Parquet parts that hold those before.

A block's copies are on disk before the block is committed, so a crash loses none; copies of a block that
was then not committed give way to those of the block that was. Reading and writing from several processes
is SQLite's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import apsw
from msgspec import Struct

from gridmonitoring.data_center.copies import BlockCopies
from gridmonitoring.encoding.cbor import decode, encode
from gridmonitoring.errors import EncodingError, StorageError
from gridmonitoring.runtime.storage.database import open_database

SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS block (height INTEGER PRIMARY KEY, header BLOB NOT NULL, copies BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS part (
    first INTEGER PRIMARY KEY, last INTEGER NOT NULL, time INTEGER NOT NULL, header BLOB NOT NULL,
    name TEXT NOT NULL);
"""
LIMIT = 256 * 1024 * 1024
"""Largest copies of one block, bytes."""


class Part(Struct, frozen=True):
    """Parquet files of a run of blocks."""

    first: int
    """Height of its first block."""
    last: int
    """Height of its last."""
    time_ms: int
    """Time of the last, ms."""
    header: bytes
    """sha256d of the last one's header."""
    name: str
    """Name of its folder."""


class Head(Struct, frozen=True):
    """How far the copies go without a gap."""

    height: int
    """Height of the last block, 0 for none."""
    time_ms: int
    """Its time, ms."""
    header: bytes
    """sha256d of its header, empty for none."""


def head_of(parts: Sequence[Part], blocks: Sequence[BlockCopies]) -> Head:
    """Return how far parts and the blocks after them go."""
    if blocks:
        return Head(blocks[-1].height, blocks[-1].time_ms, blocks[-1].header)
    return Head(parts[-1].last, parts[-1].time_ms, parts[-1].header) if parts else Head(0, 0, b"")


class Spool:
    """The file `copies.db`."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        """Open or make the file; raises `StorageError`."""
        self.path = path
        self._db = open_database(path, SCHEMA, read_only=read_only)
        self._reader = open_database(path, SCHEMA, read_only=True)
        self._lock = Lock()  # validators write blocks in threads of their own
        self._last: tuple[int, bytes] | None = None

    def close(self) -> None:
        """Close the file."""
        self._reader.close()
        self._db.close()

    def chain(self) -> bytes | None:
        """Return the chain whose copies these are, or None in a new file."""
        for (value,) in self._query("SELECT value FROM meta WHERE name = 'chain'"):
            return bytes(value)
        return None

    def write(self, copies: BlockCopies) -> bool:
        """Keep the copies of a block, durably; what was kept for this height gives way.

        Returns whether they were not the ones kept last.
        """
        with self._lock:
            if self._last == (copies.height, copies.header):
                return False
            self._do(
                "INSERT OR REPLACE INTO block VALUES (?, ?, ?)", copies.height, copies.header, encode(copies)
            )
            self._last = (copies.height, copies.header)
        return True

    def trim(self, height: int) -> None:
        """Drop copies of blocks past a height: they were never committed."""
        with self._lock:
            self._do("DELETE FROM block WHERE height > ?", height)
            self._last = None

    def blocks(self, after: int = 0) -> Iterator[BlockCopies]:
        """Yield the copies of blocks that are in no part, past a height, in order up to the first gap."""
        expected = max(after, self.covered()) + 1
        sql = "SELECT height, copies FROM block WHERE height >= ? ORDER BY height"
        for height, value in self._query(sql, expected):
            if height != expected:
                return
            try:
                yield decode(bytes(value), BlockCopies, LIMIT)
            except EncodingError as error:
                raise StorageError(f"{self.path.name}: copies of block {height}: {error}") from error
            expected += 1

    def parts(self) -> list[Part]:
        """Return the parts from the first block on, in order up to the first gap."""
        found: list[Part] = []
        for row in self._query("SELECT first, last, time, header, name FROM part ORDER BY first"):
            part = Part(int(row[0]), int(row[1]), int(row[2]), bytes(row[3]), str(row[4]))
            if part.first != (found[-1].last + 1 if found else 1):
                break
            found.append(part)
        return found

    def covered(self) -> int:
        """Return the height that parts reach."""
        parts = self.parts()
        return parts[-1].last if parts else 0

    def snapshot(self) -> tuple[list[Part], list[BlockCopies]]:
        """Return the parts and the blocks after them, as of one moment."""
        with self._reader:
            parts, blocks = self.parts(), list(self.blocks())
        return parts, blocks

    def waiting(self) -> int:
        """Return how many blocks are in no part."""
        return next(int(count) for (count,) in self._query("SELECT count(*) FROM block"))

    def add(self, part: Part) -> None:
        """List a part whose files are on disk, and drop what it holds from here."""
        with self._lock, self._db:
            self._insert(part)

    def replace(self, chain: bytes, parts: Iterable[Part]) -> None:
        """List the parts of copies made anew in place of all before; later blocks stay."""
        with self._lock, self._db:
            self._do("DELETE FROM part")
            self._do("INSERT OR REPLACE INTO meta VALUES ('chain', ?)", chain)
            for part in parts:
                self._insert(part)

    def _insert(self, part: Part) -> None:
        self._do(
            "INSERT INTO part VALUES (?, ?, ?, ?, ?)",
            part.first, part.last, part.time_ms, part.header, part.name,
        )  # fmt: skip
        self._do("DELETE FROM block WHERE height <= ?", part.last)

    def _do(self, sql: str, *arguments: object) -> None:
        try:
            self._db.execute(sql, arguments)
        except apsw.Error as error:
            raise StorageError(f"{self.path.name}: {error}") from error

    def _query(self, sql: str, *arguments: object) -> Iterator[tuple[Any, ...]]:
        try:
            yield from self._reader.execute(sql, arguments)
        except apsw.Error as error:
            raise StorageError(f"{self.path.name}: {error}") from error
