"""Floors of aggregates: enough meters, none too much of any sum; bounds of what can be set."""

from __future__ import annotations

import pytest

from gridmonitoring.data_center.floors import Contribution, Floors, make_floors, meets_floors
from gridmonitoring.errors import UserError


def members(values: list[int], *, each: int = 1) -> list[Contribution]:
    found = []
    for meter, value in enumerate(values):
        for part in range(each):
            entry = meter * each + part
            found.append(Contribution(entry, meter.to_bytes(16, "big"), (value, value)))
    return found


@pytest.mark.parametrize(
    ("values", "met"),
    [
        ([10] * 15, True),
        ([10] * 14, False),
        ([15] + [5] * 17, True),  # 15 of 100
        ([16] + [6] * 14, False),  # 16 of 100
        ([0] * 15, False),
        ([], False),
        ([1] + [0] * 20, False),
    ],
)
def test_fifteen_meters_and_none_above_fifteen_percent(values: list[int], met: bool) -> None:
    assert meets_floors(members(values), Floors()) is met


def test_meters_are_counted_not_settlements() -> None:
    assert not meets_floors(members([10] * 14, each=3), Floors())
    assert meets_floors(members([10] * 15, each=3), Floors())


def test_the_share_is_of_all_a_meters_settlements() -> None:
    large = [Contribution(100 + part, bytes(16), (9, 9)) for part in range(5)]
    rest = [Contribution(part, part.to_bytes(16, "big"), (9, 9)) for part in range(1, 21)]
    assert meets_floors([*large[:3], *rest], Floors())
    assert not meets_floors([*large, *rest], Floors())


def test_every_sum_has_to_meet_them() -> None:
    even = members([10] * 20)
    skewed = [one._replace(values=(10, 1000 if one.entry == 3 else 1)) for one in even]
    assert meets_floors(even, Floors())
    assert not meets_floors(skewed, Floors())


@pytest.mark.parametrize(("meters", "share"), [(9, 150), (10_001, 150), (15, 0), (15, 251), (-1, 150)])
def test_floors_out_of_bounds_are_refused(meters: int, share: int) -> None:
    with pytest.raises(UserError):
        make_floors(meters, share)


def test_floors_within_bounds_can_be_set() -> None:
    assert make_floors(15, 150) == Floors()
    assert make_floors(10, 250) == Floors(10, 250)
    assert make_floors(10_000, 1) == Floors(10_000, 1)
