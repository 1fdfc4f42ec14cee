"""`gridmon evidence`: a file that proves one thing to whoever has the genesis document (paper II-B)."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from gridmonitoring.blockchain.evidence_bundle import EvidenceKind
from gridmonitoring.errors import UserError
from gridmonitoring.runtime.client import open_grid
from gridmonitoring.user_layer.cli.options import DirectoryPath, MeterText, find_meter
from gridmonitoring.user_layer.cli.output import Json, Output, facts, note

GENESIS = "genesis.cbor"
"""Name under which verifiers look for the genesis document, beside a bundle."""


class Kind(StrEnum):
    """Kinds of evidence as options."""

    READING = "reading"
    PURCHASE = "purchase"
    BLOCK = "block"
    MESSAGE = "message"
    COMMAND = "command"
    STATEMENT = "statement"
    BILL = "bill"
    ACCUSATION = "accusation"


def evidence(
    directory: DirectoryPath,
    meter: MeterText,
    kind: Annotated[Kind, typer.Option(help="What to prove.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="File to write.")],
    number: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Log entry, height of a block or number of a command; the last if not given.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a bundle that proves a reading, purchase, block, message, command, statement, bill or accusation.

    The genesis document is written beside it, where there is none yet.

    Example: gridmon evidence my-grid --meter 3fa2 --kind bill -o bill.cbor
    """
    with open_grid(directory) as grid:
        mid = find_meter(grid, meter)
        bundle = grid.evidence(EvidenceKind[kind.name], mid, number)
        genesis = output.with_name(GENESIS)
        try:
            output.write_bytes(bundle)
            if not genesis.exists():
                genesis.write_bytes(grid.document)
            elif genesis.read_bytes() != grid.document:
                note(f"{genesis} is of another chain: verify with --genesis {grid.directory.genesis}")
        except OSError as error:
            raise UserError(f"--output: cannot write {error.filename}: {error.strerror}") from error
    data = {
        "file": str(output),
        "kind": kind.value,
        "meter": mid,
        "bytes": len(bundle),
        "genesis": str(genesis),
    }
    rows = [
        ("file", str(output)),
        ("proves", kind.value),
        ("meter", mid.hex()),
        ("size", f"{len(bundle)} bytes"),
        ("next", f"gridmon verify {output}"),
    ]
    Output(as_json).result(data, lambda out: out.print(facts("Evidence", rows)))
