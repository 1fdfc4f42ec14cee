"""What `gridmon show meter` tells of a meter, from the rows of the state."""

from __future__ import annotations

from typing import Any

from gridmonitoring.blockchain.state_rows import MeterRow, SupplyPointRow, Table
from gridmonitoring.contracts.meter_rule import MeterState, Relay, Status
from gridmonitoring.encoding.bounds import obis_text
from gridmonitoring.energy_center.credit import Account
from gridmonitoring.processing.rows import AgreementRow, TariffRow
from gridmonitoring.runtime.grid_port import PAGE, Grid
from gridmonitoring.user_layer.cli.money import energy_text, money_text
from gridmonitoring.user_layer.cli.times import time_text


def meter_list(grid: Grid, limit: int) -> list[dict[str, Any]]:
    """Return the first meters of a network, in order of their IDs, in short."""
    found = []
    for mid, point in grid.rows(Table.SUPPLY_POINT, limit=min(limit, PAGE)):
        meter: MeterRow = grid.row(Table.METER, mid)
        account: Account | None = grid.row(Table.ACCOUNT, mid)
        digits = grid.genesis.minor_digits
        found.append(
            {
                "mid": mid.hex(),
                "stage": point.stage.name.lower(),
                "state": MeterState(meter.state).name.lower(),
                "relay": Relay(meter.relay).name.lower(),
                "credit": money_text(account.credit if account else 0, digits),
                "debt": money_text(account.debt if account else 0, digits),
                "height": meter.height,
            }
        )
    return found


def meter_data(grid: Grid, mid: bytes) -> dict[str, Any]:
    """Return all that the state says of a meter."""
    point: SupplyPointRow = grid.row(Table.SUPPLY_POINT, mid)
    meter: MeterRow = grid.row(Table.METER, mid)
    account: Account | None = grid.row(Table.ACCOUNT, mid)
    digits = grid.genesis.minor_digits
    return {
        "meter": mid.hex(),
        "consumer": point.consumer.hex(),
        "utility": point.utility.hex(),
        "area": point.area,
        "stage": point.stage.name.lower(),
        "state": MeterState(meter.state).name.lower(),
        "relay": Relay(meter.relay).name.lower(),
        "status": [flag.name.lower() for flag in Status if meter.status & flag and flag.name],
        "epoch": meter.epoch,
        "sequence": meter.sequence,
        "gaps": [list(gap) for gap in meter.gaps],
        "last_report": meter.time,
        "height": meter.height,
        "next_height": meter.next_height,
        "messages": meter.messages,
        "commands": {"ordered": meter.commands, "carried_out": meter.carried_out},
        "credit": money_text(account.credit if account else 0, digits),
        "debt": money_text(account.debt if account else 0, digits),
        "registers_wh": {obis_text(code): now for code, _, now in account.statement.registers}
        if account
        else {},
        "last_settlement": account.statement.time_ms if account else None,
        **_terms(grid, mid),
    }


def _terms(grid: Grid, mid: bytes) -> dict[str, Any]:
    row: AgreementRow | None = grid.row(Table.AGREEMENT, mid)
    if row is None:
        return {"tariff": None}
    agreement, digits = row.agreement, grid.genesis.minor_digits
    tariff: TariffRow | None = grid.row(Table.TARIFF, agreement.tariff)
    return {
        "tariff": tariff.tariff.name if tariff else agreement.tariff.hex(),
        "script": row.script.hex(),
        "threshold": money_text(agreement.billing.threshold, digits),
        "reporting_interval_min": agreement.reporting_interval_ms // 60_000,
        "billing_interval_min": agreement.billing_interval_ms // 60_000,
        "power_limit_w": agreement.power_limit,
        "never_cut": agreement.never_cut,
    }


def meter_rows(data: dict[str, Any], currency: str) -> list[tuple[str, str]]:
    """Return the same for people."""
    commands = data["commands"]
    rows = [
        ("consumer", data["consumer"]),
        ("stage", data["stage"]),
        ("state", data["state"].replace("_", " ")),
        ("relay", data["relay"]),
        ("status word", ", ".join(data["status"]) or "nothing set"),
        ("credit", f"{data['credit']} {currency}"),
        ("debt", f"{data['debt']} {currency}"),
        ("last report", f"number {data['sequence']}, {time_text(data['last_report'])}"),
        ("commands", f"{commands['carried_out']} of {commands['ordered']} carried out"),
        ("block being drawn", str(data["height"])),
    ]
    rows += [(f"register {code}", energy_text(wh)) for code, wh in data["registers_wh"].items()]
    if data["tariff"]:
        rows += [
            ("tariff", data["tariff"]),
            ("warning at", f"{data['threshold']} {currency}"),
            ("reports, settlements", f"{data['reporting_interval_min']}, {data['billing_interval_min']} min"),
            ("script", data["script"]),
        ]
    return rows
