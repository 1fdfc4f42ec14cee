"""The meter's own account, and how a statement of the grid is held against it (paper V-A).

Grid and meter change an account by the same functions, but not in the same order: the grid adds a lot when
the form is in the log, the meter when it hears of it, and a settlement may come between. Credit less debt is
the same in every order. How it splits into lots and debt, and what a statement says was topped up since the
last, is not: so a statement is looked for among the orders that are possible, with every charge as the meter
computed it. If there is one, the meter takes it over and is equal to the grid to the unit; if there is none,
the statement is wrong.

What the meter has heard of is in its account at once; `known` is what it has carried out (`in_flight`).

Left out: what follows a wrong statement (`orders`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace

from gridmonitoring.blockchain.state_rows import CommandKind
from gridmonitoring.encoding.bounds import Money, Unsigned
from gridmonitoring.encoding.cbor import decode, encode
from gridmonitoring.energy_center.credit import (
    Account,
    BillingTerms,
    Projection,
    Settled,
    add_lot,
    collect,
    compensate,
    reverse_lot,
    settle,
)
from gridmonitoring.energy_center.in_flight import without_orders
from gridmonitoring.energy_center.lots import draw, total
from gridmonitoring.energy_center.statements import Statement, check_statement
from gridmonitoring.energy_center.tariffs import Tariff
from gridmonitoring.errors import CreditError, StatementDiffers, TariffError

MAX_HISTORY = 64
"""Settlements and orders that wait for a statement; of more, the oldest are taken for agreed."""

Reading = Sequence[tuple[bytes, int]]
"""(OBIS code, Wh) in order of code."""


class Order(Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="order/1"):
    """A command that moves money."""

    number: Unsigned
    """Number of the command."""
    kind: CommandKind
    """CREDIT, REVERSAL, CLOSE, PENALTY or COMPENSATION."""
    height: Unsigned
    """Height of the lot, or number of the finding."""
    amount: Money
    """Money of the lot, penalty or compensation; what was refunded at closing."""
    recovery: Unsigned
    """Share of a top-up that may go to debt, thousandths."""
    debt: Unsigned
    """What the ledger's account owed just before it."""


