"""`gridmon pay`: a purchase of power, from request to credit (paper IV-C)."""

from __future__ import annotations

from typing import Annotated

import typer

from gridmonitoring.errors import NodeUnavailable, UserError
from gridmonitoring.runtime import counter
from gridmonitoring.runtime.client import open_grid
from gridmonitoring.runtime.counter import consumer_file, payer_of
from gridmonitoring.runtime.entropy import random_bytes
from gridmonitoring.runtime.grid_port import load_signer
from gridmonitoring.user_layer.cli.money import energy_text, money_text, parse_amount
from gridmonitoring.user_layer.cli.options import DirectoryPath, KeysPath, MeterText, find_meter, keys_folder
from gridmonitoring.user_layer.cli.output import Json, Output, facts

MAX_REFERENCE = 64
"""Longest payment reference, bytes."""


def pay(
    directory: DirectoryPath,
    meter: MeterText,
    amount: Annotated[str, typer.Option(help="Money, as 20 or 20.00.")],
    payer: Annotated[
        str | None, typer.Option(metavar="NAME", help="Consumer who pays; the meter's own if not given.")
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(metavar="REF", help="The payment's reference, used once; a new one if not given."),
    ] = None,
    vendor: Annotated[
        str | None, typer.Option(metavar="NAME", help="Vendor who confirms that the money arrived.")
    ] = None,
    keys_dir: KeysPath = None,
    as_json: Json = False,
) -> None:
    """Buy power for a meter: request, the vendor's confirmation, a node's form, credit.

    Example: gridmon pay my-grid --meter 3fa2 --amount 20.00
    """
    with open_grid(directory) as grid:
        digits, currency = grid.genesis.minor_digits, grid.genesis.currency
        money = parse_amount(amount, digits, "--amount")
        if money == 0:
            raise UserError("--amount: nothing is bought for nothing")
        mid = find_meter(grid, meter)
        folder = keys_folder(grid, keys_dir)
        buyer = load_signer(grid, consumer_file(folder, payer)) if payer else payer_of(grid, mid, folder)
        used = reference or f"gridmon-{random_bytes(8).hex()}"
        if not 0 < len(used.encode()) <= MAX_REFERENCE:
            raise UserError(f"--reference: 1 to {MAX_REFERENCE} bytes are allowed")
        try:
            paid = counter.pay(grid, buyer, mid, money, used.encode(), vendor)
        except NodeUnavailable as error:
            advice = f"pay again with --reference {used}, which counts only once"
            raise NodeUnavailable(f"{error}; {advice}") from error
    data = {
        "form": paid.form,
        "index": paid.index,
        "meter": mid,
        "height": paid.height,
        "amount": money_text(money, digits),
        "currency": currency,
        "energy_wh": paid.energy,
        "credit": money_text(paid.credit, digits),
        "debt": money_text(paid.debt, digits),
        "reference": used,
    }
    rows = [
        ("form ID", paid.form.hex()),
        ("log entry", str(paid.index)),
        ("meter", mid.hex()),
        ("block of the thread", str(paid.height)),
        ("paid", f"{money_text(money, digits)} {currency}"),
        ("energy quoted (APP)", energy_text(paid.energy)),
        ("credit now", f"{money_text(paid.credit, digits)} {currency}"),
        ("debt now", f"{money_text(paid.debt, digits)} {currency}"),
        ("reference", used),
    ]
    Output(as_json).result(data, lambda out: out.print(facts("Power bought", rows)))
