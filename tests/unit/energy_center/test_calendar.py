from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from msgspec.structs import replace

from gridmonitoring.energy_center.calendar import (
    Calendar,
    billing_day,
    billing_month,
    check_calendar,
    civil_date,
    day_number,
    day_type,
    days_between,
    local_time,
    month_start_ms,
    months_between,
    next_day_boundary_ms,
    next_month_boundary_ms,
)
from gridmonitoring.errors import TariffError
from tests.support.billing import (
    DAY,
    EPOCH,
    FIXED,
    HOUR,
    MINUTE,
    PARIS,
    WEEKEND,
    WORKING_DAY,
    ms,
    wall,
    zone_calendar,
)

EPOCH_DAY = date(1970, 1, 1).toordinal()


def test_every_day_of_four_centuries_and_the_ends_of_the_range_are_as_in_datetime() -> None:
    days = [*range(date(1899, 1, 1).toordinal(), date(2301, 1, 1).toordinal())]
    days += [*range(1, 800), *range(date.max.toordinal() - 800, date.max.toordinal() + 1)]
    for ordinal in days:
        expected = date.fromordinal(ordinal)
        assert civil_date(ordinal - EPOCH_DAY) == (expected.year, expected.month, expected.day)
        assert day_number(expected.year, expected.month, expected.day) == ordinal - EPOCH_DAY


def test_paris_shows_the_wall_clock_of_the_time_zone_database_over_five_years() -> None:
    for time in range(ms("2006-01-01T00:00"), ms("2011-01-01T00:00"), 47 * MINUTE):
        there = wall(time, "Europe/Paris")
        expected = (there.year, there.month, there.day, there.hour * 60 + there.minute, there.weekday())
        assert local_time(PARIS, time) == expected
        assert billing_day(PARIS, time) == there.date().toordinal() - EPOCH_DAY
        assert billing_month(PARIS, time) == 12 * there.year + there.month - 1


def test_paris_has_the_ten_transitions_of_the_eu_rule() -> None:
    def last_sunday(year: int, month: int) -> datetime:
        day = datetime(year, month, 31, 1, tzinfo=UTC)
        return day - timedelta(days=(day.weekday() + 1) % 7)

    expected = [last_sunday(year, month) for year in range(2006, 2011) for month in (3, 10)]
    assert [start for start, _ in PARIS.transitions[1:]] == [
        (time - EPOCH) // timedelta(milliseconds=1) for time in expected
    ]


@pytest.mark.parametrize(("day", "hours"), [("2007-03-25", 23), ("2007-10-28", 25), ("2007-06-01", 24)])
def test_a_day_at_a_transition_is_one_day_of_23_or_25_hours(day: str, hours: int) -> None:
    start = ms(day + "T00:00", "Europe/Paris")
    end = start + hours * HOUR
    assert next_day_boundary_ms(PARIS, start - 1) == start
    assert next_day_boundary_ms(PARIS, start) == end
    assert next_day_boundary_ms(PARIS, end - 1) == end
    assert days_between(PARIS, start, end - 1) == 0
    assert days_between(PARIS, start, end) == 1
    assert days_between(PARIS, start - 1, end) == 2


def test_months_begin_at_local_midnight() -> None:
    april = ms("2007-04-01T00:00", "Europe/Paris")
    march = ms("2007-03-01T00:00", "Europe/Paris")
    assert april - march == 31 * DAY - HOUR
    assert month_start_ms(PARIS, april - 1) == march
    assert month_start_ms(PARIS, april) == april
    assert next_month_boundary_ms(PARIS, march) == april
    assert months_between(PARIS, march, april - 1) == 0
    assert months_between(PARIS, march, april) == 1
    assert months_between(PARIS, march - 1, ms("2009-03-01T00:00", "Europe/Paris")) == 25


def test_day_types_follow_the_weekday_and_the_special_dates() -> None:
    def kind(text: str) -> int:
        return day_type(PARIS, ms(text, "Europe/Paris"))

    assert kind("2007-01-01T00:00") == WEEKEND  # a Monday, and a holiday
    assert kind("2007-01-02T00:00") == WORKING_DAY
    assert kind("2007-01-05T23:59") == WORKING_DAY  # Friday
    assert kind("2007-01-06T00:00") == WEEKEND
    assert kind("2007-12-25T12:00") == WEEKEND
    assert kind("2008-12-25T12:00") == WORKING_DAY


