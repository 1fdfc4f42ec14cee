"""`gridmon dispute`, `resolve`, `clear`, `supply`, `rebuild-views`: a meter's contract (III-A-5, Table 1)."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from gridmonitoring.blockchain.state_rows import (
    FindingRow,
    MeterRow,
    SupplyWishRow,
    Table,
    height_key,
)
from gridmonitoring.contracts.meter_rule import MeterState
from gridmonitoring.contracts.violations import Violation
from gridmonitoring.encoding.bounds import Role
from gridmonitoring.encoding.hashes import sha256d
from gridmonitoring.errors import UserError
from gridmonitoring.runtime import contract_offices
from gridmonitoring.runtime.client import open_grid
from gridmonitoring.runtime.counter import grid_office, payer_of
from gridmonitoring.runtime.grid_port import Grid
from gridmonitoring.runtime.parties import Signer
from gridmonitoring.user_layer.cli.money import money_text
from gridmonitoring.user_layer.cli.options import DirectoryPath, KeysPath, MeterText, find_meter, keys_folder
from gridmonitoring.user_layer.cli.output import Json, Output, facts

supply_app = typer.Typer(
    help="The consumer's own supply: switch it off or on, or set a power limit.", rich_markup_mode=None
)

Number = Annotated[
    int, typer.Option(min=1, metavar="N", help="Number of the violation, as `show violation` lists it.")
]


def rebuild_views(directory: DirectoryPath, as_json: Json = False) -> None:
    """Drop every view and make it anew from what the nodes' files hold.

    Example: gridmon rebuild-views my-grid
    """
    with open_grid(directory) as grid:
        views = dict(grid.rebuild_views())
    rows = [(name, f"{entries} entries") for name, entries in views.items()]
    Output(as_json).result({"views": views}, lambda out: out.print(facts("Views made anew", rows)))


def dispute(
    directory: DirectoryPath,
    meter: MeterText,
    number: Number,
    by: Annotated[str, typer.Option(metavar="WHO", help="Who disputes: consumer or utility.")] = "consumer",
    about: Annotated[
        str, typer.Option(metavar="TEXT", help="What they say; the ledger keeps only its hash.")
    ] = "",
    keys_dir: KeysPath = None,
    as_json: Json = False,
) -> None:
    """Dispute a violation, with what was done about it; in time, and once.

    Example: gridmon dispute my-grid --meter 3fa2 --number 7
    """
    if by not in ("consumer", "utility"):
        raise UserError(f"--by: consumer or utility, not {by!r}")
    with open_grid(directory) as grid:
        mid = find_meter(grid, meter)
        folder = keys_folder(grid, keys_dir)
        party = payer_of(grid, mid, folder) if by == "consumer" else _office(grid, Role.UTILITY)
        document = sha256d(about.encode()) if about else b""
        raw = contract_offices.dispute(party, mid, number, grid.clock.now_ms(), document)
        index = grid.require(raw).index
        data = {"document": document.hex() or None, **_finding(grid, mid, number, index)}
    _say(as_json, "Disputed", data)


def resolve(
    directory: DirectoryPath,
    meter: MeterText,
    number: Number,
    uphold: Annotated[
        bool, typer.Option("--uphold/--reverse", help="Let it stand, or take back what was done.")
    ],
    give_up: Annotated[
        bool, typer.Option("--by-utility", help="The utility gives its own claim up, without operators.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Decide a dispute, by two operators: uphold the violation, or reverse it and give the money back.

    Example: gridmon resolve my-grid --meter 3fa2 --number 7 --reverse
    """
    if give_up and uphold:
        raise UserError("--by-utility: a utility alone can only give up, with --reverse")
    with open_grid(directory) as grid:
        mid = find_meter(grid, meter)
        now = grid.clock.now_ms()
        if give_up:
            raw = contract_offices.give_claim_up(_office(grid, Role.UTILITY), mid, number, now)
        else:
            first, second = _operators(grid)
            raw = contract_offices.decide_dispute(first, second, mid, number, now, upheld=uphold)
        index = grid.require(raw).index
        data = _finding(grid, mid, number, index)
    _say(as_json, "Decided", data)


