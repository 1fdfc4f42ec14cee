"""`gridmon read`: ask for data and show what is answered (paper II-B, IV-C)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.console import Console

from gridmonitoring.contracts.consent import DAY_MS
from gridmonitoring.encoding.bounds import obis_text
from gridmonitoring.runtime import reading
from gridmonitoring.runtime.answers import SettlementItem
from gridmonitoring.runtime.client import open_grid
from gridmonitoring.runtime.counter import payer_of
from gridmonitoring.user_layer.cli.data_options import (
    DataText,
    FirstDay,
    LastDay,
    data_text,
    day_text,
    find_reader,
    parse_data,
    parse_days,
)
from gridmonitoring.user_layer.cli.money import energy_text, money_text
from gridmonitoring.user_layer.cli.options import DirectoryPath, KeysPath, MeterText, find_meter, keys_folder
from gridmonitoring.user_layer.cli.output import Json, Output, facts, listing
from gridmonitoring.user_layer.cli.times import time_text


def read(
    directory: DirectoryPath,
    meter: MeterText,
    first: FirstDay,
    last: LastDay,
    data: DataText = "settlements,profile,appliances",
    reader: Annotated[
        str | None,
        typer.Option("--as", metavar="NAME", help="Who reads; the meter's own consumer if not given."),
    ] = None,
    number: Annotated[
        int, typer.Option("--grant", min=0, metavar="N", help="Grant to rely on; 0 for your own data.")
    ] = 0,
    purpose: Annotated[
        str, typer.Option("--purpose", metavar="TEXT", help="What for, as granted.")
    ] = "own use",
    keys_dir: KeysPath = None,
    as_json: Json = False,
) -> None:
    """Ask for data, and show what is answered once it is checked; the owner sees the request for ever.

    Beyond a grant nothing is answered, and the violation data_use is recorded.

    Example: gridmon read my-grid --meter 3fa2 --from 2007-06-01 --to 2007-06-02
    """
    with open_grid(directory) as grid:
        mid, folder = find_meter(grid, meter), keys_folder(grid, keys_dir)
        who = find_reader(grid, folder, reader) if reader else payer_of(grid, mid, folder)
        days = parse_days(first, last)
        wanted = reading.Wanted(mid, parse_data(data), *days, purpose, number)
        found = reading.read(grid, who, wanted)
        digits, currency = grid.genesis.minor_digits, grid.genesis.currency
    said = {
        "meter": mid,
        "request": found.number,
        "data": data_text(wanted.data),
        "node": found.tags.node,
        "tags": [
            {"data": data_text(tag.data), "inputs": len(tag.inputs), "result": tag.result}
            for tag in found.tags.tags
        ],
        "settlements": [_settlement(item, digits) for item in found.settlements],
        "details": [_detail(detail) for detail in found.details],
        "days_without_key": [day_text(day) for day in found.shut],
    }

    def show(out: Console) -> None:
        rows = [
            ("answered by node", found.tags.node.hex()),
            ("computed from", f"{sum(len(tag.inputs) for tag in found.tags.tags)} log entries"),
            ("without a key", ", ".join(map(day_text, found.shut)) or "-"),
        ]
        out.print(facts(f"Request {found.number} about meter {mid.hex()}", rows))
        if found.settlements:
            lines = [
                [
                    time_text(item.time),
                    ", ".join(f"{obis_text(code)} {energy_text(wh)}" for code, wh in item.registers),
                    f"{money_text(item.credit, digits)} {currency}",
                ]
                for item in found.settlements
            ]
            out.print(listing("Settlements", ("time", "registers", "credit"), lines))
        if found.details:
            out.print(listing("Load by day", ("day", "Wh", "appliances"), _days(found.details)))

    Output(as_json).result(said, show)


def _settlement(item: SettlementItem, digits: int) -> dict[str, Any]:
    registers = {obis_text(code): energy for code, energy in item.registers}
    credit = money_text(item.credit, digits)
    return {"index": item.index, "time": item.time, "registers_wh": registers, "credit": credit}


def _detail(detail: reading.ReadDetail) -> dict[str, Any]:
    found: dict[str, Any] = {"index": detail.item.index, "time": detail.item.time}
    if detail.load is not None:
        found["registers_wh"] = {obis_text(code): energy for code, energy in detail.load.registers}
        found["profile_w"] = list(detail.load.profile)
    if detail.appliances is not None:
        found["appliances_wh"] = {c.name.lower(): energy for c, energy in detail.appliances.channels}
    return found


def _days(details: Sequence[reading.ReadDetail]) -> list[list[str]]:
    """Return day, energy of the profile and of the appliances, as text."""
    lines: list[list[str]] = []
    for day in sorted({detail.item.time // DAY_MS for detail in details}):
        of_day = [detail for detail in details if detail.item.time // DAY_MS == day]
        energy = sum(sum(d.load.profile) for d in of_day if d.load) // 60
        used: dict[str, int] = {}
        for detail in of_day:
            for channel, wh in detail.appliances.channels if detail.appliances else ():
                used[channel.name.lower()] = used.get(channel.name.lower(), 0) + wh
        profile = str(energy) if any(d.load for d in of_day) else "-"
        lines.append([day_text(day), profile, ", ".join(f"{n} {wh}" for n, wh in used.items()) or "-"])
    return lines
