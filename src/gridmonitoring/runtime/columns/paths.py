"""Where the data center of a directory is.

data-center/copies.db          copies of the last blocks, and which Parquet files hold those before
data-center/parts/<name>/      Parquet files, one for each table, of a run of blocks; never changed
data-center/releases.db        the floors, and what left: kept when the copies are dropped
data-center/lock               held by whoever writes Parquet files
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from gridmonitoring.errors import UserError
from gridmonitoring.runtime.directory import Directory


class DataCenterPaths:
    """Paths of one data center."""

    def __init__(self, directory: Directory) -> None:
        self.root = directory.root / "data-center"
        self.copies = self.root / "copies.db"
        self.parts = self.root / "parts"
        self.releases = self.root / "releases.db"
        self._lock = self.root / "lock"

    @property
    def enabled(self) -> bool:
        """Whether this network has a data center."""
        return self.copies.is_file()

    def require(self) -> None:
        """Require a data center; raises `UserError`."""
        if not self.enabled:
            root = self.root.parent
            raise UserError(f"{root} has no data center yet; make one with: gridmon data rebuild {root}")

    @contextmanager
    def writing(self, *, wait: bool) -> Iterator[bool]:
        """Hold the right to write Parquet files; yields False where another has it and `wait` is not set."""
        self.root.mkdir(mode=0o700, exist_ok=True)
        handle = os.open(self._lock, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                yield False
            else:
                yield True
        finally:
            os.close(handle)
