from __future__ import annotations

import pytest

from gridmonitoring.encoding.bounds import MAX_INT
from gridmonitoring.encoding.cbor import convert
from gridmonitoring.energy_center.lots import (
    GIVEN,
    MAX_LOTS,
    Lots,
    append,
    draw,
    give,
    heights,
    remove,
    total,
)
from gridmonitoring.errors import CreditError, Malformed

LOTS = ((1, 10), (3, 20), (4, 5))


@pytest.mark.parametrize(
    ("amount", "left", "exhausted", "uncovered"),
    [
        (0, LOTS, (), 0),
        (9, ((1, 1), (3, 20), (4, 5)), (), 0),
        (10, ((3, 20), (4, 5)), (1,), 0),
        (11, ((3, 19), (4, 5)), (1,), 0),
        (34, ((4, 1),), (1, 3), 0),
        (35, (), (1, 3, 4), 0),
        (36, (), (1, 3, 4), 1),
    ],
)
def test_lots_are_drawn_in_order(amount: int, left: Lots, exhausted: tuple[int, ...], uncovered: int) -> None:
    assert draw(LOTS, amount) == (left, exhausted, uncovered)
    assert total(LOTS) - amount == total(left) - uncovered


def test_a_lot_follows_the_last_one_and_is_of_some_money() -> None:
    assert append(LOTS, 5, 2, 1) == (*LOTS, (5, 1))
    assert append(LOTS, 5, 1, 0) == LOTS
    assert append((), 0, 1, 1) == ((0, 1),)
    for height in (3, 4):
        with pytest.raises(CreditError, match="is not after lot 4"):
            append(LOTS, height, 1, 1)
    for paid in (0, -1):
        with pytest.raises(CreditError, match="more than no money"):
            append(LOTS, 5, paid, 0)


def test_an_account_holds_256_purchases_and_what_was_given() -> None:
    assert MAX_LOTS == 256
    full: Lots = tuple((height, 1) for height in range(1, 257))
    assert len(append(full[:-1], 256, 1, 1)) == 256
    with pytest.raises(CreditError, match="at most 256"):
        append(full, 257, 1, 1)
    with pytest.raises(CreditError, match="at most 256"):
        append(give(full, 5), 257, 1, 1)
    assert convert(give(full, 5), Lots) == ((GIVEN, 5), *full)
    with pytest.raises(Malformed):
        convert((*give(full, 5), (257, 1)), Lots)


def test_what_was_given_is_drawn_first_and_ends_no_block() -> None:
    given = give(give(LOTS, 3), 4)
    assert given == ((GIVEN, 7), *LOTS)
    assert heights(given) == heights(LOTS) == (1, 3, 4)
    assert draw(given, 6) == (((GIVEN, 1), *LOTS), (), 0)
    assert draw(given, 17) == (((3, 20), (4, 5)), (1,), 0)
    assert draw(give((), 2), 5) == ((), (), 3)
    assert give(LOTS, 0) == LOTS


@pytest.mark.parametrize(
    ("height", "paid", "left", "gone"),
    [(3, 20, ((1, 10), (4, 5)), 0), (3, 23, ((1, 10), (4, 5)), 3), (2, 7, LOTS, 7), (4, 5, LOTS[:2], 0)],
)
def test_what_is_no_longer_in_a_lot_is_owed(height: int, paid: int, left: Lots, gone: int) -> None:
    assert remove(LOTS, height, paid) == (left, gone)


@pytest.mark.parametrize("money", [0, -1, MAX_INT + 1])
def test_a_lot_in_a_row_has_money_that_the_ledger_can_hold(money: int) -> None:
    assert convert(((1, MAX_INT),), Lots) == ((1, MAX_INT),)
    with pytest.raises(Malformed):
        convert(((1, money),), Lots)
