from __future__ import annotations

import pytest
from msgspec.structs import replace

from gridmonitoring.encoding.bounds import MAX_INT
from gridmonitoring.encoding.cbor import decode, encode
from gridmonitoring.energy_center.credit import (
    Account,
    BillingTerms,
    add_lot,
    close_account,
    collect,
    open_account,
    projected_credit,
    reverse_lot,
    settle,
    swap_device,
)
from gridmonitoring.energy_center.lots import MAX_LOTS
from gridmonitoring.energy_center.tariffs import MAX_PRICE, tariff_hash
from gridmonitoring.errors import CreditError, RegisterError, TariffError
from tests.support.billing import CENT, DAY, HOUR, PARIS, Reading, flat, ms, reading, slabs, time_of_use

FLAT = flat(10 * CENT)
TERMS = BillingTerms(subscription_per_month=0, threshold=50 * CENT)
START = ms("2007-03-10T12:00", "Europe/Paris")
KWH = 10 * CENT
"""What a kWh costs under FLAT."""


def opened(*amounts: int) -> Account:
    """Return an account under FLAT at 5 kWh with lots of these amounts at heights 1, 2, ..."""
    account = open_account(FLAT, reading(5_000), START, 1)
    for height, amount in enumerate(amounts, 1):
        account, _ = add_lot(account, height, amount, 1000)
    return account


def test_an_account_opens_with_its_first_registers_and_nothing_else() -> None:
    account = open_account(FLAT, reading(5_000, export=7), START, 3)
    assert (account.lots, account.debt, account.credit) == ((), 0, 0)
    statement = account.statement
    assert (statement.number, statement.sequence, statement.time_ms) == (0, 3, START)
    assert statement.registers == tuple((code, wh, wh) for code, wh in reading(5_000, export=7))
    assert statement.tariff == tariff_hash(FLAT)
    assert decode(encode(account), Account) == account


def test_an_account_opens_only_with_the_registers_of_its_tariff_in_order() -> None:
    with pytest.raises(RegisterError, match=r"1\.8\.0 is missing"):
        open_account(FLAT, (), START, 1)
    with pytest.raises(RegisterError, match=r"1\.8\.2 is missing"):
        open_account(time_of_use(), reading(0, (0,)), START, 1)
    with pytest.raises(RegisterError, match=r"1\.8\.0 does not come after 1\.8\.1"):
        open_account(FLAT, reading(0, (0,))[::-1], START, 1)


def test_a_settlement_draws_on_the_lot_and_states_what_it_did() -> None:
    account, settled = settle(opened(100 * CENT), FLAT, TERMS, reading(7_500), START + HOUR, 2)
    assert account.lots == ((1, 75 * CENT),)
    assert (settled.charge, settled.exhausted, settled.new_debt) == (25 * CENT, (), 0)
    statement = settled.statement
    assert statement == account.statement
    assert (statement.number, statement.sequence) == (1, 2)
    assert (statement.from_ms, statement.time_ms) == (START, START + HOUR)
    assert statement.registers == ((reading(0)[0][0], 5_000, 7_500),)
    assert statement.lines == ((1, 2_500, 25 * CENT),)
    assert (statement.topped_up, statement.taken, statement.recovered) == (100 * CENT, 0, 0)
    assert (statement.credit, statement.debt) == (75 * CENT, 0)
    assert (statement.period_start_ms, statement.period_energy) == (START, 2_500)
    assert decode(encode(account), Account) == account


def test_lots_are_drawn_in_order_and_the_excess_draws_the_next() -> None:
    account, settled = settle(opened(KWH, KWH, 3 * KWH), FLAT, TERMS, reading(8_000), START, 2)
    assert account.lots == ((3, 2 * KWH),)
    assert settled.exhausted == (1, 2)
    assert settled.new_debt == 0


def test_a_lot_drawn_to_exactly_zero_is_used_up() -> None:
    account, settled = settle(opened(KWH, KWH), FLAT, TERMS, reading(6_000), START, 2)
    assert account.lots == ((2, KWH),)
    assert settled.exhausted == (1,)
    account, settled = settle(account, FLAT, TERMS, reading(7_000), START, 3)
    assert (account.lots, account.credit, account.debt) == ((), 0, 0)
    assert settled.exhausted == (2,)


