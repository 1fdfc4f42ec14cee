"""`gridmon init`: a new network with its keys, tariffs and capacity (paper III-A, III-A-6)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gridmonitoring.blockchain.genesis import Parameters
from gridmonitoring.encoding.bounds import Role
from gridmonitoring.energy_center.calendar import DAY_MS
from gridmonitoring.runtime.clock import SystemClock
from gridmonitoring.runtime.counter import grid_office
from gridmonitoring.runtime.directory import Directory
from gridmonitoring.runtime.founding import Plan, bucket_bits_for, found
from gridmonitoring.runtime.local_grid import LocalGrid
from gridmonitoring.runtime.offices import offer_capacity, publish
from gridmonitoring.user_layer.cli.money import parse_decimal, parse_price
from gridmonitoring.user_layer.cli.output import Json, Output, facts
from gridmonitoring.user_layer.cli.standard_tariffs import Shape, fixed_offset, standard_tariff, utc_offset
from gridmonitoring.user_layer.cli.times import parse_time, time_text

CAPACITY_DAYS = 366
"""How long the first window of capacity lasts."""


def init(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="Where to make it; made if it is not there.")
    ],
    validators: Annotated[int, typer.Option(min=1, max=64, help="Validators, one node each.")] = 4,
    name: Annotated[str, typer.Option(help="Name of the chain.")] = "area-1",
    area: Annotated[str, typer.Option(help="Area code.")] = "A1",
    currency: Annotated[str, typer.Option(help="ISO 4217 code of its money.")] = "EUR",
    minor_digits: Annotated[int, typer.Option(min=0, max=4, help="Decimals of the currency.")] = 2,
    price: Annotated[str, typer.Option(help="Price of a kWh in the three standard tariffs.")] = "0.25",
    standing: Annotated[str, typer.Option(help="Their standing charge per day.")] = "0.30",
    offset: Annotated[
        str, typer.Option("--utc-offset", metavar="+HH:MM", help="Their local time.")
    ] = "+01:00",
    capacity: Annotated[
        str, typer.Option(metavar="MWH", help="Energy to dispatch in the first year.")
    ] = "10000",
    meters: Annotated[
        int, typer.Option(min=1, metavar="N", help="Meters that the state tree is sized for. Never changes.")
    ] = 50_000,
    start: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Simulated time from here on, moved by replayed readings; for trying things out.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a network: keys of every office, its genesis, tariffs flat, slab and time-of-use, capacity.

    Example: gridmon init my-grid --validators 4 --currency EUR --price 0.2276
    """
    money = parse_price(price, minor_digits, "--price"), parse_price(standing, minor_digits, "--standing")
    energy = parse_decimal(capacity, 6, "--capacity")
    calendar = fixed_offset(utc_offset(offset))
    now = SystemClock().now_ms() if start is None else parse_time(start, "--start")
    parameters = Parameters(bucket_bits=bucket_bits_for(meters))
    place = Directory(directory)
    place.acquire()
    try:
        genesis = found(place, Plan(name, area, currency, minor_digits, validators, parameters), now)
        if start is not None:
            place.simulated.touch()
    finally:
        place.release()
    with LocalGrid(place) as grid:
        utility = grid.signer(grid_office(grid, Role.UTILITY))
        center = grid.signer(grid_office(grid, Role.ENERGY_CENTER))
        valid_from = max(now - DAY_MS, 0)
        tariffs = [
            standard_tariff(shape, utility.id, shape.value, currency, *money, valid_from, calendar)
            for shape in Shape
        ]
        for tariff in tariffs:
            grid.require(publish(utility, tariff, now))
        grid.require(offer_capacity(center, now, now + CAPACITY_DAYS * DAY_MS, energy, now))
        chain = grid.chain_id
    data = {
        "directory": str(directory),
        "chain": chain,
        "name": name,
        "area": area,
        "currency": currency,
        "validators": [validator.name for validator in genesis.validators],
        "tariffs": [tariff.name for tariff in tariffs],
        "created": now,
        "simulated": start is not None,
    }
    rows = [
        ("chain", f"{name}  {chain.hex()}"),
        ("area, currency", f"{area}, {currency}"),
        ("validators", ", ".join(validator.name for validator in genesis.validators)),
        ("tariffs", ", ".join(tariff.name for tariff in tariffs)),
        ("created", time_text(now) + (" (simulated time)" if start is not None else "")),
        ("next", f"gridmon register {directory} --name alice"),
    ]
    Output(as_json).result(data, lambda out: out.print(facts(f"Network in {directory}", rows)))
