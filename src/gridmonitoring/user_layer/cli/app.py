"""The program `gridmon`: its commands, and how it starts and ends."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

import gridmonitoring
from gridmonitoring.user_layer.cli.access import access_log, erase, grant, revoke
from gridmonitoring.user_layer.cli.audit import audit
from gridmonitoring.user_layer.cli.bench import app as bench_app
from gridmonitoring.user_layer.cli.cluster import app as cluster_app
from gridmonitoring.user_layer.cli.contract import clear, dispute, rebuild_views, resolve, supply_app
from gridmonitoring.user_layer.cli.contract_key import rotate_key
from gridmonitoring.user_layer.cli.data import app as data_app
from gridmonitoring.user_layer.cli.demo import demo
from gridmonitoring.user_layer.cli.evidence import evidence
from gridmonitoring.user_layer.cli.init import init
from gridmonitoring.user_layer.cli.install import install
from gridmonitoring.user_layer.cli.meter import app as meter_app
from gridmonitoring.user_layer.cli.monitor import monitor
from gridmonitoring.user_layer.cli.node import node
from gridmonitoring.user_layer.cli.output import Guard
from gridmonitoring.user_layer.cli.pay import pay
from gridmonitoring.user_layer.cli.read import read
from gridmonitoring.user_layer.cli.register import register
from gridmonitoring.user_layer.cli.show import app as show_app
from gridmonitoring.user_layer.cli.supply import capacity, tariff
from gridmonitoring.user_layer.cli.verify import verify

app = typer.Typer(
    name="gridmon",
    help="A ledger for prepaid electricity that neither the utility nor the consumer can bend.",
    no_args_is_help=False,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for command in (demo, init, register, install, pay, tariff, capacity, node, evidence, verify, audit, monitor):
    app.command()(command)
app.command()(grant)
app.command()(revoke)
app.command()(read)
app.command()(erase)
app.command("access-log")(access_log)
for other in (dispute, resolve, clear, rebuild_views, rotate_key):
    app.command()(other)
app.add_typer(cluster_app, name="cluster")
app.add_typer(supply_app, name="supply")
app.add_typer(meter_app, name="meter")
app.add_typer(show_app, name="show")
app.add_typer(data_app, name="data")
app.add_typer(bench_app, name="bench")


@app.callback(invoke_without_command=True)
def gridmon(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """A ledger for prepaid electricity that neither the utility nor the consumer can bend.

    Example: gridmon init my-grid, then gridmon register my-grid --name alice
    """
    if version:
        sys.stdout.write(f"gridmon {gridmonitoring.__version__}\n")
        raise typer.Exit
    if context.invoked_subcommand is None:
        sys.stdout.write(context.get_help() + "\n")


def run(arguments: Sequence[str]) -> int:
    """Run one command line; return 0 where all went well, 1 where it did not, 2 for wrong usage."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    guard = Guard(as_json="--json" in arguments)
    with guard:
        ended = typer.main.get_command(app).main(list(arguments), "gridmon", standalone_mode=False)
        guard.code = min(ended, 1) if isinstance(ended, int) else 0
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.flush()
        return guard.code
    # whoever read our output is gone: that is no error of ours, and nothing is left to say
    sys.stderr.close()
    return 1


def main() -> None:
    """Entry point of the program."""
    sys.exit(run(sys.argv[1:]))
