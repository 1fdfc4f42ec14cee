"""Opening SQLite files through apsw, which bundles a current SQLite (Python's own has a WAL bug).

WAL with `synchronous=FULL`: a commit that returned is on disk.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import apsw

from gridmonitoring.errors import StorageError

CHECKPOINT_PAGES = 32_000
"""Pages in the write-ahead log (128 MB) before they go to the database, once each."""


def open_database(path: Path, schema: str, *, read_only: bool = False) -> apsw.Connection:
    """Open or create a database with a schema; raises `StorageError`."""
    flags = apsw.SQLITE_OPEN_READONLY if read_only else apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE
    try:
        connection = apsw.Connection(str(path), flags=flags)
        connection.set_busy_timeout(5000)
        if not read_only:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
            connection.execute(schema)
        connection.execute("PRAGMA cache_size=-65536")
    except apsw.Error as error:
        raise StorageError(f"cannot open {path.name}: {error}") from error
    return connection


def open_live(path: Path) -> apsw.Connection:
    """Open a database that others write, to read it as it goes on: each query sees what is there then.

    Raises `StorageError`.
    """
    try:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        connection.set_busy_timeout(5000)
        connection.execute("PRAGMA cache_size=-2048")
    except apsw.Error as error:
        raise StorageError(f"cannot open {path.name}: {error}") from error
    return connection


def open_unchanged(path: Path) -> apsw.Connection:
    """Open a database for one consistent look at it; raises `StorageError`.

    Without a write-ahead log beside it nobody is using the file, and nothing is written there, so that a copy
    on a medium that cannot be written to will do.
    """
    used = path.with_name(f"{path.name}-wal").exists()
    name = f"file:{quote(str(path.absolute()))}?mode=ro" + ("" if used else "&immutable=1")
    try:
        connection = apsw.Connection(name, flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
        connection.set_busy_timeout(5000)
        connection.execute("PRAGMA cache_size=-2048")  # it is read once from end to end
        connection.execute("BEGIN")
    except apsw.Error as error:
        raise StorageError(f"cannot open {path.name}: {error}") from error
    return connection
