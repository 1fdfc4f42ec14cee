"""`gridmon node`: own a directory and serve it to other commands (paper II-A)."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from typing import Annotated

import typer

from gridmonitoring.blockchain.genesis import decode_genesis
from gridmonitoring.runtime.consensus.cometbft.binary import comet_binary
from gridmonitoring.runtime.consensus.cometbft.supervising import Supervisor, application_command, only_home
from gridmonitoring.runtime.directory import Directory
from gridmonitoring.runtime.grid_port import Status
from gridmonitoring.runtime.local_grid import LocalGrid
from gridmonitoring.runtime.network import comet_homes
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
    application: Annotated[bool, typer.Option("--application", hidden=True)] = False,
    as_json: Json = False,
) -> None:
    """Run the network's nodes until Ctrl-C or SIGTERM; other commands on DIR then go through them.

    A node of a cluster is two processes, CometBFT and the application; if either ends, both start again.

    With --json the one line on stdout comes when the socket answers.

    Example: gridmon node my-grid
    """
    logging.basicConfig(
        stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s"
    )
    place = Directory(directory)
    place.require()
    if place.under_comet and not application:
        _supervise(place, as_json)
        return
    pool = VerifierPool()
    try:
        grid = LocalGrid(place, pool=pool)

        def ready(status: Status) -> None:
            socket = grid.directory.socket
            note(f"serving {socket} with {len(status.validators)} validators at block {status.height}")
            if as_json:
                write_line({"socket": str(socket), "process": status.process, "height": status.height})

        serve(grid, ready, Pace(share, every), sys.stdin.fileno() if application else None)
    finally:
        pool.close()
    note("stopped; everything decided is on disk")


def _supervise(place: Directory, as_json: bool) -> None:
    """Keep a cluster's node and its CometBFT up; print a line each time both are started."""
    binary = comet_binary()
    homes = comet_homes(place, decode_genesis(place.genesis.read_bytes()))
    supervisor = Supervisor(only_home(list(homes.values())), binary, application_command(place.root))

    def ready(application: int, comet: int) -> None:
        note(f"{place.root}: application is process {application}, CometBFT {comet}")
        if as_json:
            write_line({"socket": str(place.socket), "application": application, "cometbft": comet})

    async def run() -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, supervisor.stop)
        await supervisor.run(ready)

    asyncio.run(run())
    note("stopped; everything decided is on disk")
