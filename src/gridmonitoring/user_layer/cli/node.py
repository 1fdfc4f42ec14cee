"""`gridmon node`: own a directory and serve it to other commands (paper II-A)."""

from __future__ import annotations

import logging
import sys
from typing import Annotated

import typer

from gridmonitoring.runtime.directory import Directory
from gridmonitoring.runtime.grid_port import Status
from gridmonitoring.runtime.local_grid import LocalGrid
from gridmonitoring.runtime.service import Pace, serve
from gridmonitoring.runtime.signature_checker import VerifierPool
from gridmonitoring.user_layer.cli.options import DirectoryPath
from gridmonitoring.user_layer.cli.output import Json, note, write_line


def node(
    directory: DirectoryPath,
    share: Annotated[
        float,
        typer.Option(
            "--monitor-share", min=0.001, max=1.0, help="Share of a processor for re-checking files."
        ),
    ] = 0.02,
    every: Annotated[
        float,
        typer.Option("--monitor-every", min=0.0, max=86400.0, help="Rest between two passes of it, seconds."),
    ] = 30.0,
    as_json: Json = False,
) -> None:
    """Run the network's nodes until Ctrl-C or SIGTERM; other commands on DIR then go through them.

    With --json the one line on stdout comes when the socket answers.

    Example: gridmon node my-grid
    """
    logging.basicConfig(
        stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s"
    )
    pool = VerifierPool()
    try:
        grid = LocalGrid(Directory(directory), pool=pool)

        def ready(status: Status) -> None:
            socket = grid.directory.socket
            note(f"serving {socket} with {len(status.validators)} validators at block {status.height}")
            if as_json:
                write_line({"socket": str(socket), "process": status.process, "height": status.height})

        serve(grid, ready, Pace(share, every))
    finally:
        pool.close()
    note("stopped; everything decided is on disk")
