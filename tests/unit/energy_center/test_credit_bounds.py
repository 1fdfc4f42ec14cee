from __future__ import annotations

import pytest
from msgspec.structs import replace

from gridmonitoring.encoding.bounds import MAX_INT
from gridmonitoring.encoding.cbor import decode, encode
from gridmonitoring.energy_center.credit import (
    Account,
    BillingTerms,
    add_lot,
    collect,
    open_account,
    settle,
    swap_device,
)
from gridmonitoring.energy_center.statements import Statement
from gridmonitoring.energy_center.tariffs import tariff_hash
from gridmonitoring.errors import Malformed, RegisterError, TariffError
from tests.support.billing import CENT, HOUR, PARIS, flat, ms, reading, time_of_use

TERMS = BillingTerms(subscription_per_month=0, threshold=50 * CENT)
START = ms("2007-03-10T12:00", "Europe/Paris")


@pytest.mark.parametrize(
    ("field", "highest"),
    [
        ("subscription_per_month", 10**15),
        ("threshold", MAX_INT),
        ("debt_recovery_permille", 1_000),
        ("emergency_credit", MAX_INT),
        ("tax_ppm", 1_000_000),
    ],
)
def test_terms_are_within_their_bounds(field: str, highest: int) -> None:
    for number in (0, highest):
        terms = replace(TERMS, **{field: number})
        assert decode(encode(terms), BillingTerms) == terms
    for number in (-1, highest + 1):
        with pytest.raises(Malformed):
            decode(encode(replace(TERMS, **{field: number})), BillingTerms)


def test_a_swap_keeps_all_that_the_period_and_the_account_have() -> None:
    tariff = flat(12_345_679, calendar=PARIS)
    terms = replace(TERMS, tax_ppm=196_001)
    account = open_account(tariff, reading(5_000), START, 1)
    account, _ = settle(account, tariff, terms, reading(5_037), START + HOUR, 2)
    before = account.statement
    account, recovered = add_lot(account, 1, 100_000, 500)
    account, _ = collect(account, 7)
    assert 0 < recovered < 100_000
    account = replace(account, debt=account.debt + 3)
    swapped = swap_device(account, tariff, reading(3), START + 2 * HOUR, 5)
    statement = swapped.statement
    assert (statement.number, statement.sequence, statement.tariff) == (2, 5, before.tariff)
    assert (statement.from_ms, statement.time_ms) == (START + HOUR, START + 2 * HOUR)
    assert statement.registers == ((reading(3)[0][0], 3, 3),)
    assert (statement.lines, statement.standing, statement.subscription) == ((), 0, 0)
    assert (statement.tax, statement.charge) == (0, 0)
    assert (statement.topped_up, statement.taken, statement.recovered) == (100_000, 7, recovered)
    assert (statement.credit, statement.debt) == (account.credit, account.debt)
    assert (statement.period_start_ms, statement.period_energy) == (START, 37)
    assert (statement.period_charge, statement.carry) == (before.charge, before.carry)
    assert before.carry > 0
    assert swapped == Account(account.lots, account.debt, 0, 0, 0, statement)


def test_a_new_device_needs_the_registers_of_the_tariff() -> None:
    tariff = time_of_use()
    account = open_account(tariff, reading(30, (10, 20)), START, 1)
    with pytest.raises(RegisterError, match="is missing"):
        swap_device(account, tariff, reading(3), START, 1)
    with pytest.raises(RegisterError, match="is missing"):
        open_account(tariff, reading(30), START, 1)


def test_a_tariff_settles_from_its_first_moment() -> None:
    tariff = replace(flat(10 * CENT), valid_from_ms=START + 2)
    account = open_account(tariff, reading(0), START, 1)
    assert settle(account, tariff, TERMS, reading(1_000), START + 2, 2)[1].charge == 10 * CENT
    with pytest.raises(TariffError, match="valid from"):
        settle(account, tariff, TERMS, reading(1_000), START + 1, 2)


def test_what_an_account_counts_stops_at_the_largest_amount() -> None:
    account = open_account(flat(0), reading(0), START, 1)
    for field in ("taken", "debt"):
        full = replace(account, **{field: MAX_INT - 5})
        assert getattr(collect(full, 5)[0], field) == MAX_INT
        with pytest.raises(TariffError, match="more than the ledger can hold"):
            collect(full, 6)
    full = replace(account, topped_up=MAX_INT - 5)
    assert add_lot(full, 1, 5, 0)[0].topped_up == MAX_INT
    with pytest.raises(TariffError, match="more than the ledger can hold"):
        add_lot(full, 1, 6, 0)
    full = replace(account, lots=((1, MAX_INT - 5),))
    assert add_lot(full, 2, 5, 0)[0].credit == MAX_INT
    with pytest.raises(TariffError, match="more than the ledger can hold"):
        add_lot(full, 2, 6, 0)


def test_a_first_statement_has_no_figures() -> None:
    tariff = flat(10 * CENT, calendar=PARIS)
    registers = reading(5_000)
    account = open_account(tariff, registers, START, 7)
    counted = ((registers[0][0], 5_000, 5_000),)
    no_money = (0,) * 9
    first = Statement(0, 7, START, START, tariff_hash(tariff), counted, (), *no_money, START, 0, 0, 0)
    assert account == Account((), 0, 0, 0, 0, first)


def test_a_new_month_starts_without_charge_or_remainder() -> None:
    tariff = flat(12_345_679, calendar=PARIS)
    account = open_account(tariff, reading(0), START, 1)
    account, _ = settle(account, tariff, TERMS, reading(37), START + HOUR, 2)
    assert account.statement.carry > 0
    april = ms("2007-04-01T00:00", "Europe/Paris")
    statement = settle(account, tariff, TERMS, reading(37), april + 1, 3)[1].statement
    assert (statement.period_start_ms, statement.period_energy) == (april, 0)
    assert (statement.period_charge, statement.charge, statement.carry) == (0, 0, 0)


def test_terms_without_mention_of_them_have_no_emergency_credit_and_no_tax() -> None:
    terms = BillingTerms(0, 0)
    assert (terms.debt_recovery_permille, terms.emergency_credit, terms.tax_ppm) == (1_000, 0, 0)