def clear(
    directory: DirectoryPath,
    meter: MeterText,
    cut_off: Annotated[
        bool, typer.Option("--cut-off", help="Lift an agreed cut-off, by the utility, instead of a tamper.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Clear a tamper by two operators, or lift a cut-off; the meter hears of it when it asks next.

    Example: gridmon clear my-grid --meter 3fa2
    """
    with open_grid(directory) as grid:
        mid = find_meter(grid, meter)
        row: MeterRow = grid.row(Table.METER, mid)
        now = grid.clock.now_ms()
        if cut_off:
            raw = contract_offices.lift_cut_off(_office(grid, Role.UTILITY), mid, now)
        else:
            if row.state != MeterState.TAMPERED:
                raise UserError(f"meter {mid.hex()} is {MeterState(row.state).name.lower()}, not tampered")
            first, second = _operators(grid)
            raw = contract_offices.clear_tamper(first, second, mid, row.epoch, row.tampered, now)
        index = grid.require(raw).index
    _say(
        as_json,
        "Ordered",
        {"meter": mid.hex(), "what": "lift cut-off" if cut_off else "clear", "index": index},
    )


@supply_app.command(name="on")
def supply_on(
    directory: DirectoryPath, meter: MeterText, keys_dir: KeysPath = None, as_json: Json = False
) -> None:
    """Switch the own supply on.

    Example: gridmon supply on my-grid --meter 3fa2
    """
    _supply(directory, meter, keys_dir, as_json, on=True)


@supply_app.command(name="off")
def supply_off(
    directory: DirectoryPath, meter: MeterText, keys_dir: KeysPath = None, as_json: Json = False
) -> None:
    """Switch the own supply off.

    Example: gridmon supply off my-grid --meter 3fa2
    """
    _supply(directory, meter, keys_dir, as_json, on=False)


@supply_app.command(name="limit")
def supply_limit(
    directory: DirectoryPath,
    meter: MeterText,
    watts: Annotated[int, typer.Option(min=0, help="Power limit, W; 0 for the agreement's.")],
    keys_dir: KeysPath = None,
    as_json: Json = False,
) -> None:
    """Set a power limit of one's own, above which the meter opens the relay.

    Example: gridmon supply limit my-grid --meter 3fa2 --watts 3000
    """
    _supply(directory, meter, keys_dir, as_json, limit=watts)


def _supply(
    directory: Any, meter: str, keys_dir: Any, as_json: bool, on: bool | None = None, limit: int | None = None
) -> None:
    with open_grid(directory) as grid:
        mid = find_meter(grid, meter)
        before: SupplyWishRow = grid.row(Table.SUPPLY_WISH, mid) or SupplyWishRow(True, 0)
        consumer = payer_of(grid, mid, keys_folder(grid, keys_dir))
        wanted_on = before.on if on is None else on
        wanted = before.power_limit if limit is None else limit
        raw = contract_offices.control_supply(
            consumer, mid, grid.clock.now_ms(), on=wanted_on, power_limit=wanted
        )
        index = grid.require(raw).index
    data = {"meter": mid.hex(), "on": wanted_on, "power_limit_w": wanted, "index": index}
    _say(as_json, "Supply", data)


def _office(grid: Grid, role: Role) -> Signer:
    return grid.signer(grid_office(grid, role))


def _operators(grid: Grid) -> tuple[Signer, Signer]:
    names = [party.name for party in grid.genesis.parties if party.role == Role.OPERATOR]
    if len(names) < 2:
        raise UserError("this takes two different operators, and the network was not founded with two")
    return grid.signer(names[0]), grid.signer(names[1])


def _finding(grid: Grid, mid: bytes, number: int, index: int) -> dict[str, Any]:
    finding: FindingRow = grid.row(Table.FINDING, height_key(mid, number))
    return {
        "meter": mid.hex(),
        "number": number,
        "violation": Violation(finding.violation).name.lower(),
        "state": finding.state.name.lower(),
        "amount": money_text(finding.amount, grid.genesis.minor_digits),
        "index": index,
    }


def _say(as_json: bool, title: str, data: dict[str, Any]) -> None:
    rows = [(name.replace("_", " "), _text(value)) for name, value in data.items()]
    Output(as_json).result(data, lambda out: out.print(facts(title, rows)))


def _text(value: object) -> str:
    """Return a value as people read it."""
    if value is None:
        return "-"
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)
