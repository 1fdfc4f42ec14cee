"""What left the data center: the floors, atoms, open rows and releases, durably (`data_center.releases`).

This is no view. It is written before anything leaves, kept when the copies are dropped and made anew, and
names settlements by their place in the log, which stays the same then.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw

from gridmonitoring.data_center.aggregates import Aggregate, Cell
from gridmonitoring.data_center.floors import Floors
from gridmonitoring.data_center.releases import Atom, Entries, Part
from gridmonitoring.encoding.cbor import decode, encode
from gridmonitoring.errors import StorageError
from gridmonitoring.runtime.storage.database import open_database

SCHEMA = """
CREATE TABLE IF NOT EXISTS floors (number INTEGER PRIMARY KEY, floors BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS atom (entry INTEGER PRIMARY KEY, atom INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS members ON atom (atom);
CREATE TABLE IF NOT EXISTS opened (entry INTEGER PRIMARY KEY);
CREATE TABLE IF NOT EXISTS given (cell BLOB PRIMARY KEY, height INTEGER NOT NULL, aggregate BLOB NOT NULL);
"""


class Register:
    """The file `releases.db`, as a `data_center.releases.ReleaseRegister`."""

    def __init__(self, path: Path) -> None:
        """Open or make the file; raises `StorageError`."""
        self.path = path
        self._db = open_database(path, SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Record all or nothing, durably once it ends; one process at a time."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")
        except apsw.Error as error:
            raise StorageError(f"{self.path.name}: {error}") from error

    def floors(self) -> Floors:
        """Return the floors in force."""
        for (value,) in self._query("SELECT floors FROM floors ORDER BY number DESC LIMIT 1"):
            return decode(bytes(value), Floors)
        return Floors()

    def set_floors(self, floors: Floors) -> None:
        """Put floors in force; earlier ones stay on record."""
        with self.recording():
            self._db.execute("INSERT INTO floors (floors) VALUES (?)", (encode(floors),))

    def touched(self, entries: Entries) -> Mapping[Atom, Entries]:
        """Return every atom that holds one of these settlements, with all its settlements."""
        sql = "SELECT entry, atom FROM atom WHERE entry IN carray(?)"
        atoms = {atom for _, atom in self._among(sql, entries)}
        found: dict[Atom, set[int]] = {atom: set() for atom in sorted(atoms)}
        for entry, atom in self._among("SELECT entry, atom FROM atom WHERE atom IN carray(?)", atoms):
            found[atom].add(entry)
        return {atom: frozenset(members) for atom, members in found.items()}

    def opened(self, entries: Entries) -> Entries:
        """Return those of these settlements that are open."""
        return frozenset(
            entry for (entry,) in self._among("SELECT entry FROM opened WHERE entry IN carray(?)", entries)
        )

    def split(self, parts: Iterable[Part]) -> None:
        """Make atoms of parts."""
        for part in parts:
            last = next(self._query("SELECT coalesce(max(atom), 0) FROM atom"))[0]
            rows = [(entry, last + 1) for entry in sorted(part.members)]
            self._db.executemany("INSERT OR REPLACE INTO atom VALUES (?, ?)", rows)

    def open(self, entries: Entries) -> None:
        """Note that these settlements are open."""
        self._db.executemany(
            "INSERT OR IGNORE INTO opened VALUES (?)", [(entry,) for entry in sorted(entries)]
        )

    def give(self, aggregate: Aggregate, height: int) -> None:
        """Record what a cell was given as, of copies up to a block."""
        self._db.execute(
            "INSERT OR REPLACE INTO given VALUES (?, ?, ?)",
            (encode(aggregate.cell), height, encode(aggregate)),
        )

    def given(self, cell: Cell) -> Aggregate | None:
        """Return what a cell was last given as, or None."""
        for (value,) in self._query("SELECT aggregate FROM given WHERE cell = ?", encode(cell)):
            return decode(bytes(value), Aggregate)
        return None

    def counts(self) -> tuple[int, int, int]:
        """Return how many cells were given, atoms there are, and rows are open."""
        tables = ("count(*) FROM given", "count(DISTINCT atom) FROM atom", "count(*) FROM opened")
        cells, atoms, rows = (int(next(self._query(f"SELECT {what}"))[0]) for what in tables)
        return cells, atoms, rows

    def _among(self, sql: str, numbers: Iterable[int]) -> Iterator[tuple[Any, ...]]:
        wanted = array("q", sorted(numbers))
        if wanted:
            yield from self._query(sql, apsw.carray(wanted, flags=_INT64))

    def _query(self, sql: str, *arguments: object) -> Iterator[tuple[Any, ...]]:
        try:
            yield from self._db.execute(sql, arguments)
        except apsw.Error as error:
            raise StorageError(f"{self.path.name}: {error}") from error


_INT64 = int(apsw.mapping_carray["SQLITE_CARRAY_INT64"])
