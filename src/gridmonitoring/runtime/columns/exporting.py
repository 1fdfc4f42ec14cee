"""Writing an export: one file of rows and its manifest, which names the checkpoint that the rows are of."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from gridmonitoring.blockchain.checkpoint import decode_note
from gridmonitoring.data_center.aggregates import Aggregate, Dimension
from gridmonitoring.data_center.exports import Column, Manifest
from gridmonitoring.data_center.floors import Floors
from gridmonitoring.errors import StorageError, UserError
from gridmonitoring.runtime.columns.engine import export_columns, write_file
from gridmonitoring.runtime.columns.spool import Head
from gridmonitoring.runtime.grid_port import Grid

FORMATS = ("csv", "parquet")
"""How rows are written."""
MANIFEST = "manifest.json"
"""Name of the manifest."""


def require_of_chain(grid: Grid, head: Head) -> str:
    """Return the signed note of the block that the copies reach; raises `UserError` or `StorageError`.

    Copies that are of another block than the network has are not believed.
    """
    if not head.height:
        raise UserError("the data center has no copies yet; make them with: gridmon data rebuild DIR")
    block = grid.block(head.height)
    if block is None or decode_note(block.note).checkpoint.block_hash != head.header:
        raise StorageError(
            f"the copies are not of this network's block {head.height}; gridmon data rebuild DIR"
        )
    return block.note.decode()


def require_new(folder: Path, form: str) -> None:
    """Require a folder that does not exist, and a format; raises `UserError`."""
    if form not in FORMATS:
        raise UserError(f"--format: {form!r} is not one of {', '.join(FORMATS)}")
    if folder.exists():
        raise UserError(f"{folder} exists; an export goes into a folder of its own")


def write_export(
    grid: Grid,
    folder: Path,
    form: str,
    head: Head,
    content: str,
    columns: Sequence[Column],
    rows: Sequence[Any],
    floors: Floors,
    suppressed: dict[str, int],
    left_out: Sequence[str],
) -> Manifest:
    """Write rows and manifest into a new folder, and return the manifest; raises as the checks above."""
    require_new(folder, form)
    note = require_of_chain(grid, head)
    checkpoint = decode_note(note.encode()).checkpoint
    try:
        folder.mkdir(mode=0o700, parents=True)
        file = folder / f"{content.split(maxsplit=1)[0]}.{form}"
        write_file(export_columns(columns), rows, file, form)
        manifest = Manifest(
            "gridmonitoring-export/1",
            grid.chain_id.hex(),
            head.height,
            head.time_ms,
            checkpoint.app_hash.hex(),
            checkpoint.log_root.hex(),
            checkpoint.size,
            note,
            content,
            tuple(columns),
            len(rows),
            floors,
            suppressed,
            tuple(left_out),
            {file.name: sha256(file.read_bytes()).hexdigest()},
        )
        text = msgspec.json.format(msgspec.json.encode(msgspec.to_builtins(manifest)), indent=2)
        (folder / MANIFEST).write_bytes(text + b"\n")
    except OSError as error:
        raise UserError(f"{folder}: {error}") from error
    return manifest


def aggregate_row(aggregate: Aggregate) -> tuple[Any, ...]:
    """Return an aggregate in the order of `exports.AGGREGATE_SCHEMA`."""
    by = dict(aggregate.cell.by)
    values = (by.get(dimension.value, "") for dimension in Dimension)
    sums = (aggregate.meters, aggregate.settlements, aggregate.energy, aggregate.charge)
    return (aggregate.cell.period, aggregate.cell.start_ms, *values, *sums)
