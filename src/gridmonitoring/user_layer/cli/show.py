"""`gridmon show`: a network, a meter, its thread of blocks, one block, violations (paper II-A, III-A)."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from gridmonitoring.blockchain.bodies import Kind
from gridmonitoring.blockchain.checkpoint import decode_note
from gridmonitoring.blockchain.transactions import decode_payload
from gridmonitoring.encoding.bounds import Role
from gridmonitoring.errors import UserError
from gridmonitoring.keys.signatures import split
from gridmonitoring.runtime.client import open_grid
from gridmonitoring.runtime.grid_port import Grid
from gridmonitoring.runtime.storage.truth import decode_body
from gridmonitoring.runtime.views.contract_database import Query
from gridmonitoring.user_layer.cli.contract_key import contract_key
from gridmonitoring.user_layer.cli.options import DirectoryPath, find_meter
from gridmonitoring.user_layer.cli.output import Json, Output, facts, listing
from gridmonitoring.user_layer.cli.show_failures import failures
from gridmonitoring.user_layer.cli.show_meter import meter_data, meter_list, meter_rows
from gridmonitoring.user_layer.cli.show_thread import block_data, block_rows, thread_data, thread_rows
from gridmonitoring.user_layer.cli.show_violation import (
    COLUMNS,
    NODE_COLUMNS,
    proposal_row,
    recorded_data,
    recorded_row,
    violation_named,
    wrong_proposals,
)
from gridmonitoring.user_layer.cli.times import parse_time, time_text

app = typer.Typer(
    help="Show a network, a meter, its thread of blocks, one block, violations, keys.",
    rich_markup_mode=None,
)

app.command()(failures)
app.command("contract-key")(contract_key)

MeterArgument = Annotated[
    str, typer.Argument(metavar="MID", help="Meter ID, or the beginning of one that no other has.")
]
MAX_METERS = 100
"""Most meters that `show network` lists."""


@app.command()
def network(directory: DirectoryPath, as_json: Json = False) -> None:
    """Show how a network stands: blocks, log, validators, meters.

    Example: gridmon show network my-grid
    """
    with open_grid(directory) as grid:
        status = grid.status()
        genesis = grid.genesis
        meters = meter_list(grid, MAX_METERS)
        roles = {party.name: party.role.name.lower() for party in genesis.parties if party.role != Role.NODE}
        data = {
            "chain": grid.chain_id,
            "name": genesis.name,
            "area": genesis.area,
            "currency": genesis.currency,
            "height": status.height,
            "time": status.time,
            "simulated": status.simulated,
            "log_size": status.log_size,
            "app_hash": status.app_hash,
            "validators": [
                {"name": v.name, "height": v.height, "halted": v.halted or None} for v in status.validators
            ],
            "parties": roles,
            "meters": status.meters,
            "first_meters": meters,
        }
    rows = [
        ("chain", f"{genesis.name}  {grid.chain_id.hex()}"),
        ("area, currency", f"{genesis.area}, {genesis.currency}"),
        (
            "block",
            f"{status.height}, {time_text(status.time)}" + (" (simulated)" if status.simulated else ""),
        ),
        ("transactions", str(status.log_size)),
        ("app_hash", status.app_hash.hex()),
        ("parties", ", ".join(roles)),
        ("meters", str(status.meters)),
    ]
    validators = [(v.name, str(v.height), v.halted or "voting") for v in status.validators]
    columns = ("MID", "stage", "state", "relay", "credit", "debt", "height")
    lines = [[str(meter[column.lower()]) for column in columns] for meter in meters]

    def show(out: Console) -> None:
        out.print(facts(f"Network in {directory}", rows))
        out.print(listing("Validators", ("name", "block", "state"), validators))
        more = f" (the first {MAX_METERS})" if status.meters > len(meters) else ""
        out.print(listing(f"Meters{more}", columns, lines))

    Output(as_json).result(data, show)


@app.command()
def meter(directory: DirectoryPath, mid: MeterArgument, as_json: Json = False) -> None:
    """Show a meter: state, relay, registers, credit, terms, commands waiting.

    Example: gridmon show meter my-grid 3fa2
    """
    with open_grid(directory) as grid:
        found = find_meter(grid, mid)
        data = meter_data(grid, found)
        rows = meter_rows(data, grid.genesis.currency)
    Output(as_json).result(data, lambda out: out.print(facts(f"Meter {found.hex()}", rows)))


@app.command()
def thread(directory: DirectoryPath, mid: MeterArgument, as_json: Json = False) -> None:
    """Show the thread of a meter: its parent blocks, from the installation on, with their side blocks.

    Example: gridmon show thread my-grid 3fa2
    """
    with open_grid(directory) as grid:
        found = find_meter(grid, mid)
        data = thread_data(grid, found)
    columns = (
        "height",
        "block ID",
        "status",
        "paid",
        "quoted",
        "purchased",
        "finished",
        "side blocks",
        "violations",
    )
    table = listing(f"Thread of {found.hex()}", columns, thread_rows(data["blocks"]))
    Output(as_json).result(data, lambda out: out.print(table))


@app.command()
def block(
    directory: DirectoryPath,
    height: Annotated[
        int, typer.Argument(min=0, help="Height: of the thread with --meter, else of the network.")
    ],
    mid: Annotated[
        str | None,
        typer.Option("--meter", metavar="MID", help="Whose parent block; a consensus block if not given."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show a parent block of a meter's thread, or a block of the network with its transactions.

    Example: gridmon show block my-grid 1 --meter 3fa2
    """
    with open_grid(directory) as grid:
        if mid is None:
            _consensus_block(grid, height, as_json)
            return
        found = find_meter(grid, mid)
        data = block_data(grid, found, height)
    table = facts(f"Block {height} of {found.hex()}", block_rows(data, grid.genesis.currency))
    Output(as_json).result(data, lambda out: out.print(table))


