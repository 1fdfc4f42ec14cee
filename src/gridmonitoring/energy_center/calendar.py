"""A tariff's own calendar: local dates, day types and billing boundaries (paper III-A-6, tariffs per month).

The calendar is data that travels in the tariff, so no machine's time-zone files decide what anyone pays. All
arithmetic is on integers in the proleptic Gregorian calendar; times are ms since 1970 UTC, 0 or later.

Two clocks, which differ only where an offset transition sets the clock back over midnight:

- the **wall clock** (`local_time`, `day_type`) shows UTC plus the offset in force. It may pass a midnight
  twice;
- the **billing day** never goes back: it is the latest local date that the wall clock has reached. So a day
  begins at its first midnight; where that midnight is skipped, at the transition that skips it; a second
  showing of a midnight begins nothing; and a date that is skipped whole (a zone that crosses the date line)
  is not counted as a day.

Left out: leap seconds, which no tariff bills, and rules that derive transitions; a tariff lists them.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Annotated, NamedTuple

from msgspec import Meta, Struct

from gridmonitoring.encoding.bounds import Millis, Name
from gridmonitoring.errors import TariffError

DAY_MS = 86_400_000
"""Milliseconds of a day of 24 hours."""
MINUTE_MS = 60_000
"""Milliseconds of a minute."""
DAY_MINUTES = 1440
"""Minutes of a wall-clock day."""
MAX_TIME = 253_402_300_800_000
"""Start of the year 10000 UTC, ms: a calendar answers for times before it."""
MAX_OFFSET = 16 * 60
"""Largest distance of a local time from UTC, minutes."""

DayType = Annotated[int, Meta(ge=0, le=15)]
"""A number for days that a tariff treats alike (working day, weekend, holiday)."""
OffsetMinutes = Annotated[int, Meta(ge=-MAX_OFFSET, le=MAX_OFFSET)]
"""Local time minus UTC, minutes."""
SpecialDay = tuple[
    Annotated[int, Meta(ge=1970, le=9999)],
    Annotated[int, Meta(ge=1, le=12)],
    Annotated[int, Meta(ge=1, le=31)],
    DayType,
]
"""(year, month, day, day type)."""


class Segments(NamedTuple):
    """The calendar's transitions, worked out once; four columns of the same length."""

    starts: tuple[int, ...]
    """Where each segment starts, ms; the first is 0."""
    offsets: tuple[int, ...]
    """Local time minus UTC in the segment, ms."""
    reached: tuple[int, ...]
    """Billing day reached at the segment's start, days since 1970-01-01."""
    skipped: tuple[int, ...]
    """Local dates skipped whole up to the segment's start."""


class LocalTime(NamedTuple):
    """What a clock on the wall shows."""

    year: int
    """Gregorian year."""
    month: int
    """1 .. 12."""
    day: int
    """1 .. 31."""
    minute: int
    """Minute of the day, 0 .. 1439."""
    weekday: int
    """0 Monday .. 6 Sunday."""


