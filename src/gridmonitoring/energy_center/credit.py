"""Credit: the money side of one account, drawn on by settlements (paper IV-B, V-B: purchase to TPF).

An `Account` is a row of the state. The grid's state transition and the meter change it by the same
functions, in the same order, and so agree to the unit. Credit is in lots, one for each purchase, drawn in
order; use past zero is debt, taken first from the next lot.

The energy of a settlement belongs to the tariff period that holds the instant just before its time, so that
of a settlement at a month boundary to the month that ends; its time charges are those of every boundary in
(last settlement, its time]. A new billing month or tariff starts a new period with the registers of the
last statement.

Left out: whether the relay opens (the meter rule decides it from credit, debt and terms).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, NamedTuple

from msgspec import Meta, Struct
from msgspec.structs import replace

from gridmonitoring.encoding.bounds import MAX_INT, Money
from gridmonitoring.energy_center.calendar import billing_month, month_start_ms
from gridmonitoring.energy_center.charges import amount_due, energy_lines, time_charges
from gridmonitoring.energy_center.lots import Lots, append, draw, give, remove, total
from gridmonitoring.energy_center.registers import count, opening, used_by_rate
from gridmonitoring.energy_center.statements import Statement
from gridmonitoring.energy_center.tariffs import TAX_WHOLE, Tariff
from gridmonitoring.errors import AmountError, TariffError

PERMILLE = 1000
"""All of a top-up, in parts of the recovery share."""

Permille = Annotated[int, Meta(ge=0, le=PERMILLE)]
"""A share in thousandths."""
TaxPpm = Annotated[int, Meta(ge=0, le=TAX_WHOLE)]
"""A tax on top of a price, in parts per million (196,000 is 19.6 %)."""


class BillingTerms(
    Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="billing-terms/1", gc=False
):
    """The part of an agreement that money depends on."""

    subscription_per_month: Annotated[int, Meta(ge=0, le=10**15)]
    """Falls due for each billing month that begins, without tax, money."""
    threshold: Money
    """Credit at or under which the consumer is warned."""
    debt_recovery_permille: Permille = PERMILLE
    """Share of a top-up that may go to debt, thousandths."""
    emergency_credit: Money = 0
    """Debt up to which an account without credit keeps its power."""
    tax_ppm: TaxPpm = 0
    """Tax on energy, standing charge and subscription, parts per million."""


class Account(Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="account/1", gc=False):
    """The money side of one supply point: a row of the state, replaced at each settlement."""

    lots: Lots
    """Lots with money left, in order of height; the first is being drawn."""
    debt: Money
    """What was used and not paid."""
    topped_up: Money
    """Money of the lots that came, and was given, since the last statement."""
    taken: Money
    """Penalties, reversed payments and refunds since the last statement."""
    recovered: Money
    """Part of `topped_up` that went to debt."""
    statement: Statement
    """The last statement: registers, time and period that the next settlement starts from."""

    @property
    def credit(self) -> int:
        """Money left in all lots."""
        return total(self.lots)


class Settled(NamedTuple):
    """What a settlement did besides the new account."""

    statement: Statement
    """The new statement, also in the account."""
    charge: int
    """Money charged."""
    exhausted: tuple[int, ...]
    """Heights of the lots that it used up, in order; each parent block ends with it."""
    new_debt: int
    """Part of the charge that no lot covered, money."""


class Projection(NamedTuple):
    """What an account would hold if it were settled now."""

    credit: int
    """Money left in all lots."""
    debt: int
    """Debt, money."""


def open_account(
    tariff: Tariff, registers: Sequence[tuple[bytes, int]], time_ms: int, sequence: int
) -> Account:
    """Return the account of a newly installed meter: no lots, no debt, and statement 0 with its first
    registers.

    Raises `RegisterError` where registers are not in order of code or the tariff's are not among them.
    """
    counted = opening(registers)
    used_by_rate(tariff, counted)
    return Account((), 0, 0, 0, 0, _statement_without_charge(0, sequence, time_ms, tariff.digest, counted))


def swap_device(
    account: Account, tariff: Tariff, registers: Sequence[tuple[bytes, int]], time_ms: int, sequence: int
) -> Account:
    """Return the account with the first registers of a new device, after the old one's last were settled.

    The new statement charges nothing and the tariff period goes on. Raises `RegisterError` as
    `open_account` does.
    """
    last = account.statement
    _require_time(last, time_ms)
    counted = opening(registers)
    used_by_rate(tariff, counted)
    fresh = _statement_without_charge(last.number + 1, sequence, time_ms, last.tariff, counted)
    statement = replace(
        fresh,
        from_ms=last.time_ms,
        period_start_ms=last.period_start_ms,
        period_energy=last.period_energy,
        period_charge=last.period_charge,
        carry=last.carry,
        topped_up=account.topped_up,
        taken=account.taken,
        recovered=account.recovered,
        credit=account.credit,
        debt=account.debt,
    )
    return Account(account.lots, account.debt, 0, 0, 0, statement)


def settle(
    account: Account,
    tariff: Tariff,
    terms: BillingTerms,
    registers: Sequence[tuple[bytes, int]],
    time_ms: int,
    sequence: int,
) -> tuple[Account, Settled]:
    """Return the account after a settlement claim, and what the settlement did.

    `registers` are (OBIS code, Wh) in order of code, as in the claim; `tariff` is the checked tariff in
    force just before `time_ms`. Raises `RegisterError` where registers went down, are missing, or do not
    add up to the total; `AmountError` where money or energy passes 2^63-1; `TariffError` where the time is
    before the last statement or the tariff's validity.
    """
    last = account.statement
    _require_time(last, time_ms)
    if time_ms < tariff.valid_from_ms:
        raise TariffError(
            f"the tariff is valid from {tariff.valid_from_ms} ms, the settlement is of {time_ms}"
        )
    counted = count(last.registers, registers)
    used = used_by_rate(tariff, counted)
    start, energy, charged, carry = _period(last, tariff, time_ms)
    standing, subscription = time_charges(tariff, terms.subscription_per_month, last.time_ms, time_ms)
    due = amount_due(energy_lines(tariff, used, energy), standing + subscription, terms.tax_ppm, carry)
    lots, exhausted, new_debt = draw(account.lots, due.charge)
    debt = account.debt + new_debt
    statement = Statement(
        last.number + 1,
        sequence,
        last.time_ms,
        time_ms,
        tariff.digest,
        counted,
        due.lines,
        standing,
        subscription,
        due.tax,
        due.charge,
        account.topped_up,
        account.taken,
        account.recovered,
        total(lots),
        debt,
        start,
        _bounded(energy + sum([wh for _, wh in used])),
        _bounded(charged + due.charge),
        due.carry,
    )
    settled = Settled(statement, due.charge, exhausted, new_debt)
    return Account(lots, _bounded(debt), 0, 0, 0, statement), settled


def projected_credit(
    account: Account,
    tariff: Tariff,
    terms: BillingTerms,
    registers: Sequence[tuple[bytes, int]],
    time_ms: int,
) -> Projection:
    """Return credit and debt as a settlement of these registers would leave them; raises as `settle` does.

    It is that settlement, so the meter sees the threshold and zero exactly when the grid will.
    """
    statement = settle(account, tariff, terms, registers, time_ms, 0)[1].statement
    return Projection(statement.credit, statement.debt)


def add_lot(account: Account, height: int, amount: int, debt_recovery_permille: int) -> tuple[Account, int]:
    """Return the account with the money of the parent block at `height`, and how much of it went to debt.

    At most the recovery share of the amount goes to debt, rounded down. Where all of it does, no lot is
    added and that block has ended. Raises `CreditError` for an amount of 0, a height not past the last
    lot's, or too many lots.
    """
    recovered = min(account.debt, amount * debt_recovery_permille // PERMILLE)
    lots = append(account.lots, height, amount, amount - recovered)
    _bounded(account.credit + amount)
    added = replace(
        account,
        lots=lots,
        debt=account.debt - recovered,
        topped_up=_bounded(account.topped_up + amount),
        recovered=account.recovered + recovered,
    )
    return added, recovered


def reverse_lot(account: Account, height: int, amount: int) -> tuple[Account, int]:
    """Return the account without the money of a bounced payment, and the debt that it leaves.

    `amount` is all that was paid for the block at `height`. What remains of its lot goes; what was used of
    it, or went to debt, becomes debt. Raises `CreditError` where more remains of the lot than was paid.
    """
    lots, owed = remove(account.lots, height, amount)
    reversed_ = replace(
        account,
        lots=lots,
        debt=_bounded(account.debt + owed),
        taken=_bounded(account.taken + amount),
    )
    return reversed_, owed


def collect(account: Account, amount: int) -> tuple[Account, tuple[int, ...]]:
    """Return the account after a penalty, drawn as use is, and the heights of the lots that it used up.

    Raises `TariffError` where money passes 2^63-1.
    """
    lots, exhausted, new_debt = draw(account.lots, amount)
    debt = _bounded(account.debt + new_debt)
    return replace(account, lots=lots, debt=debt, taken=_bounded(account.taken + amount)), exhausted


def compensate(account: Account, amount: int) -> Account:
    """Return the account after a compensation, or a penalty given back: first for debt, the rest is credit.

    Raises `TariffError` where money passes 2^63-1.
    """
    recovered = min(account.debt, amount)
    _bounded(account.credit + amount)
    return replace(
        account,
        lots=give(account.lots, amount - recovered),
        debt=account.debt - recovered,
        topped_up=_bounded(account.topped_up + amount),
        recovered=account.recovered + recovered,
    )


def close_account(account: Account) -> tuple[Account, int]:
    """Return the account without lots, and the refund: credit left when the debt is paid from it.

    Where the debt is more, the refund is 0 and the rest of the debt stays.
    """
    credit = account.credit
    refund = max(credit - account.debt, 0)
    debt = max(account.debt - credit, 0)
    return replace(account, lots=(), debt=debt, taken=_bounded(account.taken + refund)), refund


def _period(last: Statement, tariff: Tariff, time_ms: int) -> tuple[int, int, int, int]:
    """Return (start, energy, charge, carry) so far of the period that a settlement belongs to."""
    instant = max(time_ms - 1, last.period_start_ms)
    calendar = tariff.calendar
    same_tariff = last.tariff == tariff.digest
    if same_tariff and billing_month(calendar, instant) == billing_month(calendar, last.period_start_ms):
        return last.period_start_ms, last.period_energy, last.period_charge, last.carry
    return max(month_start_ms(calendar, instant), last.time_ms), 0, 0, 0


def _statement_without_charge(
    number: int, sequence: int, time_ms: int, tariff: bytes, counted: tuple[tuple[bytes, int, int], ...]
) -> Statement:
    return Statement(
        number, sequence, time_ms, time_ms, tariff, counted, (), 0, 0, 0, 0, 0, 0, 0, 0, 0, time_ms, 0, 0, 0
    )


def _require_time(last: Statement, time_ms: int) -> None:
    if time_ms < last.time_ms:
        raise TariffError(f"a settlement of {time_ms} ms cannot follow one of {last.time_ms} ms")


def _bounded(money: int) -> int:
    if money > MAX_INT:
        raise AmountError("the amount is more than the ledger can hold")
    return money
