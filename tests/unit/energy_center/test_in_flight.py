"""Money on its way: what is told of the meter's account is what the meter has, to the unit."""

from __future__ import annotations

import pytest

from gridmonitoring.energy_center.credit import (
    Account,
    BillingTerms,
    add_lot,
    close_account,
    collect,
    compensate,
    open_account,
    reverse_lot,
    settle,
)
from gridmonitoring.energy_center.in_flight import debt_document, read_debt, without_orders
from gridmonitoring.errors import EncodingError
from tests.support.billing import HOUR, PARIS, flat, ms, reading

START = ms("2007-03-10T12:00", "Europe/Paris")
TARIFF = flat(1_000, calendar=PARIS)
TERMS = BillingTerms(subscription_per_month=0, threshold=0)


def used(account: Account, energy: int) -> Account:
    """Return the account after this many Wh, at a money unit each."""
    before = account.statement
    registers = reading(before.registers[0][2] + energy)
    return settle(account, TARIFF, TERMS, registers, before.time_ms + HOUR, before.sequence + 1)[0]


def with_lots(*amounts: int) -> Account:
    account = open_account(TARIFF, reading(0), START, 1)
    for height, amount in enumerate(amounts, 1):
        account, _ = add_lot(account, height, amount, 1000)
    return account


@pytest.mark.parametrize("recovery", [0, 400, 1000])
@pytest.mark.parametrize("energy", [0, 3, 5, 9, 30])
def test_credit_on_its_way_is_not_there_yet(energy: int, recovery: int) -> None:
    """The grid adds the lot before the use, the meter does not have it."""
    owing = used(with_lots(1), 5)
    kept, _ = add_lot(owing, 2, 5, 0)
    grid, _ = add_lot(kept, 3, 10, recovery)
    meter = used(kept, energy)
    assert without_orders(used(grid, energy), 10, kept.debt) == (meter.credit, meter.debt)


@pytest.mark.parametrize("energy", [0, 3, 9, 30])
def test_a_lot_that_is_to_be_taken_back_is_still_there(energy: int) -> None:
    meter = with_lots(10)
    grid, _ = reverse_lot(meter, 1, 10)
    grid, meter = used(grid, energy), used(meter, energy)
    assert without_orders(grid, -10, 0) == (meter.credit, meter.debt)


def test_a_refund_that_was_not_told_is_still_there() -> None:
    meter = with_lots(10, 4)
    grid, refund = close_account(meter)
    assert without_orders(grid, -refund, 0) == (14, 0)


@pytest.mark.parametrize("energy", [0, 3, 9, 10, 30])
def test_beside_debt_a_lot_that_is_to_be_taken_back_is_still_there(energy: int) -> None:
    meter, _ = add_lot(used(with_lots(1), 5), 2, 10, 0)
    assert (meter.credit, meter.debt) == (10, 4)
    grid, _ = reverse_lot(meter, 2, 10)
    owed = meter.debt
    grid, meter = used(grid, energy), used(meter, energy)
    assert without_orders(grid, -10, owed) == (meter.credit, meter.debt)


@pytest.mark.parametrize("energy", [0, 3, 9, 30])
@pytest.mark.parametrize("penalty", [1, 4, 10, 25])
def test_a_penalty_that_was_not_told_is_not_charged_yet(energy: int, penalty: int) -> None:
    meter = with_lots(4, 6)
    grid, _ = collect(meter, penalty)
    grid, meter = used(grid, energy), used(meter, energy)
    assert without_orders(grid, -penalty, 0) == (meter.credit, meter.debt)


@pytest.mark.parametrize("energy", [0, 3, 9, 30])
@pytest.mark.parametrize("owed", [0, 7])
@pytest.mark.parametrize("given", [1, 4, 10, 25])
def test_a_compensation_that_was_not_told_is_not_there_yet(energy: int, owed: int, given: int) -> None:
    meter = used(with_lots(3), 3 + owed) if owed else with_lots(4, 6)
    grid, before = compensate(meter, given), meter.debt
    grid, meter = used(grid, energy), used(meter, energy)
    assert without_orders(grid, given, before) == (meter.credit, meter.debt)


@pytest.mark.parametrize("wrong", [b"\x20", b"\x40", b"\xf6", b"\x1b" + bytes(16)])
def test_what_is_owed_is_an_amount(wrong: bytes) -> None:
    with pytest.raises(EncodingError):
        read_debt(wrong)


@pytest.mark.parametrize("debt", [0, 1, 2**63 - 1])
def test_an_order_says_what_was_owed(debt: int) -> None:
    assert read_debt(debt_document(debt)) == debt
