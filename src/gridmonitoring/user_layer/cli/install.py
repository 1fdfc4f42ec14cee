"""`gridmon install`: a meter from supply point to access to electricity (paper IV-A, III-A-5)."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from gridmonitoring.contracts.agreement import Agreement, CustomerClass
from gridmonitoring.encoding.bounds import Role
from gridmonitoring.energy_center.calendar import MINUTE_MS
from gridmonitoring.energy_center.credit import BillingTerms
from gridmonitoring.energy_center.tariffs import Tariff
from gridmonitoring.runtime.client import open_grid
from gridmonitoring.runtime.counter import (
    consumer_file,
    grid_office,
    install_meter,
    new_supply_point,
    tariff_named,
)
from gridmonitoring.runtime.grid_port import Grid, load_signer
from gridmonitoring.runtime.texts import load_texts
from gridmonitoring.user_layer.cli.money import parse_amount, parse_decimal
from gridmonitoring.user_layer.cli.options import DirectoryPath, KeysPath, keys_folder
from gridmonitoring.user_layer.cli.output import Json, Output, facts


class Customer(StrEnum):
    """Customer classes as options."""

    HOME = "home"
    SCHOOL = "school"
    HEALTH = "health"
    BUSINESS = "business"


def install(
    directory: DirectoryPath,
    consumer: Annotated[str, typer.Option(metavar="NAME", help="Consumer, as registered.")],
    house_number: Annotated[str, typer.Option(help="Stays with the registrar; the ledger has a commitment.")],
    tariff: Annotated[str, typer.Option(help="Name of a published tariff.")] = "flat",
    threshold: Annotated[str, typer.Option(help="Credit at which to warn.")] = "1.00",
    subscription: Annotated[str, typer.Option(help="Subscription per month, without tax.")] = "0",
    tax: Annotated[str, typer.Option(help="Tax in percent.")] = "0",
    emergency_credit: Annotated[str, typer.Option(help="Debt up to which power stays on.")] = "0",
    debt_recovery: Annotated[str, typer.Option(help="Percent of a top-up that may go to debt.")] = "100",
    reporting_interval: Annotated[int, typer.Option(min=1, max=1440, help="Minutes between reports.")] = 15,
    billing_interval: Annotated[
        int, typer.Option(min=1, max=1440, help="Minutes between settlements.")
    ] = 1440,
    power_limit: Annotated[int, typer.Option(min=0, help="Watts, 0 for none.")] = 0,
    customer_class: Annotated[Customer, typer.Option("--class", help="Who the consumer is.")] = Customer.HOME,
    custodian: Annotated[
        bool, typer.Option(help="Let the utility's custodian read the load profile.")
    ] = False,
    never_cut: Annotated[bool, typer.Option("--never-cut", help="Never cut for want of credit.")] = False,
    language: Annotated[str, typer.Option(help="Language of the meter's messages.")] = "en",
    serial: Annotated[str, typer.Option(help="Serial number of the device.")] = "",
    keys_dir: KeysPath = None,
    as_json: Json = False,
) -> None:
    """Install a meter for a consumer: supply point, verification, agreement, the meter's own keys, access.

    Example: gridmon install my-grid --consumer alice --house-number 12 --tariff flat --threshold 2.00
    """
    load_texts(language)
    with open_grid(directory) as grid:
        digits = grid.genesis.minor_digits
        billing = BillingTerms(
            parse_amount(subscription, digits, "--subscription"),
            parse_amount(threshold, digits, "--threshold"),
            parse_decimal(debt_recovery, 1, "--debt-recovery"),
            parse_amount(emergency_credit, digits, "--emergency-credit"),
            parse_decimal(tax, 4, "--tax"),
        )
        holder = load_signer(grid, consumer_file(keys_folder(grid, keys_dir), consumer))
        plan = _tariff(grid, tariff)
        meter = new_supply_point(grid, house_number)
        agreement = Agreement(
            plan.utility,
            holder.id,
            meter.mid,
            CustomerClass[customer_class.name],
            plan.digest,
            billing,
            reporting_interval * MINUTE_MS,
            billing_interval * MINUTE_MS,
            power_limit,
            custodian,
            language,
            never_cut,
            (),
            (),
            grid.clock.now_ms(),
        )
        done = install_meter(grid, holder, meter, agreement, serial)
    data = {
        "meter": done.mid,
        "consumer": holder.id,
        "tariff": tariff,
        "script": done.script,
        "key_file": str(done.key_file),
        "index": done.index,
    }
    rows = [
        ("meter ID (MID)", done.mid.hex()),
        ("consumer", f"{consumer}  {holder.id.hex()}"),
        ("tariff", tariff),
        ("script", done.script.hex()),
        ("keys", str(done.key_file)),
        ("log entry", str(done.index)),
        ("next", f"gridmon pay {directory} --meter {done.mid.hex()[:8]} --amount 20.00"),
    ]
    Output(as_json).result(data, lambda out: out.print(facts("Meter installed", rows)))


def _tariff(grid: Grid, name: str) -> Tariff:
    return tariff_named(grid, grid.signer(grid_office(grid, Role.UTILITY)).id, name, grid.clock.now_ms())
