"""Tariffs from one price, in three shapes: flat, in slabs of the month, and by time of use (III-A-6).

A new network starts with one of each, as whoever tries it needs something to buy by; `gridmon tariff` makes
more. Other slabs, hours and calendars are for programs that use `energy_center.tariffs` themselves.
"""

from __future__ import annotations

import re
from enum import StrEnum

from gridmonitoring.energy_center.calendar import DAY_MS, Calendar
from gridmonitoring.energy_center.tariffs import Tariff, TariffKind
from gridmonitoring.errors import UserError

NOTICE_MS = 30 * DAY_MS
"""Notice before a successor is valid."""
WORKING_DAY, WEEKEND = 0, 1
PEAK, OFF_PEAK = 1, 2

_OFFSET = re.compile(r"([+-])([01][0-9]):([0-5][0-9])", re.ASCII)


class Shape(StrEnum):
    """How energy is priced; also the names of the tariffs that a network starts with."""

    FLAT = "flat"
    """One price."""
    SLAB = "slab"
    """80 % of the price to 100 kWh of the month, the price to 300, then 130 %."""
    TIME_OF_USE = "time-of-use"
    """120 % from 7 to 22 on working days, else 70 %."""


def utc_offset(text: str) -> int:
    """Return minutes of a text like +01:00; raises `UserError`."""
    found = _OFFSET.fullmatch(text)
    if found is None:
        raise UserError(f"--utc-offset: {text!r} is not an offset like +01:00")
    return (int(found[2]) * 60 + int(found[3])) * (-1 if found[1] == "-" else 1)


def fixed_offset(minutes: int) -> Calendar:
    """Return a calendar without daylight saving whose weekends are a day type of their own."""
    sign, distance = "-" if minutes < 0 else "+", abs(minutes)
    zone = f"UTC{sign}{distance // 60:02}:{distance % 60:02}"
    work, rest = WORKING_DAY, WEEKEND
    return Calendar(zone, ((0, minutes),), (work, work, work, work, work, rest, rest))


def standard_tariff(
    shape: Shape,
    utility: bytes,
    name: str,
    currency: str,
    price: int,
    standing: int,
    valid_from: int,
    calendar: Calendar,
) -> Tariff:
    """Return a tariff; `price` of a kWh and `standing` per day are money."""
    kind = TariffKind[shape.name]
    rates: tuple[tuple[int, int], ...] = ()
    slabs: tuple[tuple[int | None, int], ...] = ()
    switching: tuple[tuple[int, int, int], ...] = ()
    if kind is TariffKind.FLAT:
        rates = ((PEAK, price),)
    elif kind is TariffKind.SLAB:
        slabs = ((100_000, price * 80 // 100), (300_000, price), (None, price * 130 // 100))
    else:
        rates = ((PEAK, price * 120 // 100), (OFF_PEAK, price * 70 // 100))
        switching = (
            (WORKING_DAY, 0, OFF_PEAK),
            (WORKING_DAY, 7 * 60, PEAK),
            (WORKING_DAY, 22 * 60, OFF_PEAK),
            (WEEKEND, 0, OFF_PEAK),
        )
    return Tariff(
        utility, name, currency, valid_from, kind, rates, slabs, switching, standing, NOTICE_MS, calendar
    )
