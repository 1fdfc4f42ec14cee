"""Parts: Parquet files of a run of blocks, one for each table, written once and never changed.

A part is listed once its files are on disk. Files that are not listed are leftovers of a crash, and go.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from gridmonitoring.data_center.copies import TABLES, AnyCopy, BlockCopies
from gridmonitoring.errors import StorageError
from gridmonitoring.runtime.columns.engine import table_columns, write_file
from gridmonitoring.runtime.columns.spool import Part

PART_ROWS = 20_000
"""Rows from which on blocks become a part."""


def by_table(copies: Iterable[AnyCopy]) -> dict[str, list[AnyCopy]]:
    """Return copies by the table they are of."""
    tables = {kind: name for name, kind in TABLES.items()}
    found: dict[str, list[AnyCopy]] = {name: [] for name in TABLES}
    for copy in copies:
        found[tables[type(copy)]].append(copy)
    return found


def weight(block: BlockCopies) -> int:
    """Return how many rows a block counts for; one without any is one, so that idle times become parts
    too.
    """
    return max(1, len(block.copies))


def runs(blocks: Iterable[BlockCopies], rows: int) -> Iterator[list[BlockCopies]]:
    """Yield runs of blocks that hold at least so many rows, the last one maybe fewer."""
    run: list[BlockCopies] = []
    size = 0
    for block in blocks:
        run.append(block)
        size += weight(block)
        if size >= rows:
            yield run
            run, size = [], 0
    if run:
        yield run


def write_part(folder: Path, generation: int, run: Sequence[BlockCopies]) -> Part:
    """Write the copies of a run of blocks, durably, and return the part to list; raises `StorageError`."""
    first, last = run[0], run[-1]
    name = f"g{generation:06d}-{first.height:012d}-{last.height:012d}"
    target = folder / name
    try:
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(mode=0o700, parents=True)
        for table, rows in by_table(copy for block in run for copy in block.copies).items():
            path = target / f"{table}.parquet"
            write_file(table_columns(table), rows, path, "parquet")
            _sync(path)
        _sync(target)
        _sync(folder)
    except OSError as error:
        raise StorageError(f"{target}: {error}") from error
    return Part(first.height, last.height, last.time_ms, last.header, name)


def generation_of(part: Part) -> int:
    """Return which making of the copies a part is of."""
    return int(part.name[1:7])


def forget_unlisted(folder: Path, parts: Iterable[Part]) -> None:
    """Remove folders of parts that are not listed."""
    listed = {part.name for part in parts}
    for found in folder.iterdir() if folder.is_dir() else ():
        if found.name not in listed:
            shutil.rmtree(found, ignore_errors=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
