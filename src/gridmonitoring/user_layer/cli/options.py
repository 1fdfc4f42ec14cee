"""Arguments and options that several commands share, and looking up what people abbreviate."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from gridmonitoring.blockchain.state_rows import Table
from gridmonitoring.errors import UserError
from gridmonitoring.runtime.grid_port import PAGE, Grid

DirectoryPath = Annotated[Path, typer.Argument(metavar="DIR", help="Data directory of the network.")]
KeysPath = Annotated[
    Path | None,
    typer.Option("--keys-dir", metavar="DIR", help="Folder of consumers' keys; DIR/keys if not given."),
]
MeterText = Annotated[
    str, typer.Option("--meter", metavar="MID", help="Meter ID, or the beginning of one that no other has.")
]

_HEX = re.compile(r"[0-9a-fA-F]{1,32}", re.ASCII)


def keys_folder(grid: Grid, chosen: Path | None) -> Path:
    """Return the folder of consumers' keys."""
    return chosen or grid.directory.keys


def find_meter(grid: Grid, text: str) -> bytes:
    """Return the one meter ID that begins with a text in hex; raises `UserError`."""
    if _HEX.fullmatch(text) is None:
        raise UserError(f"{text!r} is not a meter ID or the beginning of one, in hex")
    wanted = text.lower()
    prefix = bytes.fromhex(wanted[: len(wanted) // 2 * 2])
    found: list[bytes] = []
    page = grid.rows(Table.SUPPLY_POINT, prefix)
    while page and len(found) < 2:
        found += [key for key, _ in page if key.hex().startswith(wanted)]
        page = grid.rows(Table.SUPPLY_POINT, prefix, after=page[-1][0]) if len(page) == PAGE else []
    if not found:
        raise UserError(f"no meter {text} on this chain")
    if len(found) > 1:
        raise UserError(f"{text} is the beginning of several meters: {found[0].hex()}, {found[1].hex()}")
    return found[0]
