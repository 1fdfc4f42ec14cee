"""Charges: the one exact function of energy and time that a settlement pays off (paper III-A-6, and Table 1).

Within a tariff period (a local billing month under one tariff) the charge so far is the floor of

    (sum of Wh * price per kWh / 1000  +  time charges)  *  (1 + tax)

and a settlement pays the difference to the last total. What the floor left over is carried, exactly, in
parts of `EXACT` of a money unit, so rounding never drifts and the bill of a month is the same however often
it was settled. Lines of a statement are rounded so that each is 0 or more and together they are the charge.

Left out: discounts and prices for export.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from gridmonitoring.energy_center.calendar import days_between, months_between
from gridmonitoring.energy_center.tariffs import TAX_WHOLE, Tariff, TariffKind

MILLI = 1000
"""Parts of a money unit in which energy is exact: Wh times the price of a kWh."""
EXACT = MILLI * TAX_WHOLE
"""Parts of a money unit in which a charge with tax is exact."""


class EnergyLine(NamedTuple):
    """Energy at one price, exact."""

    number: int
    """Rate, or slab from 1."""
    energy: int
    """Wh."""
    exact: int
    """Price without tax, thousandths of a money unit."""


class Due(NamedTuple):
    """What a settlement pays, in whole money units, and what it leaves to the next."""

    lines: tuple[tuple[int, int, int], ...]
    """(rate or slab, Wh, money without tax)."""
    tax: int
    """Tax on energy and time charges, money."""
    charge: int
    """All lines, time charges and tax, money."""
    carry: int
    """Exact remainder, 0 .. EXACT - 1."""


def energy_lines(
    tariff: Tariff, energy_by_rate: Iterable[tuple[int, int]], before: int = 0
) -> list[EnergyLine]:
    """Return the price of energy, exact, per rate or slab; energy of 0 makes no line.

    `energy_by_rate` is (rate, Wh) of each rate, where a flat or slab tariff takes any one number for the
    total; `before` is the energy of the period so far in Wh, which says in which slabs the energy falls.
    """
    if tariff.kind == TariffKind.SLAB:
        return _slab_lines(tariff, before, sum(energy for _, energy in energy_by_rate))
    prices = tariff.prices
    return [EnergyLine(rate, energy, energy * prices[rate]) for rate, energy in energy_by_rate if energy]


def cumulative_energy_charge(tariff: Tariff, energy_by_rate: Iterable[tuple[int, int]]) -> int:
    """Return a whole period's charge for energy without tax: floor(sum(Wh * price per kWh) / 1000)."""
    return sum(line.exact for line in energy_lines(tariff, energy_by_rate)) // MILLI


def time_charges(tariff: Tariff, subscription_per_month: int, from_ms: int, to_ms: int) -> tuple[int, int]:
    """Return (standing charges, subscription) of the billing days and months that begin in (from, to].

    They fall due with the first settlement after their boundary, so one settlement may owe many.
    """
    days = days_between(tariff.calendar, from_ms, to_ms)
    if not days:
        return 0, 0
    months = months_between(tariff.calendar, from_ms, to_ms)
    return days * tariff.standing_per_day, months * subscription_per_month


def amount_due(lines: list[EnergyLine], time_money: int, tax_ppm: int, carry: int) -> Due:
    """Return the whole money units of exact energy lines and time charges with tax, after what was carried.

    Each line is rounded as the next step of one running sum (carry, lines in order, time charges, tax), so
    the steps add up to the charge.
    """
    running, paid, net = carry, 0, time_money * MILLI
    billed = []
    for number, energy, exact in lines:
        net += exact
        running += exact * TAX_WHOLE
        total = running // EXACT
        billed.append((number, energy, total - paid))
        paid = total
    charge, left = divmod(running + time_money * EXACT + net * tax_ppm, EXACT)
    return Due(tuple(billed), charge - paid - time_money, charge, left)


def _slab_lines(tariff: Tariff, before: int, energy: int) -> list[EnergyLine]:
    lines = []
    at, end = before, before + energy
    for number, (limit, price) in enumerate(tariff.slabs, 1):
        upper = end if limit is None else min(limit, end)
        if upper > at:
            lines.append(EnergyLine(number, upper - at, (upper - at) * price))
            at = upper
    return lines