def test_use_past_zero_is_debt_that_the_next_lot_pays_first() -> None:
    account, settled = settle(opened(KWH), FLAT, TERMS, reading(8_000), START, 2)
    assert (account.debt, settled.new_debt, settled.exhausted) == (2 * KWH, 2 * KWH, (1,))
    account, recovered = add_lot(account, 2, 5 * KWH, 1000)
    assert recovered == 2 * KWH
    assert (account.lots, account.debt) == (((2, 3 * KWH),), 0)
    statement = settle(account, FLAT, TERMS, reading(8_000), START, 3)[1].statement
    assert (statement.topped_up, statement.recovered, statement.credit) == (5 * KWH, 2 * KWH, 3 * KWH)


def test_the_recovery_share_limits_what_a_top_up_pays_of_the_debt() -> None:
    account = replace(opened(), debt=100)
    assert add_lot(account, 1, 99, 300)[1] == 29
    account, recovered = add_lot(account, 1, 40, 250)
    assert (recovered, account.debt, account.lots) == (10, 90, ((1, 30),))


def test_a_top_up_that_goes_to_debt_whole_makes_no_lot() -> None:
    account, recovered = add_lot(replace(opened(), debt=100), 1, 60, 1000)
    assert (recovered, account.debt, account.lots, account.topped_up) == (60, 40, (), 60)


def test_lots_come_in_order_of_height_with_money_and_not_without_number() -> None:
    account = opened(1, 1)
    for height, amount, says in [(2, 5, "lot 2 is not after lot 2"), (3, 0, "more than no money")]:
        with pytest.raises(CreditError, match=says):
            add_lot(account, height, amount, 1000)
    full = opened(*[1] * MAX_LOTS)
    with pytest.raises(CreditError, match=f"at most {MAX_LOTS} lots"):
        add_lot(full, MAX_LOTS + 1, 1, 1000)
    with pytest.raises(TariffError, match="more than the ledger can hold"):
        add_lot(account, 3, MAX_INT - 1, 1000)


def test_time_of_use_charges_each_rate_and_refuses_a_sum_that_is_not_the_total() -> None:
    tariff = time_of_use()
    account = open_account(tariff, reading(30, (10, 20)), START, 1)
    statement = settle(account, tariff, TERMS, reading(130, (50, 80), 4), START, 2)[1].statement
    assert statement.lines == ((1, 40, 40 * 20_000), (2, 60, 60 * 10_000))
    assert statement.registers[-1][1:] == (0, 4)
    with pytest.raises(RegisterError, match="is not the sum of the rates: 99 Wh, then 100 Wh") as caught:
        settle(account, tariff, TERMS, reading(130, (50, 79)), START, 2)
    assert caught.value.code == reading(0)[0][0]
    with pytest.raises(RegisterError, match="not the sum"):
        settle(account, tariff, TERMS, reading(131, (50, 80, 1)), START, 2)


@pytest.mark.parametrize(
    ("registers", "says"),
    [
        (reading(4_999), r"1\.8\.0 went down: 5000 Wh, then 4999 Wh"),
        (reading(5_000 + 2**32 + 1), r"1\.8\.0 leapt"),
        ((), r"1\.8\.0 is missing"),
        (reading(5_000, (0,))[::-1], "does not come after"),
        (reading(5_000) * 2, "does not come after"),
    ],
)
def test_registers_that_cannot_follow_are_refused(registers: Reading, says: str) -> None:
    with pytest.raises(RegisterError, match=says):
        settle(opened(KWH), FLAT, TERMS, registers, START + 1, 2)


def test_a_register_once_reported_stays_in_every_claim() -> None:
    account, _ = settle(opened(), FLAT, TERMS, reading(5_000, (), 3), START, 2)
    with pytest.raises(RegisterError, match=r"2\.8\.0 is missing: 3 Wh"):
        settle(account, FLAT, TERMS, reading(5_000), START, 3)


def test_a_settlement_cannot_go_back_in_time_or_before_its_tariff() -> None:
    with pytest.raises(TariffError, match="cannot follow"):
        settle(opened(), FLAT, TERMS, reading(5_000), START - 1, 2)
    with pytest.raises(TariffError, match="valid from"):
        settle(opened(), replace(FLAT, valid_from_ms=START + 2), TERMS, reading(5_000), START + 1, 2)


