"""Reading the data center's copies: as of one moment, with or without a running node.

Left out: what may leave (`research`). Whoever can read the directory can read all of it: this is for the
operator and its auditors.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from gridmonitoring.data_center.copies import TABLES
from gridmonitoring.data_center.floors import Floors
from gridmonitoring.runtime.columns.engine import opened
from gridmonitoring.runtime.columns.parquet import by_table
from gridmonitoring.runtime.columns.paths import DataCenterPaths
from gridmonitoring.runtime.columns.register import Register
from gridmonitoring.runtime.columns.spool import Head, Spool, head_of

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


class DataStatus(Struct, frozen=True):
    """How a data center stands."""

    head: Head
    """How far its copies go."""
    parts: int
    """Parts in Parquet."""
    bytes: int
    """Bytes of their files."""
    waiting: int
    """Blocks whose copies are in no part yet."""
    floors: Floors
    """The floors in force."""
    given: int
    """Cells of aggregates that were given."""
    atoms: int
    """Atoms that they cut settlements into."""
    opened: int
    """Settlements whose rows were exported."""


def data_status(paths: DataCenterPaths) -> DataStatus:
    """Return how a data center stands; raises `UserError` where there is none."""
    paths.require()
    spool = Spool(paths.copies, read_only=True)
    register = Register(paths.releases)
    try:
        parts, blocks = spool.snapshot()
        files = (path for part in parts for path in (paths.parts / part.name).iterdir())
        size = sum(path.stat().st_size for path in files)
        head = head_of(parts, blocks)
        return DataStatus(head, len(parts), size, len(blocks), register.floors(), *register.counts())
    finally:
        register.close()
        spool.close()


@contextmanager
def open_copies(paths: DataCenterPaths) -> Iterator[tuple[DuckDBPyConnection, Head]]:
    """Open the copies for queries, closed in as `engine` says; raises `UserError` where there are none."""
    paths.require()
    spool = Spool(paths.copies, read_only=True)
    try:
        parts, blocks = spool.snapshot()
    finally:
        spool.close()
    files: dict[str, list[Path]] = {
        table: [paths.parts / part.name / f"{table}.parquet" for part in parts] for table in TABLES
    }
    rest = by_table(copy for block in blocks for copy in block.copies)
    with opened(files, rest) as connection:
        yield connection, head_of(parts, blocks)
