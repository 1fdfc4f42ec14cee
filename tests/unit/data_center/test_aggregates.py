"""Aggregates: which period a settlement is booked in, cells, totals, and complementary suppression."""

from __future__ import annotations

import pytest

from gridmonitoring.data_center.aggregates import (
    ALL,
    DAY_MS,
    HOUR_MS,
    Dimension,
    Period,
    Settled,
    cells_of,
    class_name,
    period_start,
    release_cells,
    totals_of,
)
from gridmonitoring.data_center.floors import Contribution, Floors
from gridmonitoring.data_center.releases import ContributionsOf, ReleasesInMemory

NOON = 10 * DAY_MS + 12 * HOUR_MS
LATER = 100 * DAY_MS
FLOORS = Floors(10, 250)


def settled(number: int, *, time: int = NOON, customer_class: int = 1, tariff: str = "flat") -> Settled:
    return Settled(number, number.to_bytes(16, "big"), time, "A1", tariff, customer_class, 1000, 500 + number)


def houses(home: int, school: int) -> list[Settled]:
    return [settled(n) for n in range(home)] + [settled(100 + n, customer_class=2) for n in range(school)]


def known(found: list[Settled]) -> ContributionsOf:
    contributions = {one.entry: Contribution(one.entry, one.mid, (one.energy, one.charge)) for one in found}
    return lambda entries: {entry: contributions[entry] for entry in entries}


@pytest.mark.parametrize(
    ("time", "period", "start"),
    [
        (10 * DAY_MS, Period.DAY, 9 * DAY_MS),
        (10 * DAY_MS + 1, Period.DAY, 10 * DAY_MS),
        (NOON, Period.HOUR, NOON - HOUR_MS),
        (NOON + 1, Period.HOUR, NOON),
    ],
)
def test_a_settlement_is_booked_in_the_period_that_ends_with_it(
    time: int, period: Period, start: int
) -> None:
    assert period_start(time, period) == start


def test_cells_are_told_apart_by_what_was_asked_for() -> None:
    found = [
        settled(1),
        settled(2, tariff="slab"),
        settled(3, customer_class=4),
        settled(4, time=NOON + DAY_MS),
    ]
    by_tariff = cells_of(found, Period.DAY, [Dimension.TARIFF], LATER)
    assert [(cell.start_ms // DAY_MS, cell.by, sorted(members)) for cell, members in by_tariff.items()] == [
        (10, (("tariff", "flat"),), [1, 3]),
        (10, (("tariff", "slab"),), [2]),
        (11, (("tariff", "flat"),), [4]),
    ]
    by_both = cells_of(found, Period.DAY, [Dimension.CUSTOMER_CLASS, Dimension.AREA], LATER)
    assert next(iter(by_both)).by == (("area", "A1"), ("class", "business"))
    assert cells_of(found, Period.DAY, [], LATER)[
        next(iter(cells_of(found, Period.DAY, [], LATER)))
    ].keys() == {
        1,
        2,
        3,
    }


def test_a_period_that_has_not_ended_is_not_given() -> None:
    assert cells_of([settled(1)], Period.DAY, [], 11 * DAY_MS - 1) == {}
    assert len(cells_of([settled(1)], Period.DAY, [], 11 * DAY_MS)) == 1


def test_sums_are_exact() -> None:
    found = houses(12, 0)
    given, withheld = release_cells(
        cells_of(found, Period.DAY, [], LATER), ReleasesInMemory(), known(found), FLOORS
    )
    assert withheld == []
    assert (given[0].meters, given[0].settlements) == (12, 12)
    assert given[0].energy == sum(one.energy for one in found)
    assert given[0].charge == sum(one.charge for one in found)


def test_a_total_that_would_uncover_a_withheld_cell_is_withheld_too() -> None:
    found = houses(20, 3)
    cells = cells_of(found, Period.DAY, [Dimension.CUSTOMER_CLASS], LATER)
    register = ReleasesInMemory()
    given, withheld = release_cells(cells, register, known(found), FLOORS)
    assert [dict(one.cell.by)["class"] for one in given] == ["home"]
    assert [dict(cell.by)["class"] for cell in withheld] == ["school"]
    totals = totals_of(cells)
    assert [dict(cell.by)["class"] for cell in totals] == [ALL]
    assert release_cells(totals, register, known(found), FLOORS) == ([], list(totals))


def test_a_total_is_given_where_what_it_adds_meets_the_floors() -> None:
    found = houses(20, 12)
    cells = cells_of(found, Period.DAY, [Dimension.CUSTOMER_CLASS], LATER)
    register = ReleasesInMemory()
    assert release_cells(cells, register, known(found), FLOORS)[1] == []
    (total,), withheld = release_cells(totals_of(cells), register, known(found), FLOORS)
    assert (total.meters, withheld) == (32, [])


def test_a_late_settlement_does_not_show_by_asking_again() -> None:
    found = houses(20, 0)
    register = ReleasesInMemory()
    before = cells_of(found[:19], Period.DAY, [], LATER)
    assert len(release_cells(before, register, known(found), FLOORS)[0]) == 1
    after = cells_of(found, Period.DAY, [], LATER)
    assert release_cells(after, register, known(found), FLOORS) == ([], list(after))


def test_hours_and_their_day_cannot_be_held_against_each_other() -> None:
    found = [settled(n, time=NOON) for n in range(20)] + [settled(50, time=NOON + HOUR_MS)]
    register = ReleasesInMemory()
    hours, _ = release_cells(cells_of(found, Period.HOUR, [], LATER), register, known(found), FLOORS)
    assert [one.meters for one in hours] == [20]
    day = cells_of(found, Period.DAY, [], LATER)
    assert release_cells(day, register, known(found), FLOORS) == ([], list(day))


def test_classes_have_names() -> None:
    assert [class_name(number) for number in (1, 2, 3, 4, 9)] == ["home", "school", "health", "business", "9"]