def test_a_midnight_that_is_skipped_begins_the_day_at_the_transition() -> None:
    calendar = zone_calendar("America/Sao_Paulo", 2007, 2008)
    transition = ms("2007-10-14T03:00")  # 00:00 at UTC-3 becomes 01:00 at UTC-2
    assert local_time(calendar, transition) == (2007, 10, 14, 60, 6)
    assert next_day_boundary_ms(calendar, transition - 1) == transition
    assert days_between(calendar, transition - 1, transition) == 1
    assert next_day_boundary_ms(calendar, transition) == transition + 23 * HOUR


def test_a_midnight_that_comes_twice_begins_the_day_once() -> None:
    calendar = zone_calendar("America/Havana", 2007, 2008)
    transition = ms("2007-10-28T05:00")  # 01:00 at UTC-4 becomes 00:00 at UTC-5
    assert local_time(calendar, transition) == (2007, 10, 28, 0, 6)
    assert days_between(calendar, transition - HOUR - 1, transition - HOUR) == 1
    assert days_between(calendar, transition - HOUR, transition + 24 * HOUR - 1) == 0


def test_a_clock_set_back_over_midnight_does_not_undo_the_day() -> None:
    transition = ms("2007-11-01T00:30")
    calendar = replace(FIXED, transitions=((0, 0), (transition, -60)))
    assert local_time(calendar, transition) == (2007, 10, 31, 23 * 60 + 30, 2)
    first, second = ms("2007-11-01T00:00"), ms("2007-11-01T01:00")
    assert months_between(calendar, first - 1, first) == 1
    assert (days_between(calendar, first, second), months_between(calendar, first, second)) == (0, 0)
    assert month_start_ms(calendar, transition) == first
    assert next_day_boundary_ms(calendar, first) == ms("2007-11-02T01:00")


def test_a_date_that_is_skipped_whole_is_no_day() -> None:
    calendar = zone_calendar("Pacific/Apia", 2011, 2012)
    transition = ms("2011-12-30T10:00")  # the 29th ends, the 31st begins
    assert local_time(calendar, transition - 1)[:3] == (2011, 12, 29)
    assert local_time(calendar, transition)[:3] == (2011, 12, 31)
    assert days_between(calendar, transition - 1, transition) == 1
    assert next_day_boundary_ms(calendar, transition - 1) == transition
    assert days_between(calendar, transition - 10 * DAY, transition + 10 * DAY) == 20


def test_the_first_month_west_of_greenwich_begins_at_time_zero() -> None:
    calendar = replace(FIXED, transitions=((0, -60),))
    assert local_time(calendar, 0) == (1969, 12, 31, 23 * 60, 2)
    assert month_start_ms(calendar, 0) == 0
    assert next_month_boundary_ms(calendar, 0) == HOUR


@pytest.mark.parametrize(
    ("calendar", "says"),
    [
        (replace(FIXED, transitions=((1, 60),)), "does not start at time 0"),
        (replace(FIXED, transitions=((0, 60), (DAY, 0), (DAY, 60))), "not in order of time"),
        (replace(FIXED, transitions=((0, 60), (253_402_300_800_000, 0))), "after the year 9999"),
        (replace(FIXED, specials=((2007, 2, 29, 1),)), "2007-02-29 does not exist"),
        (replace(FIXED, specials=((2007, 5, 2, 1), (2007, 5, 1, 1))), "not in order"),
        (replace(FIXED, specials=((2007, 5, 1, 1), (2007, 5, 1, 2))), "not in order"),
    ],
)
def test_a_calendar_out_of_order_is_refused(calendar: Calendar, says: str) -> None:
    with pytest.raises(TariffError, match=says):
        check_calendar(calendar)


def test_calendars_of_real_zones_are_accepted() -> None:
    for calendar in (FIXED, PARIS, replace(FIXED, specials=((2008, 2, 29, 1),))):
        check_calendar(calendar)