class Entry(Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Something that changed the account."""

    what: Statement | Order
    """A settlement, or an order."""


class BooksState(Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """The books, to be kept through a power cut."""

    agreed: Account
    """The account after the last statement that grid and meter agree on, or as it was opened."""
    history: tuple[bytes, ...]
    """Encoded `Entry` of what came since, in the meter's order."""
    ahead: tuple[Order, ...]
    """Orders in the account that are still to be carried out."""


_GIVING = (CommandKind.CREDIT, CommandKind.COMPENSATION)
"""Orders that give money; the others take."""


class Books:
    """The money side of one meter."""

    __slots__ = ("_agreed", "_ahead", "_encoded", "_history", "_state", "account")

    def __init__(self, state: BooksState) -> None:
        self._agreed = state.agreed
        self._history = [decode(entry, Entry).what for entry in state.history]
        self._encoded = list(state.history)
        self._ahead = list(state.ahead)
        self._state: BooksState | None = state
        self.account = _replayed(self._agreed, self._history)
        """The account with all that the meter has heard of, in the meter's order."""

    def state(self) -> BooksState:
        """Return the books as they are; the same object until they change."""
        if self._state is None:
            self._state = BooksState(self._agreed, tuple(self._encoded), tuple(self._ahead))
        return self._state

    # what there is

    @property
    def known(self) -> Projection:
        """Credit and debt by the orders that were carried out."""
        return self._without_ahead(self.account)

    def projected(self, tariff: Tariff, terms: BillingTerms, reading: Reading, time: int) -> Projection:
        """Return `known` as settling these registers would leave it; raises as `credit.settle` does."""
        return self._without_ahead(settle(self.account, tariff, terms, reading, time, 0)[0])

    def period_energy(self, tariff: Tariff, terms: BillingTerms, reading: Reading, time: int) -> int:
        """Return the energy of the tariff period so far, Wh; raises as `credit.settle` does."""
        at = max(time, self.account.statement.time_ms)
        return settle(self.account, tariff, terms, reading, at, 0)[1].statement.period_energy

    def _without_ahead(self, account: Account) -> Projection:
        if not self._ahead:
            return Projection(account.credit, account.debt)
        moved = sum(order.amount if order.kind in _GIVING else -order.amount for order in self._ahead)
        return without_orders(account, moved, self._ahead[0].debt)

    # what changes it

    def settle(
        self, tariff: Tariff, terms: BillingTerms, reading: Reading, time: int, sequence: int
    ) -> Settled:
        """Settle registers as the grid will; raises as `credit.settle` does."""
        self.account, settled = settle(self.account, tariff, terms, reading, time, sequence)
        self._note(settled.statement)
        return settled

    def hear(self, order: Order) -> None:
        """Put an order into the account; raises `CreditError` or `TariffError`, nothing changed."""
        self.account = _ordered(self.account, order)
        self._ahead.append(order)
        self._note(order)

    def heard(self, number: int) -> bool:
        """Tell whether an order is in the account and still to be carried out."""
        return any(order.number == number for order in self._ahead)

    def carry_out(self, number: int) -> None:
        """Make an order part of what is known."""
        self._ahead = [order for order in self._ahead if order.number != number]
        self._state = None

    # the grid's statements

    def check(self, theirs: Account, whole: bool) -> None:
        """Hold the last statement of the grid's account against the meter's own of the same report.

        `whole` as for `reconcile`. An old statement is passed over. Raises `StatementDiffers`, nothing
        changed, where no possible order leads to it.
        """
        if not self.reconcile(theirs, whole):
            check_statement(theirs.statement, self._ours(theirs.statement))

    def reconcile(self, theirs: Account, whole: bool) -> bool:
        """Take over the order that leads to the grid's account; return whether there is any.

        `whole` tells whether all that the meter has heard of is in the account. Several orders can lead to
        one statement, as where a payment bounced at once. Then what has come since tells them apart; where it
        does not, a later statement will.
        """
        if theirs.statement.sequence <= self._agreed.statement.sequence:
            return True
        place = self._place(theirs.statement)
        if place is None:
            return False
        orders = [entry for entry in self._history if isinstance(entry, Order)]
        fitting = [c for c in self._candidates(place) if c[0].statement == theirs.statement]
        if whole and len(fitting) > 1:
            leading = [c for c in fitting if _possible(c[0], orders[c[1] :]) == theirs]
            fitting = leading or fitting
        if fitting and (whole or len(fitting) == 1):
            agreed, carried = fitting[0]
            done = orders[:carried]
            self._go_on(agreed, [entry for entry in self._history[place + 1 :] if entry not in done])
        return bool(fitting)

    def adopt(self, theirs: Account, again: Callable[[Account, Statement], Account]) -> None:
        """Go on from an account of the grid that the meter has disputed.

        `again` settles a later report of the meter anew, on the account given. Raises what it raises,
        nothing changed.
        """
        account = theirs
        for entry in self._history:
            if isinstance(entry, Statement) and entry.sequence > theirs.statement.sequence:
                account = again(account, entry)
        self._go_on(account, [])

    def _go_on(self, agreed: Account, history: list[Statement | Order]) -> None:
        self._agreed, self._history = agreed, history
        self._encoded = [encode(Entry(entry)) for entry in history]
        self.account, self._state = _replayed(agreed, history), None

    def _note(self, entry: Statement | Order) -> None:
        self._history.append(entry)
        self._encoded.append(encode(Entry(entry)))
        self._state = None
        if len(self._history) > MAX_HISTORY:
            self._agreed = _applied(self._agreed, self._history.pop(0))
            self._encoded.pop(0)

    def _place(self, theirs: Statement) -> int | None:
        for at, entry in enumerate(self._history):
            if isinstance(entry, Statement) and entry.sequence == theirs.sequence:
                return at
        return None

    def _ours(self, theirs: Statement) -> Statement:
        """Return the meter's own statement of the same report; raises `StatementDiffers` for none."""
        place = self._place(theirs)
        if place is None:
            ours = self.account.statement.sequence
            raise StatementDiffers("sequence", f"{ours} or one before", str(theirs.sequence), 0)
        return _replayed(self._agreed, self._history[: place + 1]).statement

    def _candidates(self, place: int) -> Iterator[tuple[Account, int]]:
        """Yield each (account after the settlement at a place, orders in it) that the grid can have.

        What the meter had heard of before a settlement, the grid had in the log before it; what it heard of
        later may have been there as well.
        """
        orders = [entry for entry in self._history if isinstance(entry, Order)]
        reached, heard = {(self._agreed, 0): None}, 0
        for entry in self._history[: place + 1]:
            if isinstance(entry, Order):
                heard += 1
                continue
            following: dict[tuple[Account, int], None] = {}
            for account, applied in reached:
                for count in range(max(applied, heard), len(orders) + 1):
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
    if order.kind is CommandKind.PENALTY:
        return collect(account, order.amount)[0]
    if order.kind is CommandKind.COMPENSATION:
        return compensate(account, order.amount)
    # The refund was fixed when the closing was ordered; what was used since is debt.
    debt = max(account.debt + order.amount - account.credit, 0)
    return replace(account, lots=(), debt=debt, taken=account.taken + order.amount)
