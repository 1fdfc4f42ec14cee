from __future__ import annotations

import pytest
from msgspec.structs import replace

from gridmonitoring.energy_center.charges import (
    EXACT,
    amount_due,
    cumulative_energy_charge,
    energy_lines,
    time_charges,
)
from tests.support.billing import CENT, DAY, HOUR, PARIS, flat, ms, slabs, time_of_use

THREE_SLABS = slabs(((100, 1_000), (250, 2_000), (None, 7_000)))


def test_flat_energy_is_price_times_energy_rounded_down_once() -> None:
    assert cumulative_energy_charge(flat(15 * CENT), [(1, 2_000)]) == 30 * CENT
    assert cumulative_energy_charge(flat(333), [(1, 1)]) == 0
    assert cumulative_energy_charge(flat(333), [(1, 3)]) == 0
    assert cumulative_energy_charge(flat(333), [(1, 1_000)]) == 333


def test_time_of_use_sums_exactly_before_it_rounds() -> None:
    tariff = time_of_use(((1, 500), (2, 501)))
    assert cumulative_energy_charge(tariff, [(1, 1), (2, 1)]) == 1
    assert [line.exact for line in energy_lines(tariff, [(1, 1), (2, 1)])] == [500, 501]
    assert energy_lines(tariff, [(1, 0), (2, 3)]) == [(2, 3, 1503)]


@pytest.mark.parametrize(
    ("before", "energy", "lines"),
    [
        (0, 0, []),
        (0, 100, [(1, 100, 100_000)]),
        (0, 101, [(1, 100, 100_000), (2, 1, 2_000)]),
        (100, 1, [(2, 1, 2_000)]),
        (99, 152, [(1, 1, 1_000), (2, 150, 300_000), (3, 1, 7_000)]),
        (250, 10, [(3, 10, 70_000)]),
        (10**9, 10, [(3, 10, 70_000)]),
    ],
)
def test_slabs_are_filled_by_the_energy_of_the_month(
    before: int, energy: int, lines: list[tuple[int, int, int]]
) -> None:
    assert energy_lines(THREE_SLABS, [(1, energy)], before) == lines


def test_slabs_of_a_whole_month() -> None:
    assert cumulative_energy_charge(THREE_SLABS, [(1, 300)]) == 100 + 300 + 350


def test_time_charges_count_the_local_days_and_months_that_begin() -> None:
    tariff = flat(standing=7, calendar=PARIS)
    start = ms("2007-03-24T12:00", "Europe/Paris")
    midnight = ms("2007-03-25T00:00", "Europe/Paris")
    assert time_charges(tariff, 100, start, midnight - 1) == (0, 0)
    assert time_charges(tariff, 100, start, midnight) == (7, 0)
    assert time_charges(tariff, 100, midnight, midnight + 23 * HOUR) == (7, 0)
    april = ms("2007-04-01T00:00", "Europe/Paris")
    assert time_charges(tariff, 100, start, april - 1) == (7 * 7, 0)
    assert time_charges(tariff, 100, start, april) == (8 * 7, 100)
    assert time_charges(tariff, 100, start, april + 366 * DAY) == ((8 + 366) * 7, 13 * 100)
    assert time_charges(tariff, 100, april, april) == (0, 0)


def test_lines_time_charges_and_tax_add_up_to_the_charge() -> None:
    lines = energy_lines(time_of_use(((1, 1_999), (2, 333))), [(1, 1), (2, 2)])
    due = amount_due(lines, 10, 196_000, 0)
    exact = (1_999 + 666 + 10_000) * 1_196_000
    assert (due.charge, due.carry) == divmod(exact, EXACT)
    assert due.lines == ((1, 1, 1), (2, 2, 1))
    assert due.charge == sum(money for _, _, money in due.lines) + 10 + due.tax


def test_what_the_floor_leaves_is_carried_to_the_next() -> None:
    lines = energy_lines(replace(flat(), rates=((1, 400),)), [(1, 1)])
    charges, carry = [], 0
    for _ in range(5):
        due = amount_due(lines, 0, 0, carry)
        carry = due.carry
        charges.append(due.charge)
    assert charges == [0, 0, 1, 0, 1]
    assert carry == 0


def test_nothing_is_due_for_nothing() -> None:
    assert amount_due([], 0, 196_000, 5) == ((), 0, 0, 5)
