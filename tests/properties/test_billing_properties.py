"""Random accounts under random tariffs: every statement equals that of an oracle in exact fractions."""

from __future__ import annotations

from itertools import count
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gridmonitoring.encoding.bounds import EXPORT_TOTAL, IMPORT_TOTAL, import_rate
from gridmonitoring.encoding.cbor import decode, encode
from gridmonitoring.energy_center.calendar import next_month_boundary_ms
from gridmonitoring.energy_center.credit import (
    Account,
    BillingTerms,
    Settled,
    add_lot,
    close_account,
    collect,
    open_account,
    projected_credit,
    reverse_lot,
    settle,
    swap_device,
)
from gridmonitoring.energy_center.tariffs import MAX_PRICE, Tariff, TariffKind, check_tariff, tariff_hash
from tests.support.billing import (
    CENT,
    DAY,
    FIXED,
    HOUR,
    MINUTE,
    PARIS,
    WEEKEND,
    WORKING_DAY,
    Reading,
    flat,
    ms,
    slabs,
    time_of_use,
)
from tests.support.billing_oracle import Expected, Oracle

LIFE = 25
"""Settlements of one account."""
CALENDARS = (FIXED, PARIS, replace(FIXED, transitions=((0, -300),)))


def random_price(rng: Random) -> int:
    return rng.choice([0, rng.randint(1, 999), rng.randint(1, 50 * CENT), MAX_PRICE])


def random_tariff(rng: Random) -> Tariff:
    calendar = rng.choice(CALENDARS)
    standing = rng.choice([0, rng.randint(0, 100 * CENT)])
    kind = rng.choice(list(TariffKind))
    if kind is TariffKind.FLAT:
        tariff = flat(random_price(rng), standing, calendar)
    elif kind is TariffKind.SLAB:
        limits = sorted(rng.sample(range(1, 100_000), rng.randint(0, 4)))
        tariff = slabs(tuple((limit, random_price(rng)) for limit in [*limits, None]), standing, calendar)
    else:
        rates = sorted(rng.sample(range(1, 64), rng.randint(2, 4)))
        switching = [(WORKING_DAY, 60 * hour, rate) for hour, rate in enumerate(rates)]
        switching.append((WEEKEND, 0, rates[0]))
        prices = tuple((rate, random_price(rng)) for rate in rates)
        tariff = time_of_use(prices, tuple(switching), standing, calendar)
    check_tariff(tariff)
    return tariff


def random_terms(rng: Random) -> BillingTerms:
    return BillingTerms(
        subscription_per_month=rng.choice([0, rng.randint(0, 10**9)]),
        threshold=0,
        debt_recovery_permille=rng.choice([1000, rng.randint(0, 1000)]),
        tax_ppm=rng.choice([0, 196_000, rng.randint(0, 10**6)]),
    )