@app.command()
def violation(
    directory: DirectoryPath,
    mid: Annotated[
        str | None, typer.Option("--meter", metavar="MID", help="Whose; those of every meter if not given.")
    ] = None,
    number: Annotated[int, typer.Option(min=0, help="Only this one, of a meter.")] = 0,
    kind: Annotated[str, typer.Option("--type", metavar="NAME", help="Only this type, as tamper.")] = "",
    messages: Annotated[
        bool, typer.Option("--messages", help="Also the messages that are no violation.")
    ] = False,
    since: Annotated[str, typer.Option(metavar="TIME", help="Not before, as 2007-06-01.")] = "",
    until: Annotated[str, typer.Option(metavar="TIME", help="Not after.")] = "",
    as_json: Json = False,
) -> None:
    """Show violations, what was done about each with its receipt, and disputes: the contract database.

    Example: gridmon show violation my-grid --meter 3fa2
    """
    with open_grid(directory) as grid:
        query = Query(
            find_meter(grid, mid) if mid else b"",
            number,
            not messages,
            int(violation_named(kind)) if kind else 0,
            parse_time(since, "--since") if since else 0,
            parse_time(until, "--until") if until else 2**63 - 1,
        )
        found = [recorded_data(grid, recorded) for recorded in grid.recorded(query)]
        rows = [recorded_row(data, grid.genesis.currency) for data in found]
        nodes = wrong_proposals(grid)
    tables = [listing("Contract database", COLUMNS, rows)]
    if nodes:
        lines = [proposal_row(data) for data in nodes]
        tables.append(listing("Nodes that proposed a wrong result", NODE_COLUMNS, lines))
    Output(as_json).result({"entries": found, "nodes": nodes}, lambda out: out.print(*tables))


def _consensus_block(grid: Grid, height: int, as_json: bool) -> None:
    found = grid.block(height)
    if found is None:
        raise UserError(f"the network has no block {height}; the first is 1")
    note = decode_note(found.note)
    first = found.header.first
    transactions = []
    for offset, raw in enumerate(decode_body(found.body)):
        payload = decode_payload(split(raw)[0])
        transactions.append(
            {
                "index": first + offset,
                "kind": Kind(payload.kind).name.lower(),
                "role": Role(payload.role).name.lower(),
                "signer": payload.signer.hex(),
                "time": payload.time,
            }
        )
    data = {
        "height": height,
        "hash": note.checkpoint.block_hash,
        "time": found.header.time,
        "proposer": found.header.proposer,
        "app_hash": note.checkpoint.app_hash,
        "log_root": note.checkpoint.log_root,
        "state_root": note.checkpoint.state_root,
        "log_size": note.checkpoint.size,
        "signers": [line.name for line in note.signatures],
        "transactions": transactions,
    }
    rows = [
        ("hash", note.checkpoint.block_hash.hex()),
        ("time", time_text(found.header.time)),
        ("app_hash", note.checkpoint.app_hash.hex()),
        ("log", f"{note.checkpoint.size} entries, root {note.checkpoint.log_root.hex()}"),
        ("signed by", ", ".join(line.name for line in note.signatures)),
    ]
    columns = ("index", "kind", "role", "signer", "signed at")
    lines = [
        (str(t["index"]), str(t["kind"]), str(t["role"]), str(t["signer"]), time_text(int(str(t["time"]))))
        for t in transactions
    ]

    def show(out: Console) -> None:
        out.print(facts(f"Block {height}", rows))
        out.print(listing("Transactions", columns, lines))

    Output(as_json).result(data, show)
