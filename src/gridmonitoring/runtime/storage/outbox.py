"""The outbox of meters: what is to be sent, and what a meter must not forget, in one commit (paper IV-B).

The final sealed bytes of a report are stored before they are sent, in the transaction that also stores the
meter's memory after it. So after a crash the same bytes go out again, no sequence is used twice, and no
report is lost. Bytes are deleted when the grid has acknowledged them; those it refused for good are kept
with the rule, beside the way.

One file serves one meter or, in a simulation, thousands; without a path it is in memory.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import apsw

from gridmonitoring.errors import StorageError
from gridmonitoring.runtime.storage.database import open_database
from gridmonitoring.runtime.storage.details import WrappedKey

SCHEMA = """
CREATE TABLE IF NOT EXISTS memory (
    mid BLOB, part TEXT, value BLOB NOT NULL, PRIMARY KEY (mid, part)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS outgoing (
    position INTEGER PRIMARY KEY AUTOINCREMENT, mid BLOB NOT NULL, channel BLOB NOT NULL,
    sequence INTEGER NOT NULL, carried_out INTEGER NOT NULL, wire BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS outgoing_by_meter ON outgoing (mid, position);
CREATE TABLE IF NOT EXISTS offer (
    channel BLOB PRIMARY KEY, mid BLOB NOT NULL, wire BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS refused (
    mid BLOB, sequence INTEGER, rule TEXT NOT NULL, wire BLOB NOT NULL,
    PRIMARY KEY (mid, sequence)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS wrapped (
    mid BLOB, epoch INTEGER, period INTEGER, recipient BLOB, box BLOB NOT NULL,
    PRIMARY KEY (mid, epoch, period, recipient)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS acknowledged (mid BLOB PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID;
"""


class Wire(NamedTuple):
    """Bytes to send."""

    channel: bytes
    """Channel ID."""
    sequence: int
    """Sequence of the report; 0 for a channel offer."""
    carried_out: int
    """Last command that the report acknowledges; 0 for a channel offer."""
    wire: bytes
    """Final bytes."""


class Pending(NamedTuple):
    """Bytes that were not acknowledged."""

    position: int
    """Place in the order of sending."""
    wire: Wire
    """What to send."""


class Refusal(NamedTuple):
    """A report that the grid will not have."""

    sequence: int
    """Its sequence."""
    rule: str
    """Why."""
    wire: bytes
    """Its bytes."""


class Outbox:
    """Outgoing bytes and memory of one or more meters. A file is readable by its owner only."""

    def __init__(self, path: Path | None = None) -> None:
        """Open or create a file, or one in memory; raises `StorageError`."""
        if path is not None:
            _create_private(path)
        self._db = open_database(path or Path(":memory:"), SCHEMA)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def commit(
        self,
        mid: bytes,
        memory: Mapping[str, bytes],
        wires: Sequence[Wire] = (),
        keys: Sequence[WrappedKey] = (),
        *,
        anew: bool = False,
    ) -> None:
        """Store parts of a meter's memory, what it has to send and keys to hand over, all or nothing.

        `anew`: `wires` take the place of all that waits. Durable when it returns. Raises `StorageError`.
        """
        with self._transaction() as db:
            if anew:
                db.execute("DELETE FROM outgoing WHERE mid = ?", (mid,))
                db.execute("DELETE FROM offer WHERE mid = ?", (mid,))
            for part, value in memory.items():
                db.execute("INSERT OR REPLACE INTO memory VALUES (?, ?, ?)", (mid, part, value))
            for item in wires:
                db.execute(
                    "INSERT INTO outgoing (mid, channel, sequence, carried_out, wire) VALUES (?, ?, ?, ?, ?)",
                    (mid, item.channel, item.sequence, item.carried_out, item.wire),
                )
                if not item.sequence:
                    db.execute("INSERT INTO offer VALUES (?, ?, ?)", (item.channel, mid, item.wire))
            if keys:
                db.executemany("INSERT OR REPLACE INTO wrapped VALUES (?, ?, ?, ?, ?)", keys)

    def memory(self, mid: bytes) -> dict[str, bytes]:
        """Return the parts of a meter's memory; none for a new meter."""
        rows = self._query("SELECT part, value FROM memory WHERE mid = ?", mid)
        return {str(part): bytes(value) for part, value in rows}

    def pending(self, mid: bytes, limit: int) -> list[Pending]:
        """Return the oldest bytes of a meter that were not acknowledged, in order."""
        sql = (
            "SELECT position, channel, sequence, carried_out, wire FROM outgoing"
            " WHERE mid = ? ORDER BY position LIMIT ?"
        )
        return [
            Pending(int(position), Wire(bytes(channel), int(sequence), int(carried_out), bytes(wire)))
            for position, channel, sequence, carried_out, wire in self._query(sql, mid, limit)
        ]

    def channels(self, mid: bytes) -> set[bytes]:
        """Return the channels of a meter's bytes that were not acknowledged."""
        return {bytes(c) for (c,) in self._query("SELECT DISTINCT channel FROM outgoing WHERE mid = ?", mid)}

    def count(self, mid: bytes) -> int:
        """Return how many wire messages of a meter were not acknowledged."""
        return int(next(self._query("SELECT count(*) FROM outgoing WHERE mid = ?", mid))[0])

    def settle(self, mid: bytes, taken: Sequence[Pending], refused: Sequence[tuple[Pending, str]]) -> None:
        """Delete what the grid acknowledged, and put aside with its rule what it refused for good.

        Offers that no outgoing report needs any more go with them, but for the latest. Durable with the
        next `commit`: what a power cut takes back is sent again, and answered as known. Raises
        `StorageError`.
        """
        with self._transaction(durable=False) as db:
            done = [(pending.position,) for pending in (*taken, *(pending for pending, _ in refused))]
            db.executemany("DELETE FROM outgoing WHERE position = ?", done)
            rows = [(mid, item.wire.sequence, rule, item.wire.wire) for item, rule in refused]
            db.executemany("INSERT OR REPLACE INTO refused VALUES (?, ?, ?, ?)", rows)
            number = max((pending.wire.carried_out for pending in taken), default=0)
            if number:
                db.execute(_ACKNOWLEDGE, (mid, number))
            if any(not pending.wire.sequence for pending in taken):
                db.execute(_FORGET_OFFERS, (mid, mid, taken[-1].wire.channel))

    def acknowledged(self, mid: bytes) -> int:
        """Return the last command whose acknowledgement the grid has taken."""
        for (number,) in self._query("SELECT number FROM acknowledged WHERE mid = ?", mid):
            return int(number)
        return 0

    def offer(self, channel: bytes) -> bytes | None:
        """Return the offer of a channel, for a node that does not know it any more."""
        for (wire,) in self._query("SELECT wire FROM offer WHERE channel = ?", channel):
            return bytes(wire)
        return None

    def refusals(self, mid: bytes) -> list[Refusal]:
        """Return the reports of a meter that the grid will not have, in order."""
        rows = self._query("SELECT sequence, rule, wire FROM refused WHERE mid = ? ORDER BY sequence", mid)
        return [Refusal(int(sequence), str(rule), bytes(wire)) for sequence, rule, wire in rows]

    def wrapped(self, mid: bytes) -> list[WrappedKey]:
        """Return wrapped period keys that are still to be handed over."""
        rows = self._query("SELECT mid, epoch, period, recipient, box FROM wrapped WHERE mid = ?", mid)
        return [
            (bytes(owner), int(epoch), int(period), bytes(recipient), bytes(box))
            for owner, epoch, period, recipient, box in rows
        ]

    def handed_over(self, keys: Sequence[WrappedKey]) -> None:
        """Delete wrapped keys that the grid keeps now; raises `StorageError`."""
        sql = "DELETE FROM wrapped WHERE mid = ? AND epoch = ? AND period = ? AND recipient = ?"
        with self._transaction() as db:
            db.executemany(sql, [key[:4] for key in keys])

    @contextmanager
    def _transaction(self, *, durable: bool = True) -> Iterator[apsw.Connection]:
        try:
            self._db.pragma("synchronous", "FULL" if durable else "NORMAL")
            with self._db:
                yield self._db
        except apsw.Error as error:
            raise StorageError(f"the outbox cannot be written: {error}") from error

    def _query(self, sql: str, *arguments: object) -> Iterator[tuple[Any, ...]]:
        try:
            yield from self._db.execute(sql, arguments)
        except apsw.Error as error:
            raise StorageError(f"the outbox cannot be read: {error}") from error


_ACKNOWLEDGE = (
    "INSERT INTO acknowledged VALUES (?, ?)"
    " ON CONFLICT (mid) DO UPDATE SET number = max(number, excluded.number)"
)
_FORGET_OFFERS = (
    "DELETE FROM offer WHERE mid = ? AND channel NOT IN (SELECT channel FROM outgoing WHERE mid = ?)"
    " AND channel <> ?"
)


def _create_private(path: Path) -> None:
    """Create a file that only its owner can read; raises `StorageError`."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise StorageError(f"cannot open {path.name}: {error.strerror}") from error