class Calendar(Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="calendar/1", dict=True):
    """UTC offsets and day types of a tariff; check once with `check_calendar`."""

    zone: Name
    """What the offsets stand for, as `Europe/Paris`; for readers, it decides nothing."""
    transitions: Annotated[tuple[tuple[Millis, OffsetMinutes], ...], Meta(min_length=1, max_length=400)]
    """(from ms, offset in minutes), in order; the first from 0, the last for ever."""
    weekdays: tuple[DayType, DayType, DayType, DayType, DayType, DayType, DayType]
    """Day type of Monday .. Sunday."""
    specials: Annotated[tuple[SpecialDay, ...], Meta(max_length=800)] = ()
    """Dates with a day type of their own, in order."""

    @cached_property
    def segments(self) -> Segments:
        """The transitions with the billing day reached at each."""
        reached, skipped = [], []
        day, gone, before = 0, 0, 0
        for number, (start, minutes) in enumerate(self.transitions):
            opens = (start + minutes * MINUTE_MS) // DAY_MS
            if number == 0:
                day = opens
            else:
                day = max(day, (start - 1 + before) // DAY_MS)
                gone += max(opens - day - 1, 0)
                day = max(opens, day)
            before = minutes * MINUTE_MS
            reached.append(day)
            skipped.append(gone)
        starts = tuple(start for start, _ in self.transitions)
        return Segments(
            starts, tuple(m * MINUTE_MS for _, m in self.transitions), tuple(reached), tuple(skipped)
        )

    @cached_property
    def special_types(self) -> dict[int, int]:
        """Day number of each special date -> its day type."""
        return {day_number(year, month, day): kind for year, month, day, kind in self.specials}

    @cached_property
    def day_types(self) -> frozenset[int]:
        """Every day type that this calendar can give."""
        return frozenset(self.weekdays) | {kind for _, _, _, kind in self.specials}


def check_calendar(calendar: Calendar) -> None:
    """Raise `TariffError` unless transitions and special dates are in order and exist."""
    starts = calendar.segments.starts
    if starts[0] != 0:
        raise TariffError("the calendar's first offset does not start at time 0")
    if any(later <= earlier for earlier, later in pairwise(starts)):
        raise TariffError("the calendar's offset transitions are not in order of time")
    if starts[-1] >= MAX_TIME:
        raise TariffError("the calendar has an offset transition after the year 9999")
    for year, month, day, _ in calendar.specials:
        if civil_date(day_number(year, month, day)) != (year, month, day):
            raise TariffError(f"the calendar's special date {year:04}-{month:02}-{day:02} does not exist")
    dates = [special[:3] for special in calendar.specials]
    if any(later <= earlier for earlier, later in pairwise(dates)):
        raise TariffError("the calendar's special dates are not in order, each once")


def day_number(year: int, month: int, day: int) -> int:
    """Return the days from 1970-01-01 to a Gregorian date; a day past the month's end runs on."""
    # Counted from 1 March, so that the leap day is the last of its year: months then have
    # 31 30 31 30 31 31 30 31 30 31 31 days, which (153 m + 2) // 5 sums.
    shifted = (month + 9) % 12
    year -= shifted >= 10
    return 365 * year + year // 4 - year // 100 + year // 400 + (153 * shifted + 2) // 5 + day - 719_469


def civil_date(number: int) -> tuple[int, int, int]:
    """Return (year, month, day) of the day `number` days after 1970-01-01."""
    cycles, rest = divmod(number + 719_468, 146_097)
    centuries = min(rest // 36_524, 3)
    rest -= centuries * 36_524
    leaps, rest = divmod(rest, 1_461)
    years = min(rest // 365, 3)
    rest -= years * 365
    shifted = (5 * rest + 2) // 153
    year = 400 * cycles + 100 * centuries + 4 * leaps + years + (shifted >= 10)
    return year, (shifted + 2) % 12 + 1, rest - (153 * shifted + 2) // 5 + 1


@lru_cache(maxsize=4096)
def month_of_day(number: int) -> int:
    """Return the month of a day since 1970-01-01 as 12 * year + month - 1."""
    year, month, _ = civil_date(number)
    return 12 * year + month - 1


def billing_day(calendar: Calendar, time_ms: int) -> int:
    """Return the billing day at a time, as days since 1970-01-01; never less at a later time."""
    starts, offsets, reached, _ = calendar.segments
    index = bisect_right(starts, time_ms, 1) - 1
    return max((time_ms + offsets[index]) // DAY_MS, reached[index])


def billing_month(calendar: Calendar, time_ms: int) -> int:
    """Return the month of the billing day at a time as 12 * year + month - 1."""
    return month_of_day(billing_day(calendar, time_ms))


def wall_clock(calendar: Calendar, time_ms: int) -> tuple[int, int]:
    """Return (days since 1970-01-01, minute of the day) as a clock on the wall shows them."""
    starts, offsets, _, _ = calendar.segments
    day, rest = divmod(time_ms + offsets[bisect_right(starts, time_ms, 1) - 1], DAY_MS)
    return day, rest // MINUTE_MS


def local_time(calendar: Calendar, time_ms: int) -> LocalTime:
    """Return what a clock on the wall shows at a time."""
    day, minute = wall_clock(calendar, time_ms)
    return LocalTime(*civil_date(day), minute, (day + 3) % 7)


def type_of_day(calendar: Calendar, day: int) -> int:
    """Return the day type of a local date given as days since 1970-01-01 (a Thursday)."""
    return calendar.special_types.get(day, calendar.weekdays[(day + 3) % 7])


def day_type(calendar: Calendar, time_ms: int) -> int:
    """Return the day type of the wall clock's date at a time."""
    return type_of_day(calendar, wall_clock(calendar, time_ms)[0])


def day_start_ms(calendar: Calendar, day: int) -> int:
    """Return when a billing day begins, ms; for a date that is skipped, when the one after it does.

    A day that began before time 0 begins at 0 here.
    """
    starts, offsets, reached, _ = calendar.segments
    index = max(bisect_left(reached, day) - 1, 0)
    start = day * DAY_MS - offsets[index]
    if index + 1 < len(starts):
        start = min(start, starts[index + 1])
    return max(start, 0)


def next_day_boundary_ms(calendar: Calendar, time_ms: int) -> int:
    """Return the first time after `time_ms` at which a billing day begins."""
    return day_start_ms(calendar, billing_day(calendar, time_ms) + 1)


def month_start_ms(calendar: Calendar, time_ms: int) -> int:
    """Return when the billing month that holds a time began, ms."""
    return day_start_ms(calendar, _first_day(billing_month(calendar, time_ms)))


def next_month_boundary_ms(calendar: Calendar, time_ms: int) -> int:
    """Return the first time after `time_ms` at which a billing month begins."""
    return day_start_ms(calendar, _first_day(billing_month(calendar, time_ms) + 1))


def days_between(calendar: Calendar, from_ms: int, to_ms: int) -> int:
    """Return the number of billing days that begin in (from, to]."""
    return _days_counted(calendar, to_ms) - _days_counted(calendar, from_ms)


def months_between(calendar: Calendar, from_ms: int, to_ms: int) -> int:
    """Return the number of billing months that begin in (from, to]."""
    return billing_month(calendar, to_ms) - billing_month(calendar, from_ms)


def _days_counted(calendar: Calendar, time_ms: int) -> int:
    starts, offsets, reached, skipped = calendar.segments
    index = bisect_right(starts, time_ms, 1) - 1
    return max((time_ms + offsets[index]) // DAY_MS, reached[index]) - skipped[index]


def _first_day(month: int) -> int:
    return day_number(month // 12, month % 12 + 1, 1)
