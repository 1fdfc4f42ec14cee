"""The tables of a validator's two files as they are stored, for checks that believe nothing.

SQLite lets a column hold any type and a file hold any table or trigger, so whatever reads here takes
values as they come. Left out: what they should be, which is `runtime.file_check`'s.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
from msgspec import Struct

from gridmonitoring.errors import StorageError
from gridmonitoring.runtime.storage.database import open_live, open_unchanged
from gridmonitoring.runtime.storage.details import SCHEMA as DETAILS_SCHEMA
from gridmonitoring.runtime.storage.truth import SCHEMA as TRUTH_SCHEMA

Values = tuple[Any, ...]
"""Columns of one stored row, of whatever type SQLite has them."""


class TableShape(Struct, frozen=True):
    """One table: its name, how many columns its key has, and how it is read and mended."""

    name: str
    """Name in the file."""
    key: int
    """Leading columns that are the key."""
    select: str
    """Reads everything in order of the key."""
    delete: str
    """Deletes by the key."""
    insert: str
    """Inserts or replaces a whole row."""


META = TableShape(
    "meta",
    1,
    "SELECT name, value FROM meta ORDER BY name",
    "DELETE FROM meta WHERE name = ?",
    "INSERT OR REPLACE INTO meta VALUES (?, ?)",
)
BLOCK = TableShape(
    "block",
    1,
    "SELECT height, header, body, note FROM block ORDER BY height",
    "DELETE FROM block WHERE height = ?",
    "INSERT OR REPLACE INTO block VALUES (?, ?, ?, ?)",
)
LAST_BLOCK = "SELECT max(height) FROM block"
BLOCKS_PAST = "SELECT height, note FROM block WHERE height > ? ORDER BY height"
START = TableShape(
    "start",
    1,
    "SELECT first, height FROM start ORDER BY first",
    "DELETE FROM start WHERE first = ?",
    "INSERT OR REPLACE INTO start VALUES (?, ?)",
)
TILE = TableShape(
    "tile",
    2,
    "SELECT level, number, hashes FROM tile ORDER BY level, number",
    "DELETE FROM tile WHERE level = ? AND number = ?",
    "INSERT OR REPLACE INTO tile VALUES (?, ?, ?)",
)
TILES_OF_LEVEL = "SELECT level, number, hashes FROM tile WHERE level = ? ORDER BY number"
TILE_LEVELS = "SELECT DISTINCT level FROM tile"
ROW = TableShape(
    "row",
    2,
    "SELECT tbl, key, value FROM row ORDER BY tbl, key",
    "DELETE FROM row WHERE tbl = ? AND key = ?",
    "INSERT OR REPLACE INTO row VALUES (?, ?, ?)",
)
ROW_VALUE = "SELECT value FROM row WHERE tbl = ? AND key = ?"
SEGMENT = TableShape(
    "segment",
    1,
    "SELECT number, ids FROM segment ORDER BY number",
    "DELETE FROM segment WHERE number = ?",
    "INSERT OR REPLACE INTO segment VALUES (?, ?)",
)
HANDOVER = TableShape(
    "handover",
    1,
    "SELECT height, value FROM handover ORDER BY height",
    "DELETE FROM handover WHERE height = ?",
    "INSERT OR REPLACE INTO handover VALUES (?, ?)",
)
DETAIL = TableShape(
    "detail",
    1,
    "SELECT position, mid, time, ciphertext FROM detail ORDER BY position",
    "DELETE FROM detail WHERE position = ?",
    "INSERT OR REPLACE INTO detail VALUES (?, ?, ?, ?)",
)
CHANNEL = TableShape(
    "channel",
    1,
    "SELECT id, offer FROM channel ORDER BY id",
    "DELETE FROM channel WHERE id = ?",
    "INSERT OR REPLACE INTO channel VALUES (?, ?)",
)
WRAPPED = TableShape(
    "wrapped",
    4,
    "SELECT mid, epoch, period, recipient, box FROM wrapped ORDER BY mid, epoch, period, recipient",
    "DELETE FROM wrapped WHERE mid = ? AND epoch = ? AND period = ? AND recipient = ?",
    "INSERT OR REPLACE INTO wrapped VALUES (?, ?, ?, ?, ?)",
)
TRUTH_TABLES = (META, BLOCK, START, TILE, ROW, SEGMENT, HANDOVER)
"""Tables of the truth."""
DETAIL_TABLES = (DETAIL, CHANNEL, WRAPPED)
"""Tables of the detail store."""
SHAPES = {shape.name: shape for shape in (*TRUTH_TABLES, *DETAIL_TABLES)}
"""Name -> shape."""


class StoredFile:
    """A validator's file opened for reading only, whatever is in it."""

    def __init__(self, path: Path, schema: str, *, live: bool = False) -> None:
        """Open a file that must be there, for one look or `live`; raises `StorageError`."""
        if not path.is_file():
            raise StorageError(f"{path.name} is missing")
        self.path = path
        self._schema = schema
        self._db = open_live(path) if live else open_unchanged(path)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def scan(self, sql: str, *arguments: object) -> Iterator[Values]:
        """Yield what a query finds, one row in memory at a time; raises `StorageError`."""
        try:
            yield from self._db.execute(sql, arguments)
        except (apsw.Error, UnicodeDecodeError) as error:
            raise StorageError(f"{self.path.name}: {error}") from error

    def surplus(self) -> list[str]:
        """Return names of tables, indexes and triggers that are not in the schema, or not as it has them."""
        sql = "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name"
        fresh = apsw.Connection(":memory:")
        fresh.execute(self._schema)
        proper = dict(fresh.execute(sql))
        fresh.close()
        found = {str(name): text for name, text in self.scan(sql)}
        return [name for name in sorted({*proper, *found}) if proper.get(name) != found.get(name)]


def stored_truth(path: Path, *, live: bool = False) -> StoredFile:
    """Open a truth for checking, as it is now or `live`; raises `StorageError`."""
    return StoredFile(path, TRUTH_SCHEMA, live=live)


def stored_details(path: Path, *, live: bool = False) -> StoredFile:
    """Open a detail store for checking, as it is now or `live`; raises `StorageError`."""
    return StoredFile(path, DETAILS_SCHEMA, live=live)