def test_a_charge_that_the_ledger_cannot_hold_is_refused() -> None:
    dear = flat(MAX_PRICE)
    terms = replace(TERMS, tax_ppm=1_000_000)
    account = open_account(dear, reading(0), START, 1)
    account, _ = settle(account, dear, terms, reading(2**32), START, 2)
    assert 0 < account.debt <= MAX_INT
    with pytest.raises(TariffError, match="more than the ledger can hold"):
        settle(account, dear, terms, reading(2**33), START, 3)


def test_one_settlement_owes_the_time_charges_of_every_boundary_it_passed() -> None:
    tariff = flat(10 * CENT, standing=3 * CENT, calendar=PARIS)
    terms = replace(TERMS, subscription_per_month=500 * CENT, tax_ppm=100_000)
    account = open_account(tariff, reading(0), START, 1)
    late = ms("2007-05-02T08:00", "Europe/Paris")
    statement = settle(account, tariff, terms, reading(0), late, 2)[1].statement
    assert (statement.standing, statement.subscription) == (53 * 3 * CENT, 2 * 500 * CENT)
    assert statement.tax == (53 * 3 * CENT + 1_000 * CENT) // 10
    assert statement.charge == statement.standing + statement.subscription + statement.tax
    assert statement.debt == statement.charge


def test_energy_at_a_month_boundary_belongs_to_the_month_that_ends() -> None:
    tariff = slabs(((1_000, 1 * CENT), (None, 9 * CENT)), calendar=PARIS)
    account = open_account(tariff, reading(0), START, 1)
    april = ms("2007-04-01T00:00", "Europe/Paris")
    account, settled = settle(account, tariff, TERMS, reading(2_000), april, 2)
    assert settled.charge == 10 * CENT
    assert (settled.statement.period_start_ms, settled.statement.period_energy) == (START, 2_000)
    account, settled = settle(account, tariff, TERMS, reading(2_500), april + 1, 3)
    assert settled.charge == CENT // 2
    assert (settled.statement.period_start_ms, settled.statement.period_energy) == (april, 500)
    june = ms("2007-06-01T00:00", "Europe/Paris")
    statement = settle(account, tariff, TERMS, reading(4_000), june + 5, 4)[1].statement
    assert statement.charge == CENT + 9 * CENT // 2
    assert (statement.period_start_ms, statement.period_charge) == (june, statement.charge)


def test_a_new_tariff_starts_a_new_period_with_the_registers_of_the_last_statement() -> None:
    old = slabs(((1_000, 1 * CENT), (None, 9 * CENT)), calendar=PARIS)
    new = time_of_use(calendar=PARIS)
    change = START + 3 * HOUR
    account = open_account(old, reading(0), START, 1)
    account, _ = settle(account, old, TERMS, reading(1_500), change, 2)
    account, settled = settle(account, new, TERMS, reading(1_800, (100, 200)), change + HOUR, 3)
    statement = settled.statement
    assert statement.lines == ((1, 100, 2 * CENT), (2, 200, 2 * CENT))
    assert (statement.period_start_ms, statement.period_energy) == (change, 300)
    assert statement.tariff == tariff_hash(new)
    account, settled = settle(account, new, TERMS, reading(1_900, (200, 200)), change + 2 * HOUR, 4)
    assert (settled.statement.period_start_ms, settled.statement.period_energy) == (change, 400)


def test_an_account_opened_and_settled_at_the_same_moment_stays_in_its_month() -> None:
    april = ms("2007-04-01T00:00", "Europe/Paris")
    tariff = flat(10 * CENT, calendar=PARIS)
    account = open_account(tariff, reading(0), april, 1)
    account, settled = settle(account, tariff, TERMS, reading(1), april, 2)
    assert (settled.statement.subscription, settled.statement.standing) == (0, 0)
    statement = settle(account, tariff, TERMS, reading(3), april, 3)[1].statement
    assert (statement.period_start_ms, statement.period_energy) == (april, 3)


def test_often_or_once_a_month_costs_the_same() -> None:
    tariff = flat(12_345_678, standing=7, calendar=PARIS)
    terms = replace(TERMS, subscription_per_month=11, tax_ppm=196_001)
    often = once = open_account(tariff, reading(0), START, 1)
    end = ms("2007-04-01T00:00", "Europe/Paris")
    total, time = 0, START
    while time < end:
        time = min(time + 5 * HOUR, end)
        total += 37
        often, _ = settle(often, tariff, terms, reading(total), time, 2)
    once, _ = settle(once, tariff, terms, reading(total), end, 2)
    assert often.debt == once.debt
    assert often.statement.carry == once.statement.carry


