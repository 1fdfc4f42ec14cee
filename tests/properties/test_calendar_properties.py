"""Calendars with any transitions, against a clock that is looked at every ten minutes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gridmonitoring.energy_center.calendar import (
    Calendar,
    billing_day,
    days_between,
    local_time,
    next_day_boundary_ms,
)
from gridmonitoring.energy_center.tariffs import active_rate, next_rate_change_ms
from tests.support.billing import DAY, FIXED, MINUTE, NIGHT_AND_DAY, ms, time_of_use

STEP = 10 * MINUTE
START = ms("2007-10-29T00:00")
TIMES = range(START, START + 9 * DAY, STEP)


@st.composite
def calendars(draw: st.DrawFn) -> Calendar:
    """Fixed offsets broken by up to four transitions, by as much as a day and a third, within nine days."""
    steps = draw(st.lists(st.integers(1, len(TIMES) - 1), max_size=4, unique=True))
    offset = st.integers(-32, 32).map(lambda half_hours: 30 * half_hours)
    transitions = [(0, draw(offset))]
    transitions += [(TIMES[step], draw(offset)) for step in sorted(steps)]
    return replace(FIXED, transitions=tuple(transitions))


@given(calendars())
def test_a_billing_day_begins_when_the_wall_clock_first_shows_its_date(calendar: Calendar) -> None:
    reached, begun = None, []
    for time in TIMES:
        shown = local_time(calendar, time)[:3]
        if reached is None or shown > reached:
            begun.append(time)
            reached = shown
    assert days_between(calendar, START, TIMES[-1]) == len(begun) - 1
    at = START
    for expected in begun[1:]:
        at = next_day_boundary_ms(calendar, at)
        assert at == expected
        assert billing_day(calendar, at) > billing_day(calendar, at - 1)


@given(calendars())
def test_the_next_rate_change_is_the_next_that_a_clock_shows(calendar: Calendar) -> None:
    tariff = time_of_use(switching=NIGHT_AND_DAY, calendar=calendar)
    rates = [active_rate(tariff, time) for time in TIMES]
    changes = [
        time for time, before, after in zip(TIMES[1:], rates, rates[1:], strict=False) if before != after
    ]
    at = next_rate_change_ms(tariff, START)
    for expected in changes:
        assert at == expected
        at = next_rate_change_ms(tariff, expected)
    assert at is not None
    assert at > TIMES[-1]
