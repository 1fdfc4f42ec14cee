"""The meter's own account, and how a statement of the grid is held against it (paper V-A).

Grid and meter change an account by the same functions, but not in the same order: the grid adds a lot when
the form is in the log, the meter when its command arrives, and a settlement may come between. Credit less
debt is the same in every order. How it splits into lots and debt, and what a statement says was topped up
since the last, is not: so a statement is looked for among the orders that are possible, with every charge as
the meter computed it. If there is one, the meter takes that order over and is equal to the grid to the
unit; if there is none, the statement is wrong.

Left out: what follows a wrong statement (`meter`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace

from gridmonitoring.blockchain.state_rows import CommandKind
from gridmonitoring.encoding.bounds import Money, Unsigned
from gridmonitoring.energy_center.credit import Account, BillingTerms, Settled, add_lot, reverse_lot, settle
from gridmonitoring.energy_center.lots import draw, total
from gridmonitoring.energy_center.statements import Statement, check_statement
from gridmonitoring.energy_center.tariffs import Tariff
from gridmonitoring.errors import CreditError, StatementDiffers, TariffError

MAX_HISTORY = 16
"""Settlements and orders that wait for a statement; of more, the oldest are taken for agreed."""

Reading = Sequence[tuple[bytes, int]]
"""(OBIS code, Wh) in order of code."""


class Order(Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="order/1"):
    """A command that moved money."""

    number: Unsigned
    """Number of the command."""
    kind: CommandKind
    """CREDIT, REVERSAL or CLOSE."""
    height: Unsigned
    """Height of the lot."""
    amount: Money
    """Money of the lot; what was refunded at closing."""
    recovery: Unsigned
    """Share of a top-up that may go to debt, thousandths."""


class BooksState(Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """The books, to be kept through a power cut."""

    agreed: Account
    """The account after the last statement that grid and meter agree on, or as it was opened."""
    history: tuple[Statement | Order, ...]
    """What came since, in the meter's order."""


class Books:
    """The money side of one meter."""

    __slots__ = ("_agreed", "_history", "_state", "account")

    def __init__(self, state: BooksState) -> None:
        self._agreed = state.agreed
        self._history = list(state.history)
        self._state: BooksState | None = state
        self.account = _replayed(self._agreed, self._history)
        """The account, in the meter's order."""

    def state(self) -> BooksState:
        """Return the books as they are; the same object until they change."""
        if self._state is None:
            self._state = BooksState(self._agreed, tuple(self._history))
        return self._state

    def settle(
        self, tariff: Tariff, terms: BillingTerms, reading: Reading, time: int, sequence: int
    ) -> Settled:
        """Settle registers as the grid will; raises as `credit.settle` does."""
        self.account, settled = settle(self.account, tariff, terms, reading, time, sequence)
        self._note(settled.statement)
        return settled

    def order(self, order: Order) -> None:
        """Carry out a command that moves money; raises `CreditError` or `TariffError`, nothing changed."""
        self.account = _ordered(self.account, order)
        self._note(order)

    def check(self, theirs: Statement) -> None:
        """Hold the grid's statement against the meter's own settlement of the same report.

        An old statement is passed over. Raises `StatementDiffers`, nothing changed, where no possible order
        leads to it.
        """
        if not self.reconcile(theirs):
            check_statement(theirs, self._ours(self._place(theirs)))

    def reconcile(self, theirs: Statement) -> bool:
        """Take over the order that leads to the grid's statement; return whether there is one.

        Before every command that it names has come there may be none yet.
        """
        if theirs.sequence <= self._agreed.statement.sequence:
            return True
        place = self._find(theirs)
        if place is None:
            return False
        found = next((c for c in self._candidates(place) if c[0].statement == theirs), None)
        if found is None:
            return False
        self._agreed, carried = found
        done = [entry for entry in self._history if isinstance(entry, Order)][:carried]
        self._history = [entry for entry in self._history[place + 1 :] if entry not in done]
        self.account, self._state = _replayed(self._agreed, self._history), None
        return True

    def adopt(self, theirs: Account, again: Callable[[Account, Statement], Account]) -> None:
        """Go on from an account of the grid that the meter has disputed.

        `again` settles a later report of the meter anew, on the account given. Raises what it raises,
        nothing changed.
        """
        account = theirs
        for entry in self._history:
            if isinstance(entry, Statement) and entry.sequence > theirs.statement.sequence:
                account = again(account, entry)
        self._agreed, self._history, self.account, self._state = account, [], account, None

    def _note(self, entry: Statement | Order) -> None:
        self._history.append(entry)
        self._state = None
        if len(self._history) > MAX_HISTORY:
            self._agreed = _applied(self._agreed, self._history.pop(0))

    def _find(self, theirs: Statement) -> int | None:
        for at, entry in enumerate(self._history):
            if isinstance(entry, Statement) and entry.sequence == theirs.sequence:
                return at
        return None

    def _place(self, theirs: Statement) -> int:
        place = self._find(theirs)
        if place is None:
            ours = self.account.statement.sequence
            raise StatementDiffers("sequence", f"{ours} or one before", str(theirs.sequence), 0)
        return place

    def _ours(self, place: int) -> Statement:
        return _replayed(self._agreed, self._history[: place + 1]).statement

    def _candidates(self, place: int) -> Iterator[tuple[Account, int]]:
        """Yield each (account after the settlement at a place, orders in it) that the grid can have.

        What the meter had carried out before a settlement, the grid had in the log before it; what it
        carried out later may have been there as well.
        """
        orders = [entry for entry in self._history if isinstance(entry, Order)]
        reached, carried = {(self._agreed, 0): None}, 0
        for entry in self._history[: place + 1]:
            if isinstance(entry, Order):
                carried += 1
                continue
            following: dict[tuple[Account, int], None] = {}
            for account, applied in reached:
                for count in range(max(applied, carried), len(orders) + 1):
                    found = _possible(account, [*orders[applied:count], entry])
                    if found is not None:
                        following[found, count] = None
            reached = following
        yield from reached


def _replayed(account: Account, entries: Sequence[Statement | Order]) -> Account:
    for entry in entries:
        account = _applied(account, entry)
    return account


def _possible(account: Account, entries: Sequence[Statement | Order]) -> Account | None:
    """Return the account after entries, or None where the grid would have refused this order of them."""
    try:
        return _replayed(account, entries)
    except (CreditError, TariffError):
        return None


def _applied(account: Account, entry: Statement | Order) -> Account:
    return _ordered(account, entry) if isinstance(entry, Order) else _charged(account, entry)


def _charged(account: Account, settled: Statement) -> Account:
    """Return the account after a settlement whose charge is known, as `credit.settle` would leave it."""
    lots, _, new_debt = draw(account.lots, settled.charge)
    debt = account.debt + new_debt
    statement = replace(
        settled,
        topped_up=account.topped_up,
        taken=account.taken,
        recovered=account.recovered,
        credit=total(lots),
        debt=debt,
    )
    return Account(lots, debt, 0, 0, 0, statement)


def _ordered(account: Account, order: Order) -> Account:
    if order.kind is CommandKind.CREDIT:
        return add_lot(account, order.height, order.amount, order.recovery)[0]
    if order.kind is CommandKind.REVERSAL:
        return reverse_lot(account, order.height, order.amount)[0]
    # The refund was fixed when the closing was ordered; what was used since is debt.
    debt = max(account.debt + order.amount - account.credit, 0)
    return replace(account, lots=(), debt=debt, taken=account.taken + order.amount)
