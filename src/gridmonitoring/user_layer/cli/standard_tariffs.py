"""The tariffs that a new network starts with, from one price: flat, in slabs, and by time of use.

A person who tries the system needs something to buy by; a utility publishes its own with `gridmon tariff`.
"""

from __future__ import annotations

from gridmonitoring.energy_center.calendar import DAY_MS, Calendar
from gridmonitoring.energy_center.tariffs import Tariff, TariffKind

NOTICE_MS = 30 * DAY_MS
"""Notice before a successor is valid."""
WORKING_DAY, WEEKEND = 0, 1
PEAK, OFF_PEAK = 1, 2


def fixed_offset(minutes: int) -> Calendar:
    """Return a calendar without daylight saving whose weekends are a day type of their own."""
    sign, distance = "-" if minutes < 0 else "+", abs(minutes)
    zone = f"UTC{sign}{distance // 60:02}:{distance % 60:02}"
    work, rest = WORKING_DAY, WEEKEND
    return Calendar(zone, ((0, minutes),), (work, work, work, work, work, rest, rest))


def standard_tariffs(
    utility: bytes, currency: str, price: int, standing: int, valid_from: int, calendar: Calendar
) -> list[Tariff]:
    """Return the three tariffs; `price` of a kWh and `standing` per day are money.

    Slabs: 80 % of the price to 100 kWh of the month, the price to 300, then 130 %. Time of use: 120 % from 7
    to 22 on working days, else 70 %.
    """

    def tariff(
        name: str,
        kind: TariffKind,
        rates: tuple[tuple[int, int], ...] = (),
        slabs: tuple[tuple[int | None, int], ...] = (),
        switching: tuple[tuple[int, int, int], ...] = (),
    ) -> Tariff:
        return Tariff(
            utility, name, currency, valid_from, kind, rates, slabs, switching, standing, NOTICE_MS, calendar
        )

    slabs = ((100_000, price * 80 // 100), (300_000, price), (None, price * 130 // 100))
    rates = ((PEAK, price * 120 // 100), (OFF_PEAK, price * 70 // 100))
    switching = (
        (WORKING_DAY, 0, OFF_PEAK),
        (WORKING_DAY, 7 * 60, PEAK),
        (WORKING_DAY, 22 * 60, OFF_PEAK),
        (WEEKEND, 0, OFF_PEAK),
    )
    return [
        tariff("flat", TariffKind.FLAT, rates=((PEAK, price),)),
        tariff("slab", TariffKind.SLAB, slabs=slabs),
        tariff("time-of-use", TariffKind.TIME_OF_USE, rates=rates, switching=switching),
    ]
