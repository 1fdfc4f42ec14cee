"""`gridmon show failures`: what failed of the nodes' work with keys, for an auditor (paper II-B)."""

from __future__ import annotations

from typing import Annotated

import typer

from gridmonitoring.encoding.bounds import Role
from gridmonitoring.runtime.client import open_grid
from gridmonitoring.runtime.counter import grid_office
from gridmonitoring.runtime.reading import read_failures
from gridmonitoring.user_layer.cli.options import DirectoryPath
from gridmonitoring.user_layer.cli.output import Json, Output, listing
from gridmonitoring.user_layer.cli.times import time_text


def failures(
    directory: DirectoryPath,
    auditor: Annotated[
        str | None,
        typer.Option("--as", metavar="NAME", help="Key file of the auditor; the first one's if not given."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show signatures and sealed messages that failed at each node, with how often and when.

    Example: gridmon show failures my-grid
    """
    with open_grid(directory) as grid:
        told = read_failures(grid, grid.signer(auditor or grid_office(grid, Role.AUDITOR)))
    found = [(node, entry) for node, entries in sorted(told.items()) for entry in entries]
    data = [
        {
            "node": node,
            "kind": entry.finding.kind.name.lower(),
            "of": entry.finding.subject,
            "reason": entry.finding.reason,
            "count": entry.count,
            "first": entry.first,
            "last": entry.last,
        }
        for node, entry in found
    ]
    lines = [
        [
            node,
            entry.finding.subject.hex()[:16] or "-",
            entry.finding.reason,
            str(entry.count),
            time_text(entry.last),
        ]
        for node, entry in found
    ]
    title, columns = "Failed signatures and openings", ("node", "of", "why", "times", "last")
    Output(as_json).result(
        {"failures": data},
        lambda out: out.print(listing(title, columns, lines) if lines else f"{title}: none"),
    )
