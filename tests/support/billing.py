"""Calendars, tariffs and registers for tests of the energy center, built from the machine's time zones."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from gridmonitoring.encoding.bounds import EXPORT_TOTAL, IMPORT_TOTAL, import_rate
from gridmonitoring.energy_center.calendar import Calendar
from gridmonitoring.energy_center.tariffs import Switch, Tariff, TariffKind

Reading = tuple[tuple[bytes, int], ...]

UTILITY = b"utility of tests"
MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
NOTICE = 30 * DAY
CENT = 1_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

WORKING_DAY, WEEKEND = 1, 2
WEEK = (WORKING_DAY,) * 5 + (WEEKEND,) * 2


def ms(text: str, zone: str = "UTC") -> int:
    """Return the ms of an ISO local time in a zone, the first where it occurs twice."""
    return (datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)) - EPOCH) // timedelta(milliseconds=1)


def wall(time_ms: int, zone: str) -> datetime:
    """Return the zone's wall clock at a time."""
    return (EPOCH + timedelta(milliseconds=time_ms)).astimezone(ZoneInfo(zone))


def zone_calendar(
    zone: str, first: int, last: int, specials: tuple[tuple[int, int, int, int], ...] = ()
) -> Calendar:
    """Return the calendar of a time zone over the years first .. last, its transitions found hour by hour."""
    info = ZoneInfo(zone)

    def offset(time: datetime) -> int:
        away = time.astimezone(info).utcoffset()
        assert away is not None
        return away // timedelta(minutes=1)

    time = datetime(first, 1, 1, tzinfo=UTC)
    transitions = [(0, offset(time))]
    while time.year <= last:
        if offset(time) != transitions[-1][1]:
            transitions.append(((time - EPOCH) // timedelta(milliseconds=1), offset(time)))
        time += timedelta(hours=1)
    return Calendar(zone, tuple(transitions), WEEK, specials)


FIXED = Calendar("UTC+1", ((0, 60),), WEEK)
"""No daylight saving."""
PARIS = zone_calendar("Europe/Paris", 2006, 2010, ((2007, 1, 1, WEEKEND), (2007, 12, 25, WEEKEND)))
"""Ten transitions, and two holidays that are as a weekend."""

NIGHT_AND_DAY: tuple[Switch, ...] = (
    (WORKING_DAY, 0, 2),
    (WORKING_DAY, 6 * 60, 1),
    (WORKING_DAY, 22 * 60, 2),
    (WEEKEND, 0, 2),
)
"""Rate 1 on working days from 6 to 22 o'clock, else rate 2."""


def flat(
    price: int = 15 * CENT, standing: int = 0, calendar: Calendar = FIXED, valid_from: int = 0
) -> Tariff:
    rates = ((1, price),)
    return Tariff(
        UTILITY, "Flat", "EUR", valid_from, TariffKind.FLAT, rates, (), (), standing, 30 * DAY, calendar
    )


def slabs(
    limits: tuple[tuple[int | None, int], ...] = ((100_000, 5 * CENT), (None, 20 * CENT)),
    standing: int = 0,
    calendar: Calendar = FIXED,
) -> Tariff:
    return Tariff(UTILITY, "Slabs", "EUR", 0, TariffKind.SLAB, (), limits, (), standing, NOTICE, calendar)


def time_of_use(
    prices: tuple[tuple[int, int], ...] = ((1, 20 * CENT), (2, 10 * CENT)),
    switching: tuple[Switch, ...] = NIGHT_AND_DAY,
    standing: int = 0,
    calendar: Calendar = FIXED,
) -> Tariff:
    kind = TariffKind.TIME_OF_USE
    return Tariff(UTILITY, "Night", "EUR", 0, kind, prices, (), switching, standing, 30 * DAY, calendar)


def reading(
    total: int, rates: tuple[int, ...] = (), export: int | None = None
) -> tuple[tuple[bytes, int], ...]:
    """Return a claim's registers: the total, rates 1, 2, .. and export."""
    rows: list[tuple[bytes, int]] = [(IMPORT_TOTAL, total)]
    rows += [(import_rate(rate), wh) for rate, wh in enumerate(rates, 1)]
    if export is not None:
        rows.append((EXPORT_TOTAL, export))
    return tuple(rows)