class House:
    """A meter's registers and the account they are charged to, by the code and by the oracle."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.sequence = count(1)
        self.height = count(1)
        self.tariff, self.terms = random_tariff(rng), random_terms(rng)
        self.time = ms("2006-12-20T00:00") + rng.randint(0, 30 * DAY)
        self.payments: dict[int, int] = {}
        self.new_device()
        self.account = open_account(self.tariff, self.reading(), self.time, next(self.sequence))
        self.oracle = Oracle(self.time)

    def new_device(self) -> None:
        self.total, self.export = self.rng.randint(0, 10**6), self.rng.choice([None, 0])
        self.rates = {rate: self.rng.randint(0, 10**6) for rate, _ in self.tariff.rates}

    def reading(self) -> Reading:
        rates = [(bytes(import_rate(rate)), wh) for rate, wh in sorted(self.rates.items())]
        export = [] if self.export is None else [(bytes(EXPORT_TOTAL), self.export)]
        return ((bytes(IMPORT_TOTAL), self.total), *rates, *export)

    def use(self) -> dict[int, int]:
        """Run the registers on, and return the energy of each rate, or of the total under 0."""
        most = self.rng.choice([0, 10, 3_000, 1_000_000])
        if self.export is not None:
            self.export += self.rng.randint(0, most)
        if self.tariff.kind != TariffKind.TIME_OF_USE:
            energy = {0: self.rng.randint(0, most)}
        else:
            energy = {rate: self.rng.choice([0, self.rng.randint(0, most)]) for rate, _ in self.tariff.rates}
            for rate, wh in energy.items():
                self.rates[rate] += wh
        self.total += sum(energy.values())
        return energy

    def pass_time(self) -> None:
        month_ends = next_month_boundary_ms(self.tariff.calendar, self.time)
        steps = [1, 15 * MINUTE, HOUR, DAY, self.rng.randint(1, DAY), self.rng.randint(1, 100 * DAY)]
        self.time = self.rng.choice([month_ends, month_ends + 1, *[self.time + step for step in steps]])

    def something_happens(self) -> None:
        happening = self.rng.randint(0, 11)
        if happening < 5:
            self.pay()
        elif happening == 5 and self.payments:
            self.bounce()
        elif happening == 6:
            amount = self.rng.randint(0, 10**7)
            self.account, exhausted = collect(self.account, amount)
            assert list(exhausted) == self.oracle.draw(amount)
        elif happening == 7:
            self.tariff = random_tariff(self.rng)
            self.rates = {rate: 0 for rate, _ in self.tariff.rates} | self.rates
        elif happening == 8:
            self.terms = random_terms(self.rng)
        elif happening == 9:
            self.new_device()
            sequence = next(self.sequence)
            self.account = swap_device(self.account, self.tariff, self.reading(), self.time, sequence)

    def pay(self) -> None:
        height = next(self.height)
        amount = self.rng.choice([1, self.rng.randint(1, 10**5), self.rng.randint(1, 10**9), 10**13])
        self.payments[height] = amount
        self.account, recovered = add_lot(self.account, height, amount, self.terms.debt_recovery_permille)
        self.oracle.top_up(height, amount, self.terms.debt_recovery_permille)
        assert recovered <= amount

    def bounce(self) -> None:
        height = self.rng.choice(sorted(self.payments))
        amount = self.payments.pop(height)
        self.account, _ = reverse_lot(self.account, height, amount)
        self.oracle.reverse(height, amount)

    def settle(self) -> None:
        before, energy = self.account, self.use()
        registers = self.reading()
        projection = projected_credit(before, self.tariff, self.terms, registers, self.time)
        sequence = next(self.sequence)
        self.account, settled = settle(before, self.tariff, self.terms, registers, self.time, sequence)
        expected = self.oracle.settle(self.tariff, self.terms, energy, self.time)
        check_charge(settled, expected)
        check_account(before, self.account, self.oracle)
        assert projection == (self.account.credit, self.account.debt)
        assert settled.statement.period_charge == self.oracle.paid_in_period
        assert settled.statement.tariff == tariff_hash(self.tariff)


def check_charge(settled: Settled, expected: Expected) -> None:
    statement = settled.statement
    assert settled.charge == statement.charge == expected.charge
    assert list(settled.exhausted) == expected.exhausted
    assert {number: energy for number, energy, _ in statement.lines} == expected.energy
    assert (statement.standing, statement.subscription) == (expected.standing, expected.subscription)
    money = {number: amount for number, _, amount in statement.lines}
    time_money = statement.standing + statement.subscription
    assert sum(money.values()) + time_money + statement.tax == statement.charge
    for number, amount in money.items():
        assert amount >= 0
        assert abs(amount - expected.net[number]) < 1
    assert statement.tax >= 0
    assert abs(statement.tax - expected.tax) < 1


def check_account(before: Account, after: Account, oracle: Oracle) -> None:
    assert list(after.lots) == oracle.lots
    assert after.debt == oracle.debt
    statement, last = after.statement, before.statement
    assert (statement.credit, statement.debt) == (after.credit, after.debt)
    balance = last.credit - last.debt + statement.topped_up - statement.taken - statement.charge
    assert statement.credit - statement.debt == balance
    assert statement.number == last.number + 1
    assert [(code, wh) for code, wh, _ in statement.registers if wh] == [
        (code, wh) for code, _, wh in last.registers if wh
    ]


def live(rng: Random) -> None:
    """Live the life of one account and check every statement of it."""
    house = House(rng)
    for _ in range(LIFE):
        house.something_happens()
        house.pass_time()
        house.settle()
    assert decode(encode(house.account), Account) == house.account
    balance = house.account.credit - house.account.debt
    closed, refund = close_account(house.account)
    assert refund - closed.debt == balance
    assert not closed.lots


@given(st.randoms(use_true_random=False))
def test_any_account_equals_the_oracle(rng: Random) -> None:
    live(rng)


def test_a_thousand_statements_equal_the_oracle_and_a_million_in_the_soak(soak: bool) -> None:
    for seed in range((1_000_000 if soak else 1_000) // LIFE):
        live(Random(seed))