def test_a_projection_is_the_settlement_that_has_not_been_made() -> None:
    account = opened(KWH, KWH)
    for total in (5_000, 6_999, 7_000, 7_001):
        after, _ = settle(account, FLAT, TERMS, reading(total), START + DAY, 2)
        projection = projected_credit(account, FLAT, TERMS, reading(total), START + DAY)
        assert projection == (after.credit, after.debt)
    assert projected_credit(account, FLAT, TERMS, reading(7_001), START) == (0, KWH // 1000)
    with pytest.raises(RegisterError, match="went down"):
        projected_credit(account, FLAT, TERMS, reading(4_000), START)


def test_a_bounced_payment_takes_its_lot_and_what_was_used_of_it_is_debt() -> None:
    account, _ = settle(opened(3 * KWH, KWH), FLAT, TERMS, reading(6_000), START, 2)
    account, owed = reverse_lot(account, 1, 3 * KWH)
    assert (account.lots, account.debt, owed) == (((2, KWH),), KWH, KWH)
    account, owed = reverse_lot(account, 2, KWH)
    assert (account.lots, account.debt, owed) == ((), KWH, 0)
    assert account.taken == 4 * KWH


def test_a_bounced_payment_that_was_used_up_or_paid_debt_is_debt_again() -> None:
    account, _ = settle(opened(), FLAT, TERMS, reading(6_000), START, 2)
    account, _ = add_lot(account, 1, 3 * KWH, 1000)
    account, _ = settle(account, FLAT, TERMS, reading(7_000), START, 3)
    assert reverse_lot(account, 1, 3 * KWH)[1] == 2 * KWH
    account, _ = settle(account, FLAT, TERMS, reading(8_000), START, 4)
    account, owed = reverse_lot(account, 1, 3 * KWH)
    assert (account.lots, account.debt, owed) == ((), 3 * KWH, 3 * KWH)


def test_no_more_is_reversed_than_was_paid() -> None:
    with pytest.raises(CreditError, match="lot 1 has 100 left, more than the 99 paid"):
        reverse_lot(opened(100), 1, 99)


def test_a_penalty_is_drawn_as_use_is() -> None:
    account, exhausted = collect(opened(10, 20), 15)
    assert (account.lots, account.debt, account.taken, exhausted) == (((2, 15),), 0, 15, (1,))
    account, exhausted = collect(account, 40)
    assert (account.lots, account.debt, account.taken, exhausted) == ((), 25, 55, (2,))
    assert collect(account, 0) == (account, ())


@pytest.mark.parametrize(("debt", "refund", "left"), [(0, 30, 0), (12, 18, 0), (30, 0, 0), (45, 0, 15)])
def test_a_closed_account_refunds_what_is_left_after_its_debt(debt: int, refund: int, left: int) -> None:
    account, given = close_account(replace(opened(10, 20), debt=debt))
    assert (given, account.lots, account.debt, account.taken) == (refund, (), left, refund)


def test_a_new_device_starts_from_its_own_registers_in_the_same_period() -> None:
    tariff = slabs(((1_000, 1 * CENT), (None, 9 * CENT)))
    account = open_account(tariff, reading(5_000), START, 1)
    account, _ = settle(account, tariff, TERMS, reading(5_900), START + HOUR, 2)
    account, _ = add_lot(account, 1, 100 * CENT, 1000)
    account = swap_device(account, tariff, reading(3), START + 2 * HOUR, 1)
    swapped = account.statement
    assert (swapped.number, swapped.charge, swapped.from_ms) == (2, 0, START + HOUR)
    assert (swapped.topped_up, swapped.credit, account.topped_up) == (100 * CENT, account.credit, 0)
    statement = settle(account, tariff, TERMS, reading(203), START + 3 * HOUR, 2)[1].statement
    assert statement.lines == ((1, 100, CENT // 10), (2, 100, 9 * CENT // 10))
    assert (statement.period_start_ms, statement.period_energy) == (START, 1_100)
    with pytest.raises(TariffError, match="cannot follow"):
        swap_device(account, tariff, reading(3), START, 1)


def test_terms_survive_their_encoding() -> None:
    terms = BillingTerms(5 * CENT, CENT, 500, 200 * CENT, 196_000)
    assert decode(encode(terms), BillingTerms) == terms
