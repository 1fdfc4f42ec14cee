"""`gridmon rotate-key` and `gridmon show contract-key`: what reports are sealed to (paper II-B)."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from gridmonitoring.blockchain.contract_keys import announced, ended, in_force, last_announced
from gridmonitoring.blockchain.genesis import Successor, ValidatorSet
from gridmonitoring.blockchain.state_rows import ContractKeyRow, MeterKeyRow, Stage, SupplyPointRow, Table
from gridmonitoring.encoding.bounds import MAX_INT
from gridmonitoring.keys.sealed_boxes import SuiteNumber
from gridmonitoring.runtime.client import open_grid
from gridmonitoring.runtime.contract_keys import contract_key_file, held_secrets, prepare_successor, rotate
from gridmonitoring.runtime.grid_port import PAGE, Grid
from gridmonitoring.user_layer.cli.options import DirectoryPath
from gridmonitoring.user_layer.cli.output import Json, Output, facts, listing
from gridmonitoring.user_layer.cli.times import time_text

HOUR_MS = 3_600_000


def rotate_key(
    directory: DirectoryPath,
    hours: Annotated[
        int,
        typer.Option(min=0, max=87_600, help="How long the last key is still taken; 0 where it was stolen."),
    ] = 720,
    since: Annotated[
        int, typer.Option("--from-entry", min=0, help="Log entry from which it is in force; at once if none.")
    ] = 0,
    as_json: Json = False,
) -> None:
    """Announce a new contract key with the approval of the nodes; they tell each meter to seal to it.

    The nodes need its key file (keys/contract-2.json and so on) beside the one before.

    Example: gridmon rotate-key my-grid --hours 720
    """
    with open_grid(directory) as grid:
        number = last_announced(grid.row) + 1
        row: ValidatorSet = grid.row(Table.VALIDATORS, b"")
        nodes = [grid.signer(validator.name) for validator in row.validators]
        key = prepare_successor(grid.directory, number)
        now = grid.clock.now_ms()
        successor = Successor(number, SuiteNumber.X25519, key, since, min(now + hours * HOUR_MS, MAX_INT))
        receipt = grid.require(rotate(nodes, successor, now))
    data = {
        "number": number,
        "key": key,
        "key_file": contract_key_file(grid.directory, number),
        "from_entry": max(since, receipt.index),
        "earlier_end": successor.ends,
        "approved_by": [node.name for node in nodes],
        "index": receipt.index,
    }
    rows = [
        ("contract key", f"{number}, {key.hex()}"),
        ("key file", str(data["key_file"])),
        ("in force from log entry", str(data["from_entry"])),
        ("earlier keys end", time_text(successor.ends)),
        ("approved by", ", ".join(node.name for node in nodes)),
        ("log entry", str(receipt.index)),
    ]
    Output(as_json).result(data, lambda out: out.print(facts("Contract key announced", rows)))


def contract_key(directory: DirectoryPath, as_json: Json = False) -> None:
    """Show the contract keys of a network: which is in force, which has ended, how many meters use it.

    Example: gridmon show contract-key my-grid
    """
    with open_grid(directory) as grid:
        status = grid.status()
        current, _ = in_force(grid.row, grid.genesis, status.log_size)
        over = ended(grid.row, grid.genesis, status.log_size, status.time)
        held = held_secrets(grid.directory)
        meters = _meters(grid)
        keys = [
            _key(number, row, current, over, row.key in held, meters.get(number, 0))
            for number, row in sorted(announced(grid.row, grid.genesis))
        ]
    columns = ("number", "key", "state", "ends", "secret held", "meters")
    lines = [
        (
            str(key["number"]),
            key["key"].hex(),
            key["state"],
            "-" if key["ends"] is None else time_text(key["ends"]),
            "yes" if key["held"] else "no",
            str(key["meters"]),
        )
        for key in keys
    ]
    Output(as_json).result({"keys": keys}, lambda out: out.print(listing("Contract keys", columns, lines)))


def _key(
    number: int, row: ContractKeyRow, current: int, over: Any, held: bool, meters: int
) -> dict[str, Any]:
    states = {True: "in force", False: "announced" if number > current else "taken still"}
    return {
        "number": number,
        "key": row.key,
        "state": "ended" if row.key in over else states[number == current],
        "from_entry": row.since,
        "ends": row.ends,
        "held": held,
        "meters": meters,
    }


def _meters(grid: Grid) -> dict[int, int]:
    """Return number of a key -> how many meters with power seal to it."""
    taken: dict[bytes, int] = {}
    keys: list[tuple[bytes, MeterKeyRow]] = grid.rows(Table.METER_KEY)
    while keys:
        taken.update((mid, row.taken) for mid, row in keys)
        keys = grid.rows(Table.METER_KEY, after=keys[-1][0]) if len(keys) == PAGE else []
    counts: dict[int, int] = {}
    points: list[tuple[bytes, SupplyPointRow]] = grid.rows(Table.SUPPLY_POINT)
    while points:
        for mid, point in points:
            if point.stage == Stage.SUPPLIED:
                counts[taken.get(mid, 1)] = counts.get(taken.get(mid, 1), 0) + 1
        points = grid.rows(Table.SUPPLY_POINT, after=points[-1][0]) if len(points) == PAGE else []
    return counts
