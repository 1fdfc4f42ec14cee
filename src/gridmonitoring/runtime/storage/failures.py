"""The secure database of failed signatures and failed openings, one per node (paper II-B).

"The reporting of actions and events generated from the use of cryptographic functions and the flags raised on
the data are encrypted using the authenticator contract key [and] sent to a secure database." What failed is
sealed to the contract key; outside stand only times and a count. Identical findings are one entry with a
count, found by a keyed hash, so the file does not tell what they are. A flood of different ones is bounded:
past `MAX_ENTRIES` they are counted together, by kind. Where the contract key changes, all is sealed to the
new one and nothing of what was sealed to the other is left in the file.

Known findings are counted in memory and written with the next new one, when they are read, or at the end: a
flood of the same costs no disk. Left out: violations, which are on the ledger.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import apsw
from msgspec import Struct
from msgspec.structs import replace

from gridmonitoring.contracts.violations import Violation
from gridmonitoring.encoding.bounds import Millis, Unsigned
from gridmonitoring.encoding.cbor import decode, encode
from gridmonitoring.errors import CannotOpen, StorageError
from gridmonitoring.keys.sealed_boxes import Purpose, SuiteNumber, box_info, hpke_public_key, open_box
from gridmonitoring.runtime.storage.database import open_database

PUT = "INSERT OR REPLACE INTO failure VALUES (?, ?, ?, ?, ?)"
SCHEMA = """
CREATE TABLE IF NOT EXISTS failure (
    id BLOB PRIMARY KEY, first INTEGER NOT NULL, last INTEGER NOT NULL, count INTEGER NOT NULL,
    box BLOB NOT NULL) WITHOUT ROWID;
"""
MAX_ENTRIES = 4096
"""Different findings that are kept."""
OTHERS = "others, past the number that is kept"
"""Reason of the entry that counts the rest of a kind."""

Seal = Callable[[bytes, bytes, bytes], bytes]
"""(HPKE key, info, plaintext) -> box."""


class Finding(Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="failure/1"):
    """What failed."""

    kind: Violation
    """FAILED_SIGNATURE or FAILED_OPENING."""
    subject: bytes
    """Whom it pretends to be of: a party or meter ID, or the ID of a channel."""
    reason: str
    """Why, in one line."""


class Entry(Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A finding with how often and when it came."""

    finding: Finding
    """What failed."""
    first: Millis
    """When it came first."""
    last: Millis
    """When it came last."""
    count: Unsigned
    """How often it came."""


class FailureStore:
    """One node's failed signatures and openings."""

    def __init__(self, path: Path, chain_id: bytes, secrets: Sequence[bytes], seal: Seal) -> None:
        """Open or create a file; `secrets` are the contract key's and those of earlier ones.

        Raises `StorageError`, or `CannotOpen` where an entry is sealed to another key.
        """
        self.path = path
        self._chain_id = chain_id
        self._secret = secrets[0]
        self._seal = seal
        self._db = open_database(path, SCHEMA)
        self._known: dict[bytes, Entry] = {}
        self._unwritten: set[bytes] = set()
        former = False
        for entry_id, entry, secret in self._read(secrets):
            former = former or secret != self._secret
            self._known[entry_id] = entry
        if former:
            self._write_anew()

    def close(self) -> None:
        """Write what is only counted, and close the file."""
        self.flush()
        self._db.close()

    def note(self, findings: Iterable[Finding], now: int) -> None:
        """Count findings; new ones are on disk when this returns. Raises `StorageError`."""
        fresh = False
        for found in findings:
            finding, entry_id = found, self._identifier(found)
            if entry_id not in self._known and len(self._known) >= MAX_ENTRIES:
                finding = Finding(found.kind, b"", OTHERS)
                entry_id = self._identifier(finding)
            before = self._known.get(entry_id)
            fresh = fresh or before is None
            entry = before or Entry(finding, now, now, 0)
            self._known[entry_id] = replace(entry, last=max(entry.last, now), count=entry.count + 1)
            self._unwritten.add(entry_id)
        if fresh:
            self.flush()

    def entries(self) -> list[Entry]:
        """Return every entry, the last first; raises `StorageError`."""
        self.flush()
        return sorted(self._known.values(), key=lambda entry: (-entry.last, encode(entry.finding)))

    def flush(self) -> None:
        """Write what was counted; raises `StorageError`."""
        rows = self._rows(self._unwritten)
        try:
            with self._db:
                self._db.executemany(PUT, rows)
        except apsw.Error as error:
            raise StorageError(f"{self.path.name}: {error}") from error
        self._unwritten.clear()

    def seal_to(self, secret: bytes) -> None:
        """Seal every entry to another contract key; raises `StorageError`."""
        if secret != self._secret:
            self._secret = secret
            self._write_anew()

    def _write_anew(self) -> None:
        """Write everything under the present key; nothing of what was there is left in file or log."""
        entries = list(self._known.values())
        self._known = {self._identifier(entry.finding): entry for entry in entries}
        rows = self._rows(self._known)
        try:
            self._db.pragma("secure_delete", "ON")
            with self._db:
                self._db.execute("DELETE FROM failure")
                self._db.executemany(PUT, rows)
            self._db.execute("VACUUM")
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except apsw.Error as error:
            raise StorageError(f"{self.path.name}: {error}") from error
        self._unwritten.clear()

    def _rows(self, entry_ids: Iterable[bytes]) -> list[tuple[bytes, int, int, int, bytes]]:
        """Return entries as they are stored, sealed to the present key."""
        key = hpke_public_key(self._secret)
        info = self._info(key)
        found = [(entry_id, self._known[entry_id]) for entry_id in entry_ids]
        return [(i, e.first, e.last, e.count, self._seal(key, info, encode(e.finding))) for i, e in found]

    def _info(self, key: bytes) -> bytes:
        return box_info(Purpose.FAILURE, self._chain_id, b"", 0, 0, key)

    def _identifier(self, finding: Finding) -> bytes:
        return hmac.digest(self._secret, encode(finding), "sha256")[:16]

    def _read(self, secrets: Sequence[bytes]) -> Iterable[tuple[bytes, Entry, bytes]]:
        """Yield each entry with the secret that opens it."""
        try:
            for entry_id, first, last, count, box in self._db.execute("SELECT * FROM failure"):
                plain, secret = self._opened(box, secrets)
                entry = Entry(decode(plain, Finding), int(first), int(last), int(count))
                yield bytes(entry_id), entry, secret
        except apsw.Error as error:
            raise StorageError(f"{self.path.name}: {error}") from error

    def _opened(self, box: bytes, secrets: Sequence[bytes]) -> tuple[bytes, bytes]:
        """Return what is in a box, and the secret that opens it; raises `CannotOpen` where none does."""
        for secret in secrets:
            try:
                return open_box(SuiteNumber.X25519, secret, self._info(hpke_public_key(secret)), box), secret
            except CannotOpen:
                continue
        raise CannotOpen(f"{self.path.name}: an entry is sealed to a key that is not held here")
