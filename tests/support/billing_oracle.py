"""What an account must come to, in exact fractions and Python's own dates; written apart from the code.

It keeps every settlement of a tariff period and adds them up from the first each time. It knows nothing of
carries, of cumulative registers or of integer calendars.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from fractions import Fraction
from math import floor
from typing import NamedTuple

from gridmonitoring.energy_center.credit import BillingTerms
from gridmonitoring.energy_center.tariffs import Tariff, TariffKind
from tests.support.billing import EPOCH


class Entry(NamedTuple):
    """One settlement of a period."""

    energy: dict[int, int]
    """Wh of each rate; of the total under rate 0 for flat and slab tariffs."""
    days: int
    """Local days that began."""
    months: int
    """Local months that began."""
    terms: BillingTerms
    """Terms at that time."""


class Expected(NamedTuple):
    """What a settlement must say."""

    charge: int
    energy: dict[int, int]
    """Wh of each rate or slab that was used."""
    net: dict[int, Fraction]
    """Money of each, without tax."""
    standing: int
    subscription: int
    tax: Fraction
    exhausted: list[int]


class Oracle:
    """The life of one account."""

    def __init__(self, time_ms: int) -> None:
        self.time_ms = time_ms
        self.period: object = None
        self.entries: list[Entry] = []
        self.paid_in_period = 0
        self.lots: list[tuple[int, int]] = []
        self.debt = 0

    def top_up(self, height: int, amount: int, permille: int) -> None:
        recovered = min(self.debt, floor(Fraction(amount * permille, 1000)))
        self.debt -= recovered
        if amount != recovered:
            self.lots.append((height, amount - recovered))

    def reverse(self, height: int, amount: int) -> None:
        left = sum(money for lot, money in self.lots if lot == height)
        self.lots = [lot for lot in self.lots if lot[0] != height]
        self.debt += amount - left

    def draw(self, amount: int) -> list[int]:
        """Take an amount from the lots and return the heights that came to nothing."""
        ended = []
        while self.lots and self.lots[0][1] <= amount:
            height, money = self.lots.pop(0)
            amount -= money
            ended.append(height)
        if self.lots and amount:
            height, money = self.lots[0]
            self.lots[0] = (height, money - amount)
        elif amount:
            self.debt += amount
        return ended

    def settle(self, tariff: Tariff, terms: BillingTerms, energy: dict[int, int], time_ms: int) -> Expected:
        before, after = local(tariff, self.time_ms), local(tariff, time_ms)
        days = (after.date() - before.date()).days
        months = 12 * (after.year - before.year) + after.month - before.month
        just_before = local(tariff, time_ms - 1)
        period = (tariff, just_before.year, just_before.month)
        if period != self.period:
            self.period, self.entries, self.paid_in_period = period, [], 0
        used_before = sum(sum(entry.energy.values()) for entry in self.entries)
        self.entries.append(Entry(energy, days, months, terms))
        total = floor(exact_charge(tariff, self.entries))
        charge = total - self.paid_in_period
        self.paid_in_period = total
        self.time_ms = time_ms
        used, net = lines(tariff, used_before, energy)
        standing, subscription = days * tariff.standing_per_day, months * terms.subscription_per_month
        tax = (sum(net.values()) + standing + subscription) * Fraction(terms.tax_ppm, 10**6)
        return Expected(charge, used, net, standing, subscription, tax, self.draw(charge))


def local(tariff: Tariff, time_ms: int) -> datetime:
    """Return local time, marked as UTC, by the last of the tariff's transitions."""
    offset = [minutes for start, minutes in tariff.calendar.transitions if start <= time_ms][-1]
    return EPOCH + timedelta(milliseconds=time_ms, minutes=offset)


def lines(
    tariff: Tariff, used_before: int, energy: dict[int, int]
) -> tuple[dict[int, int], dict[int, Fraction]]:
    """Return energy and money of each rate or slab, where there was any energy."""
    if tariff.kind == TariffKind.SLAB:
        prices = {number: price for number, (_, price) in enumerate(tariff.slabs, 1)}
        up_to = slab_fill(tariff, used_before + sum(energy.values()))
        used = {number: up_to[number] - wh for number, wh in slab_fill(tariff, used_before).items()}
    elif tariff.kind == TariffKind.FLAT:
        prices = dict(tariff.rates)
        used = {tariff.rates[0][0]: energy[0]}
    else:
        prices, used = dict(tariff.rates), energy
    used = {number: wh for number, wh in used.items() if wh}
    return used, {number: Fraction(wh * prices[number], 1000) for number, wh in used.items()}


def slab_fill(tariff: Tariff, energy: int) -> dict[int, int]:
    """Return how much of a month's energy is in each slab."""
    fill, lower = {}, 0
    for number, (limit, _) in enumerate(tariff.slabs, 1):
        upper = energy if limit is None else limit
        fill[number] = max(min(energy, upper) - lower, 0)
        lower = upper
    return fill


def exact_charge(tariff: Tariff, entries: list[Entry]) -> Fraction:
    """Return the exact charge of a period's settlements, from its beginning."""
    total, used = Fraction(0), 0
    for entry in entries:
        _, net = lines(tariff, used, entry.energy)
        used += sum(entry.energy.values())
        time = entry.days * tariff.standing_per_day + entry.months * entry.terms.subscription_per_month
        total += (sum(net.values()) + time) * (1 + Fraction(entry.terms.tax_ppm, 10**6))
    return total
