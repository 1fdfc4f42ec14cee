"""`gridmon tariff` and `gridmon capacity`: what a utility charges and the energy center offers (III-A-6)."""

from __future__ import annotations

from typing import Annotated

import typer

from gridmonitoring.blockchain.state_rows import Table
from gridmonitoring.encoding.bounds import Role
from gridmonitoring.energy_center.calendar import DAY_MS
from gridmonitoring.energy_center.tariffs import Tariff
from gridmonitoring.errors import UserError
from gridmonitoring.processing.rows import CapacityRow
from gridmonitoring.runtime.client import open_grid
from gridmonitoring.runtime.counter import find_tariff, grid_office
from gridmonitoring.runtime.grid_port import Grid
from gridmonitoring.runtime.offices import offer_capacity, publish
from gridmonitoring.user_layer.cli.money import energy_text, money_text, parse_decimal, parse_price
from gridmonitoring.user_layer.cli.options import DirectoryPath
from gridmonitoring.user_layer.cli.output import Json, Output, facts
from gridmonitoring.user_layer.cli.standard_tariffs import Shape, fixed_offset, standard_tariff, utc_offset
from gridmonitoring.user_layer.cli.times import parse_time, time_text


def tariff(
    directory: DirectoryPath,
    name: Annotated[str, typer.Option(help="A name in use is followed by the new tariff, with notice.")],
    price: Annotated[str, typer.Option(help="Price of a kWh.")],
    shape: Annotated[
        Shape, typer.Option(help="Flat, in slabs of the month, or by time of use.")
    ] = Shape.FLAT,
    standing: Annotated[str, typer.Option(help="Standing charge per day.")] = "0",
    start: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="Valid from then on; else as soon as can be.")
    ] = None,
    offset: Annotated[str, typer.Option("--utc-offset", metavar="+HH:MM", help="Local time.")] = "+01:00",
    as_json: Json = False,
) -> None:
    """Publish a tariff; one of a name in use follows the last once its notice has run out.

    Slabs and times of use are those of `init`, from one price.

    Example: gridmon tariff my-grid --name night --price 0.21 --standing 0.25
    """
    with open_grid(directory) as grid:
        digits, currency = grid.genesis.minor_digits, grid.genesis.currency
        utility = grid.signer(grid_office(grid, Role.UTILITY))
        now = grid.clock.now_ms()
        valid = _valid_from(find_tariff(grid, utility.id, name), now)
        if start is not None:
            valid = parse_time(start, "--from")
        made = standard_tariff(
            shape,
            utility.id,
            name,
            currency,
            parse_price(price, digits, "--price"),
            parse_price(standing, digits, "--standing"),
            valid,
            fixed_offset(utc_offset(offset)),
        )
        receipt = grid.require(publish(utility, made, now))
    data = {
        "tariff": made.digest,
        "name": name,
        "shape": shape.value,
        "valid_from": valid,
        "prices": {str(number): money_text(money, digits) for number, money in made.prices.items()},
        "currency": currency,
        "index": receipt.index,
    }
    rows = [
        ("tariff", made.digest.hex()),
        ("valid from", time_text(valid)),
        *(
            (f"price {number} of a kWh", f"{money_text(m, digits)} {currency}")
            for number, m in made.prices.items()
        ),
        ("standing per day", f"{money_text(made.standing_per_day, digits)} {currency}"),
        ("log entry", str(receipt.index)),
    ]
    Output(as_json).result(data, lambda out: out.print(facts(f"Tariff {name}", rows)))


def _valid_from(last: Tariff | None, now: int) -> int:
    """Return the earliest time a tariff can be valid from: for a new name, so that it can be used now."""
    return max(now - DAY_MS, 0) if last is None else max(now + last.notice_ms, last.valid_from_ms + 1)


def capacity(
    directory: DirectoryPath,
    energy: Annotated[str, typer.Option(metavar="MWH", help="Energy to dispatch.")],
    start: Annotated[
        str | None,
        typer.Option("--from", metavar="TIME", help="Start; where the last window ends if not given."),
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=36600, help="How long it lasts.")] = 366,
    as_json: Json = False,
) -> None:
    """Offer capacity: a window of time with the energy that purchases can book in it.

    Example: gridmon capacity my-grid --energy 10000 --days 366
    """
    amount = parse_decimal(energy, 6, "--energy")
    with open_grid(directory) as grid:
        now = grid.clock.now_ms()
        begin = _last_end(grid, now) if start is None else parse_time(start, "--from")
        end = begin + days * DAY_MS
        if amount == 0:
            raise UserError("--energy: a window of nothing helps nobody")
        center = grid.signer(grid_office(grid, Role.ENERGY_CENTER))
        receipt = grid.require(offer_capacity(center, begin, end, amount, now))
    data = {"from": begin, "to": end, "energy_wh": amount, "index": receipt.index}
    rows = [
        ("from", time_text(begin)),
        ("to", time_text(end)),
        ("energy", energy_text(amount)),
        ("log entry", str(receipt.index)),
    ]
    Output(as_json).result(data, lambda out: out.print(facts("Capacity offered", rows)))


def _last_end(grid: Grid, now: int) -> int:
    """Return where the last window of capacity ends, or now."""
    row: CapacityRow | None = grid.row(Table.CAPACITY, b"")
    return max([now, *(window.to_ms for window in row.windows)]) if row else now
