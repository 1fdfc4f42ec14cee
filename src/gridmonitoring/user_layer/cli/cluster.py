"""`gridmon cluster`: a network of nodes under CometBFT on this machine (paper II-A, IV-D)."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from gridmonitoring.blockchain.genesis import Parameters, decode_genesis
from gridmonitoring.blockchain.light_block import comet_chain_id
from gridmonitoring.runtime.clock import SystemClock
from gridmonitoring.runtime.cluster import FIRST_PORT, init_cluster, node_directories
from gridmonitoring.runtime.consensus.cometbft.binary import comet_binary
from gridmonitoring.runtime.consensus.cometbft.supervising import Supervisor, application_command, only_home
from gridmonitoring.runtime.directory import Directory
from gridmonitoring.runtime.founding import Plan, bucket_bits_for
from gridmonitoring.runtime.network import comet_homes
from gridmonitoring.user_layer.cli.output import Json, Output, facts, note, write_line

app = typer.Typer(
    help="Nodes under CometBFT, for parties that do not trust each other.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

LOWEST_PORT, HIGHEST_PORT = 1024, 65_000


@app.command("init")
def init(
    output: Annotated[
        Path, typer.Option("--output", metavar="DIR", help="Where to make it; empty or not there yet.")
    ],
    validators: Annotated[int, typer.Option(min=1, max=16, help="Validators, one node each.")] = 4,
    name: Annotated[str, typer.Option(help="Name of the chain.")] = "area-1",
    area: Annotated[str, typer.Option(help="Area code.")] = "A1",
    currency: Annotated[str, typer.Option(help="ISO 4217 code of its money.")] = "EUR",
    minor_digits: Annotated[int, typer.Option(min=0, max=4, help="Decimals of the currency.")] = 2,
    meters: Annotated[
        int, typer.Option(min=1, metavar="N", help="Meters that the state tree is sized for. Never changes.")
    ] = 50_000,
    port: Annotated[
        int,
        typer.Option(min=LOWEST_PORT, max=HIGHEST_PORT, help="First node's port; the others' follow."),
    ] = FIRST_PORT,
    as_json: Json = False,
) -> None:
    """Make a cluster on this machine: a directory per node with its keys, its CometBFT, and genesis.

    The offices' keys are in the first node's directory.

    Example: gridmon cluster init --validators 4 --output my-cluster
    """
    parameters = Parameters(bucket_bits=bucket_bits_for(meters))
    plan = Plan(name, area, currency, minor_digits, validators, parameters)
    genesis = init_cluster(output, plan, SystemClock().now_ms(), port)
    nodes = [str(place.root) for place in node_directories(output)]
    data = {
        "directory": str(output),
        "name": name,
        "comet_chain": comet_chain_id(genesis.origin()),
        "nodes": nodes,
        "ports": list(range(port, port + validators)),
    }
    rows = [
        ("chain", f"{name}, {data['comet_chain']} for CometBFT"),
        ("nodes", ", ".join(nodes)),
        ("ports", f"{port} to {port + validators - 1}, on the loopback"),
        ("next", f"gridmon cluster up {output}"),
    ]
    Output(as_json).result(data, lambda out: out.print(facts(f"Cluster in {output}", rows)))


@app.command("up")
def up(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Directory of the cluster.")],
    as_json: Json = False,
) -> None:
    """Run every node of a cluster until Ctrl-C or SIGTERM; each is its application and its CometBFT.

    With --json the one line on stdout comes when all nodes have started.

    Example: gridmon cluster up my-cluster
    """
    logging.basicConfig(
        stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s"
    )
    binary = comet_binary()
    places = node_directories(directory)
    asyncio.run(_Cluster(places, binary, as_json).run())
    note("stopped; everything decided is on disk")


class _Cluster:
    """The supervisors of every node."""

    def __init__(self, places: list[Directory], binary: Path, as_json: bool) -> None:
        self._as_json = as_json
        self._waiting = {str(place.root) for place in places}
        self._nodes: list[dict[str, object]] = []
        self._supervisors: list[tuple[Directory, Supervisor]] = []
        for place in places:
            homes = comet_homes(place, decode_genesis(place.genesis.read_bytes()))
            home = only_home(list(homes.values()))
            self._supervisors.append((place, Supervisor(home, binary, application_command(place.root))))

    async def run(self) -> None:
        """Run until told to stop."""
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._stop)
        lives = [self._one(place, supervisor) for place, supervisor in self._supervisors]
        await asyncio.gather(*lives)

    async def _one(self, place: Directory, supervisor: Supervisor) -> None:
        def ready(application: int, comet: int) -> None:
            self._started(place, application, comet)

        await supervisor.run(ready)

    def _stop(self) -> None:
        for _, supervisor in self._supervisors:
            supervisor.stop()

    def _started(self, place: Directory, application: int, comet: int) -> None:
        note(f"{place.root}: application is process {application}, CometBFT {comet}")
        if str(place.root) not in self._waiting:
            return
        self._waiting.remove(str(place.root))
        self._nodes.append({"directory": str(place.root), "application": application, "cometbft": comet})
        if not self._waiting:
            note("every node has started; other commands take the directory of one")
            if self._as_json:
                write_line({"nodes": sorted(self._nodes, key=lambda node: str(node["directory"]))})
