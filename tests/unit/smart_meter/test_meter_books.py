"""Books: the grid's order of things is found among the possible ones, or the statement is wrong."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from gridmonitoring.blockchain.state_rows import CommandKind
from gridmonitoring.energy_center.credit import (
    Account,
    BillingTerms,
    add_lot,
    open_account,
    reverse_lot,
    settle,
)
from gridmonitoring.energy_center.statements import Statement
from gridmonitoring.errors import CreditError, StatementDiffers
from gridmonitoring.smart_meter.books import MAX_HISTORY, Books, BooksState, Order
from tests.support.billing import CENT, MINUTE, flat, ms, reading

TARIFF = flat(1_000 * CENT)  # a cent a watt-hour
TERMS = BillingTerms(0, 0)
START = ms("2007-03-01T12:00:00")
OPEN = open_account(TARIFF, reading(0), START, 1)


class Pair:
    """The same account on both sides."""

    def __init__(self, terms: BillingTerms = TERMS) -> None:
        self.terms = terms
        self.books = Books(BooksState(OPEN, (), ()))
        self.grid: Account = OPEN
        self.used, self.sequence, self.number, self.height = 0, 1, 0, 0
        self.on_their_way: list[Order] = []

    def use(self, energy: int) -> None:
        """The meter settles; the grid gets the report at once."""
        self.claim(energy)
        self.arrive()

    def claim(self, energy: int) -> None:
        """The meter settles; the report is on its way."""
        self.used += energy
        self.sequence += 1
        time = START + self.sequence * MINUTE
        self.books.settle(TARIFF, self.terms, reading(self.used), time, self.sequence)

    def arrive(self) -> None:
        """The grid gets the last report."""
        time = START + self.sequence * MINUTE
        self.grid, _ = settle(self.grid, TARIFF, self.terms, reading(self.used), time, self.sequence)

    def buy(self, amount: int) -> None:
        """The grid adds a lot; the command is on its way."""
        self.height += 1
        share = self.terms.debt_recovery_permille
        self._order(CommandKind.CREDIT, self.height, amount, share)
        self.grid, _ = add_lot(self.grid, self.height, amount, share)

    def bounce(self, height: int, amount: int) -> None:
        """The grid takes a lot back; the command is on its way."""
        self._order(CommandKind.REVERSAL, height, amount, 0)
        self.grid, _ = reverse_lot(self.grid, height, amount)

    def _order(self, kind: CommandKind, height: int, amount: int, share: int) -> None:
        self.number += 1
        self.on_their_way.append(Order(self.number, kind, height, amount, share, self.grid.debt))

    def tell(self) -> None:
        """The meter hears of all orders and carries them out."""
        for order in self.on_their_way:
            self.books.hear(order)
            self.books.carry_out(order.number)
        self.on_their_way = []


def test_credit_that_was_on_its_way_at_a_settlement_is_told_by_the_statement() -> None:
    pair = Pair()
    pair.buy(500 * CENT)
    pair.tell()
    pair.buy(800 * CENT)
    pair.use(700)
    assert pair.books.account.debt == 200 * CENT
    pair.tell()
    pair.books.check(pair.grid, whole=True)
    assert pair.books.account == pair.grid
    assert pair.grid.statement.topped_up == 1_300 * CENT


@pytest.mark.parametrize("share", [0, 300, 1_000])
def test_debt_and_lots_split_as_on_the_grid_whatever_the_recovery_share(share: int) -> None:
    pair = Pair(BillingTerms(0, 0, share))
    pair.use(100)
    pair.buy(90 * CENT)
    pair.buy(70 * CENT)
    pair.use(60)
    pair.tell()
    split_before = pair.books.account.credit, pair.books.account.debt
    pair.books.check(pair.grid, whole=True)
    assert pair.books.account == pair.grid
    assert (split_before != (pair.grid.credit, pair.grid.debt)) is (share == 0 or share == 300)
    pair.use(5)
    pair.books.check(pair.grid, whole=True)
    assert pair.books.account == pair.grid


def test_orders_that_cancel_are_told_apart_by_what_the_account_says_since() -> None:
    pair = Pair()
    pair.buy(950 * CENT)
    pair.tell()
    pair.buy(950 * CENT)
    pair.bounce(1, 950 * CENT)
    pair.use(60)
    pair.use(935)
    pair.tell()
    assert pair.books.reconcile(pair.grid, whole=True)
    assert pair.books.account == pair.grid


def test_a_statement_that_fits_several_orders_waits_for_a_later_one() -> None:
    pair = Pair()
    pair.buy(950 * CENT)
    pair.tell()
    pair.use(60)
    pair.use(935)
    earlier = pair.grid
    pair.buy(950 * CENT)
    pair.bounce(1, 950 * CENT)
    pair.tell()
    before = pair.books.account
    pair.books.check(earlier, whole=False)
    assert pair.books.account == before
    pair.use(1)
    pair.books.check(pair.grid, whole=True)
    assert pair.books.account == pair.grid


def test_what_was_heard_is_in_the_account_and_known_once_carried_out() -> None:
    pair = Pair()
    pair.buy(300 * CENT)
    pair.buy(200 * CENT)
    first, second = pair.on_their_way
    pair.books.hear(first)
    pair.books.hear(second)
    assert (pair.books.known.credit, pair.books.account.credit) == (0, 500 * CENT)
    assert (pair.books.heard(1), pair.books.heard(3)) == (True, False)
    pair.books.carry_out(1)
    assert (pair.books.known.credit, pair.books.heard(1)) == (300 * CENT, False)
    pair.claim(350)
    assert (pair.books.known.credit, pair.books.known.debt) == (0, 50 * CENT)
    assert Books(pair.books.state()).known == pair.books.known


def test_a_lot_that_is_taken_back_is_known_until_that_is_carried_out() -> None:
    pair = Pair()
    pair.buy(300 * CENT)
    pair.tell()
    pair.bounce(1, 300 * CENT)
    pair.books.hear(pair.on_their_way[0])
    assert (pair.books.known.credit, pair.books.known.debt) == (300 * CENT, 0)
    pair.books.carry_out(2)
    assert (pair.books.known.credit, pair.books.known.debt) == (0, 0)


def test_closing_refunds_what_the_order_says_and_leaves_later_use_as_debt() -> None:
    pair = Pair()
    pair.buy(300 * CENT)
    pair.tell()
    pair.claim(40)
    pair.books.hear(Order(2, CommandKind.CLOSE, 0, 300 * CENT, 0, 0))
    pair.books.carry_out(2)
    account = pair.books.account
    assert (account.lots, account.debt, account.taken) == ((), 40 * CENT, 300 * CENT)


def test_a_wrong_statement_differs_in_the_field_that_is_wrong() -> None:
    pair = Pair()
    pair.buy(300 * CENT)
    pair.tell()
    pair.use(40)
    before = pair.books.account
    charge = pair.grid.statement.charge
    wrong = {"charge": charge + 1, "credit": 1, "carry": 5, "topped_up": 0, "time_ms": START, "number": 9}
    for field, value in wrong.items():
        theirs = replace(pair.grid, statement=replace(pair.grid.statement, **{field: value}))
        with pytest.raises(StatementDiffers) as caught:
            pair.books.check(theirs, whole=True)
        assert (caught.value.field, pair.books.account) == (field, before)
    pair.books.check(pair.grid, whole=True)


def test_a_statement_of_no_report_of_the_meter_differs() -> None:
    pair = Pair()
    pair.use(40)
    theirs = replace(pair.grid, statement=replace(pair.grid.statement, sequence=77))
    with pytest.raises(StatementDiffers, match="sequence"):
        pair.books.check(theirs, whole=True)


def test_an_old_statement_is_passed_over() -> None:
    pair = Pair()
    pair.use(40)
    old = pair.grid
    pair.use(40)
    pair.books.check(pair.grid, whole=True)
    pair.books.check(replace(old, statement=replace(old.statement, charge=1)), whole=True)
    assert pair.books.account == pair.grid


def test_going_on_from_the_grid_settles_later_reports_anew() -> None:
    pair = Pair()
    pair.buy(300 * CENT)
    pair.tell()
    pair.use(40)
    theirs = replace(pair.grid, debt=9 * CENT, statement=replace(pair.grid.statement, debt=9 * CENT))
    pair.claim(5)

    def again(account: Account, own: Statement) -> Account:
        taken = [(code, after) for code, _, after in own.registers]
        return settle(account, TARIFF, TERMS, taken, own.time_ms, own.sequence)[0]

    pair.books.adopt(theirs, again)
    assert (pair.books.account.credit, pair.books.account.debt) == (255 * CENT, 9 * CENT)
    assert pair.books.account.statement.sequence == pair.sequence


def test_of_a_long_silence_the_oldest_are_taken_for_agreed() -> None:
    pair = Pair()
    pair.buy(10_000 * CENT)
    pair.tell()
    for _ in range(MAX_HISTORY + 9):
        pair.use(3)
    assert len(pair.books.state().history) == MAX_HISTORY
    assert Books(pair.books.state()).account == pair.books.account
    pair.books.check(pair.grid, whole=True)
    assert (pair.books.account, pair.books.state().history) == (pair.grid, ())


def test_an_order_that_the_account_cannot_take_changes_nothing() -> None:
    pair = Pair()
    pair.buy(300 * CENT)
    pair.tell()
    before = pair.books.state()
    with pytest.raises(CreditError):
        pair.books.hear(Order(2, CommandKind.CREDIT, 1, 5, 0, 0))
    assert pair.books.state() is before
