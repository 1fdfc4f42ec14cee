"""Putting a whole database file in the place of another, atomically: made beside it, synced, renamed."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import apsw

from gridmonitoring.errors import StorageError
from gridmonitoring.runtime.storage.tables import TableShape, Values

Mend = tuple[TableShape, Values, Values | None]
"""(table, key as stored, whole row as it should be or None to delete it)."""

_SIDES = ("-wal", "-shm", "-journal")


def beside(path: Path) -> Path:
    """Return an unused path beside a file, for the one that will replace it."""
    new = path.with_name(f"{path.name}.new")
    discard(new)
    return new


def discard(path: Path) -> None:
    """Delete a database with what SQLite keeps beside it."""
    for name in (path.name, *(path.name + side for side in _SIDES)):
        path.with_name(name).unlink(missing_ok=True)


def copy_database(source: Path, target: Path) -> None:
    """Write everything that a database holds into a new one; raises `StorageError` where it is unreadable."""
    try:
        connection = apsw.Connection(str(source), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            connection.execute("VACUUM INTO ?", (str(target),))
        finally:
            connection.close()
    except apsw.Error as error:
        discard(target)
        raise StorageError(f"{source.name}: {error}") from error


def mend(path: Path, mends: Iterable[Mend]) -> int:
    """Put rows of any tables right in one transaction; return how many. Raises `StorageError`."""
    count = 0
    try:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            connection.pragma("secure_delete", "ON")  # what its owner had erased may be among it
            with connection:
                for shape, key, row in mends:
                    connection.execute(shape.delete, key)
                    if row is not None:
                        connection.execute(shape.insert, row)
                    count += 1
        finally:
            connection.close()
    except apsw.Error as error:
        raise StorageError(f"{path.name}: {error}") from error
    return count


def replace_database(new: Path, target: Path) -> None:
    """Put a closed database in the place of another, durably; raises `StorageError`.

    What is left of the old one's write-ahead log goes first: it is of another file.
    """
    try:
        _sync(new)
        for side in _SIDES:
            target.with_name(target.name + side).unlink(missing_ok=True)
        new.replace(target)
        _sync(target.parent)
    except OSError as error:
        raise StorageError(f"{target.name} cannot be replaced: {error.strerror}") from error


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
