"""The detail store: encrypted load profiles and wrapped keys, outside the log so they can be erased.

The log holds their hashes. Each node has its own file; what is written here is written before the
block that refers to it is acknowledged.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import apsw

from gridmonitoring.errors import StorageError
from gridmonitoring.keys.detail_keys import first_period
from gridmonitoring.runtime.storage.database import open_database

SCHEMA = """
CREATE TABLE IF NOT EXISTS detail (
    position INTEGER PRIMARY KEY, mid BLOB NOT NULL, time INTEGER NOT NULL, ciphertext BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS channel (id BLOB PRIMARY KEY, offer BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS wrapped (
    mid BLOB, epoch INTEGER, period INTEGER, recipient BLOB, box BLOB NOT NULL,
    PRIMARY KEY (mid, epoch, period, recipient)) WITHOUT ROWID;
"""

PUT_DETAILS = """INSERT OR REPLACE INTO detail
SELECT CAST(substr(value, 1, 19) AS INTEGER), substr(value, 39, 16), CAST(substr(value, 20, 19) AS INTEGER),
       substr(value, 55) FROM carray(?)"""
"""Writes details as `_packed` puts them."""
ERASE_DETAILS = "DELETE FROM detail WHERE mid = ? AND time >= ? AND time < ? AND position < ?"
ERASE_KEYS = "DELETE FROM wrapped WHERE mid = ? AND period >= ? AND period < ?"
UNSCRUBBED = 1
"""`user_version` of a file in which something is deleted whose bytes are still there."""
SCRUB_PATIENCE_MS = 500
"""How long erasing waits for other readers before it tries again later, ms."""
BUSY_MS = 5000
"""How long everything else waits, ms."""
DAY_MS = 86_400_000
"""Length of a period, ms."""
DETAILS_PER_STATEMENT = 10_000
"""Details written by one statement."""

Detail = tuple[int, bytes, int, bytes]
"""(log index of the claim, MID, signed time ms, ciphertext)."""
WrappedKey = tuple[bytes, int, int, bytes, bytes]
"""(MID, meter epoch, key period, recipient's HPKE key, box)."""


class DetailStore:
    """One node's details, channels and wrapped period keys."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        self._db = open_database(path, SCHEMA, read_only=read_only)
        self._reader = open_database(path, SCHEMA, read_only=True)

    def close(self) -> None:
        """Close the file."""
        self._reader.close()
        self._db.close()

    def write(self, details: Iterable[Detail], offers: Iterable[tuple[bytes, bytes]]) -> None:
        """Write details and channel offers durably; raises `StorageError`."""
        try:
            with self._db:
                remaining = iter(details)
                while packed := _packed(islice(remaining, DETAILS_PER_STATEMENT)):
                    self._db.execute(PUT_DETAILS, (apsw.carray(packed),))
                self._db.executemany("INSERT OR IGNORE INTO channel VALUES (?, ?)", offers)
        except apsw.Error as error:
            raise StorageError(f"{self.path.name}: {error}") from error

    def wrap(self, keys: Iterable[WrappedKey]) -> None:
        """Store period keys wrapped for their readers; raises `StorageError`."""
        try:
            with self._db:
                self._db.executemany("INSERT OR REPLACE INTO wrapped VALUES (?, ?, ?, ?, ?)", keys)
        except apsw.Error as error:
            raise StorageError(f"{self.path.name}: {error}") from error

    def erase(self, mid: bytes, first: int, last: int, size: int) -> int:
        """Erase a meter's details and wrapped keys of days, as far as they were logged below a log size.

        The bytes are in no part of the file afterwards, nor in its write-ahead log: it is written anew
        without them. While another process reads, that waits (`unscrubbed`). Returns how many rows there
        were; raises `StorageError`.
        """
        start, end = first * DAY_MS, (last + 1) * DAY_MS
        try:
            self._db.pragma("secure_delete", "ON")
            with self._db:
                self._db.execute(ERASE_DETAILS, (mid, start, end, size))
                count = self._db.changes()
                self._db.execute(ERASE_KEYS, (mid, first_period(first), first_period(last + 1)))
                count += self._db.changes()
                if count:
                    self._db.pragma("user_version", UNSCRUBBED)
        except apsw.Error as error:
            raise StorageError(f"{self.path.name}: {error}") from error
        self.scrub()
        return count

    @property
    def unscrubbed(self) -> bool:
        """Whether something is deleted whose bytes are still in the file."""
        return bool(self._db.pragma("user_version") == UNSCRUBBED)

    def scrub(self) -> None:
        """Write the file anew, so that nothing deleted is left in unused places of it; raises `StorageError`.

        Where another process reads, the next call does it; the file itself remembers.
        """
        if not self.unscrubbed:
            return
        try:
            self._db.set_busy_timeout(SCRUB_PATIENCE_MS)
            self._db.execute("VACUUM")
            self._db.pragma("user_version", 0)
            busy, _, _ = next(self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)"))
            if busy:
                self._db.pragma("user_version", UNSCRUBBED)
        except apsw.Error as error:
            raise StorageError(f"{self.path.name}: {error}") from error
        finally:
            self._db.set_busy_timeout(BUSY_MS)

    def trim(self, size: int) -> None:
        """Forget details at or past a log size: their block was never committed; raises `StorageError`."""
        try:
            with self._db:
                self._db.execute("DELETE FROM detail WHERE position >= ?", (size,))
        except apsw.Error as error:
            raise StorageError(f"{self.path.name}: {error}") from error

    def adopt(self, keys: Iterable[WrappedKey]) -> None:
        """Store another node's wrapped keys where there are none yet; raises `StorageError`."""
        try:
            with self._db:
                self._db.executemany("INSERT OR IGNORE INTO wrapped VALUES (?, ?, ?, ?, ?)", keys)
        except apsw.Error as error:
            raise StorageError(f"{self.path.name}: {error}") from error

    def details_from(self, position: int) -> Iterator[Detail]:
        """Yield every detail from a log index on, in order of the log."""
        sql = "SELECT position, mid, time, ciphertext FROM detail WHERE position >= ? ORDER BY position"
        yield from self._query(sql, position)

    def channels(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield (ID, offer) of every channel, by ID; rows that hold no bytes are none."""
        yield from self._query(
            "SELECT id, offer FROM channel WHERE typeof(id) = 'blob' AND typeof(offer) = 'blob' ORDER BY id"
        )

    def channel_count(self) -> int:
        """Return how many channels there are."""
        for (count,) in self._query("SELECT count(*) FROM channel"):
            return int(count)
        return 0

    def wrapped_keys(self) -> Iterator[WrappedKey]:
        """Yield every wrapped period key, in order of its key."""
        sql = "SELECT mid, epoch, period, recipient, box FROM wrapped ORDER BY mid, epoch, period, recipient"
        yield from self._query(sql)

    def offer(self, channel: bytes) -> bytes | None:
        """Return the offer of a channel, or None."""
        for (offer,) in self._query("SELECT offer FROM channel WHERE id = ?", channel):
            return bytes(offer)
        return None

    def detail(self, position: int) -> bytes | None:
        """Return the ciphertext of the claim at a log index, or None where it was erased."""
        for (ciphertext,) in self._query("SELECT ciphertext FROM detail WHERE position = ?", position):
            return bytes(ciphertext)
        return None

    def details_of(self, mid: bytes) -> Iterator[tuple[int, int, bytes]]:
        """Yield (log index, time, ciphertext) of a meter's details, in order of the log."""
        sql = "SELECT position, time, ciphertext FROM detail WHERE mid = ? ORDER BY position"
        for position, time, ciphertext in self._query(sql, mid):
            yield int(position), int(time), bytes(ciphertext)

    def wrapped(self, mid: bytes, recipient: bytes) -> Iterator[tuple[int, int, bytes]]:
        """Yield (epoch, period, box) of a meter's period keys for one reader."""
        sql = "SELECT epoch, period, box FROM wrapped WHERE mid = ? AND recipient = ? ORDER BY epoch, period"
        for epoch, period, box in self._query(sql, mid, recipient):
            yield int(epoch), int(period), bytes(box)

    def _query(self, sql: str, *arguments: object) -> Iterator[tuple[Any, ...]]:
        try:
            yield from self._reader.execute(sql, arguments)
        except apsw.Error as error:
            raise StorageError(f"{self.path.name}: {error}") from error


def _packed(details: Iterable[Detail]) -> tuple[bytes, ...]:
    """Return each detail as position and time (19 digits each) || MID || ciphertext.

    Many are written by one statement: one by one, every detail would wait for the interpreter's lock.
    """
    return tuple(
        [b"%019d%019d%b%b" % (position, time, mid, ciphertext) for position, mid, time, ciphertext in details]
    )
