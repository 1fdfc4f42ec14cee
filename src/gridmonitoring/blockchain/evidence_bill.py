"""A bill recomputed from what its bundle holds: the paper's "You are being over charged" (V-A), offline.

The account, the agreement and tariffs belong to layers above this one, so they are read here as the
specification lists them, by position. The arithmetic is written a second time for the same reason,
from the specification: a bill is held against the rule, not against the code that made it.

Left out: what is not in the statement alone: credit that was on its way when the meter signed, and
penalties, top-ups and refunds, whose own transactions prove them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

from msgspec import Meta, Struct

from gridmonitoring.blockchain.bodies import Report, Settlement
from gridmonitoring.blockchain.transactions import Payload
from gridmonitoring.encoding.bounds import (
    IMPORT_TOTAL,
    Bytes6,
    Bytes16,
    Bytes32,
    Currency,
    Name,
    Signed,
    Unsigned,
    import_rate,
)
from gridmonitoring.encoding.cbor import PACKAGE_LIMIT, convert, encode, loads
from gridmonitoring.encoding.hashes import sha256d
from gridmonitoring.errors import Malformed, TariffError

DAY_MS = 86_400_000
"""Milliseconds of a day."""
FLAT, SLAB, TIME_OF_USE = 1, 2, 3
"""Kinds of tariff."""
TAX_WHOLE = 1_000_000
"""A tax of 100 %, in parts per million."""
EXACT = 1000 * TAX_WHOLE
"""Parts of a money unit in which a charge is exact."""

Charged = tuple[int, int, int]
"""(rate or slab, Wh, money or price per kWh)."""
Rate = Annotated[int, Meta(ge=1, le=63)]
"""Number x of a rate, counted in register 1.8.x."""
Transitions = Annotated[tuple[tuple[Unsigned, Signed], ...], Meta(min_length=1)]
"""(from ms, offset in minutes) in order."""


class BillTerms(Struct, array_like=True, frozen=True, tag="billing-terms/1"):
    """Billing terms of an agreement."""

    subscription_per_month: Unsigned
    threshold: Unsigned
    debt_recovery_permille: Unsigned
    emergency_credit: Unsigned
    tax_ppm: Unsigned


class BillAgreement(Struct, array_like=True, frozen=True, tag="agreement/1"):
    """An agreement, as far as a bill reads it."""

    utility: Bytes16
    consumer: Bytes16
    mid: Bytes16
    customer_class: Unsigned
    tariff: Bytes32
    billing: BillTerms


class BillAgreementRow(Struct, array_like=True, frozen=True):
    """The row of the agreement in force."""

    agreement: BillAgreement
    script: Bytes32


class BillCalendar(Struct, array_like=True, frozen=True, tag="calendar/1"):
    """A tariff's calendar, as far as a bill reads it."""

    zone: Name
    transitions: Transitions


class BillTariff(Struct, array_like=True, frozen=True, tag="tariff/1"):
    """A tariff."""

    utility: Bytes16
    name: Name
    currency: Currency
    valid_from_ms: Unsigned
    kind: Annotated[int, Meta(ge=FLAT, le=TIME_OF_USE)]
    rates: tuple[tuple[Rate, Unsigned], ...]
    slabs: tuple[tuple[Unsigned | None, Unsigned], ...]
    switching: tuple[tuple[Unsigned, Unsigned, Unsigned], ...]
    standing_per_day: Unsigned
    notice_ms: Unsigned
    calendar: BillCalendar


class BillStatement(Struct, array_like=True, frozen=True, tag="statement/1"):
    """A statement."""

    number: Unsigned
    sequence: Unsigned
    from_ms: Unsigned
    time_ms: Unsigned
    tariff: Bytes32
    registers: tuple[tuple[Bytes6, Unsigned, Unsigned], ...]
    lines: tuple[tuple[Rate, Unsigned, Unsigned], ...]
    standing: Unsigned
    subscription: Unsigned
    tax: Unsigned
    charge: Unsigned
    topped_up: Unsigned
    taken: Unsigned
    recovered: Unsigned
    credit: Unsigned
    debt: Unsigned
    period_start_ms: Unsigned
    period_energy: Unsigned
    period_charge: Unsigned
    carry: Annotated[int, Meta(ge=0, lt=EXACT)]


class BillAccount(Struct, array_like=True, frozen=True, tag="account/1"):
    """An account."""

    lots: tuple[tuple[Unsigned, Unsigned], ...]
    debt: Unsigned
    topped_up: Unsigned
    taken: Unsigned
    recovered: Unsigned
    statement: BillStatement


class Published(NamedTuple):
    """A TARIFF row."""

    tariff: BillTariff
    successor: bytes
    """Hash of the tariff that follows it, or empty."""


def read_account(value: bytes) -> BillAccount:
    """Return the account of an ACCOUNT row; raises an `EncodingError`."""
    return convert(loads(value, PACKAGE_LIMIT), BillAccount)


def read_agreement(document: bytes) -> BillAgreement:
    """Return an encoded agreement as far as a bill reads it; raises an `EncodingError`."""
    return convert(loads(document, PACKAGE_LIMIT), BillAgreement)


def read_agreement_row(value: bytes) -> BillAgreement:
    """Return the agreement of an AGREEMENT row; raises an `EncodingError`."""
    return convert(loads(value, PACKAGE_LIMIT), BillAgreementRow).agreement


def read_tariff_row(key: bytes, value: bytes) -> Published:
    """Return the tariff of a TARIFF row whose key is the tariff's hash; raises an `EncodingError`."""
    plain: Any = loads(value, PACKAGE_LIMIT)
    published = Published(*convert(plain, tuple[BillTariff, bytes]))
    if sha256d(encode(plain[0])) != key:
        raise Malformed("the tariff's hash is not the key of its row")
    return published


def succession(first: bytes, rows: Mapping[bytes, bytes]) -> list[tuple[bytes, Published]]:
    """Return (hash, row) of a tariff and all that followed it, given the values of TARIFF rows by key.

    Raises an `EncodingError` where one is missing or the rows run in a circle.
    """
    found: list[tuple[bytes, Published]] = []
    key = first
    while key:
        if key not in rows or len(found) == len(rows):
            raise Malformed(f"the row of tariff {key.hex()[:16]} is missing, or tariffs follow in a circle")
        published = read_tariff_row(key, rows[key])
        found.append((key, published))
        key = published.successor
    return found


def check_bill(
    claim: Payload[Report],
    settlement: Settlement,
    statement: BillStatement,
    agreement: BillAgreement,
    tariffs: list[tuple[bytes, Published]],
) -> None:
    """Check a statement against the claim it settles, the agreement, and the agreement's tariffs in order.

    1 it is of this claim, 2 its sums, 3 the tariff in force, 4 energy, 5 time charges, 6 money. Raises
    `TariffError`.
    """
    # 1
    closing = tuple((code, after) for code, _, after in statement.registers)
    _require((statement.sequence, statement.time_ms) == (claim.sequence, claim.time), "is of another report")
    _require(closing == settlement.registers, "closes with other registers than the meter signed")
    # 2
    time_money = statement.standing + statement.subscription
    lines_money = sum(money for _, _, money in statement.lines)
    _require(lines_money + time_money + statement.tax == statement.charge, "does not add up to its charge")
    # 3
    in_force = [entry for entry in tariffs[1:] if entry[1].tariff.valid_from_ms < statement.time_ms]
    tariff_hash, (tariff, _) = in_force[-1] if in_force else tariffs[0]
    _require(statement.tariff == tariff_hash, "is by another tariff than the one agreed and in force")
    # 4
    priced = priced_energy(tariff, statement)
    energies = tuple((number, energy) for number, energy, _ in priced)
    _require(tuple(line[:2] for line in statement.lines) == energies, "has other energy than its registers")
    # 5
    days, months = boundaries(tariff.calendar.transitions, statement.from_ms, statement.time_ms)
    _require(statement.standing == days * tariff.standing_per_day, "has another standing charge")
    subscription = months * agreement.billing.subscription_per_month
    _require(statement.subscription == subscription, "has another subscription")
    # 6
    _check_money(statement, priced, time_money, agreement.billing.tax_ppm)


def priced_energy(tariff: BillTariff, statement: BillStatement) -> list[Charged]:
    """Return (rate or slab, Wh, price per kWh) of the energy between a statement's registers.

    Raises `TariffError` where a register is missing or the rates do not add up to the total.
    """
    used = {code: after - before for code, before, after in statement.registers}
    _require(IMPORT_TOTAL in used, "has no total register")
    total = used[IMPORT_TOTAL]
    if tariff.kind == FLAT:
        _require(len(tariff.rates) == 1, "is by a flat tariff of several rates")
        split = [(tariff.rates[0][0], total, tariff.rates[0][1])]
    elif tariff.kind == SLAB:
        split = _slabs(tariff, statement.period_energy - total, statement.period_energy)
    else:
        registers = [(rate, used.get(import_rate(rate)), price) for rate, price in tariff.rates]
        split = [(rate, energy, price) for rate, energy, price in registers if energy is not None]
        _require(len(split) == len(registers), "lacks the register of a rate")
        _require(sum(energy for _, energy, _ in split) == total, "has rates that are not the total")
    _require(min([total, *(energy for _, energy, _ in split)]) >= 0, "has a register that went down")
    return [line for line in split if line[1]]


def boundaries(transitions: Transitions, from_ms: int, to_ms: int) -> tuple[int, int]:
    """Return how many billing days and months begin in (from, to] by (from ms, offset minutes) in order.

    The billing day is the latest local date that the wall clock has reached; a date skipped whole is no day.
    """
    first, skipped_before = _billing_day(transitions, from_ms)
    last, skipped_after = _billing_day(transitions, to_ms)
    return last - skipped_after - (first - skipped_before), _month(last) - _month(first)


def _slabs(tariff: BillTariff, start: int, end: int) -> list[Charged]:
    lines, lower = [], 0
    for number, (limit, price) in enumerate(tariff.slabs, 1):
        upper = end if limit is None else limit
        lines.append((number, max(min(upper, end) - max(lower, start), 0), price))
        lower = upper
    return lines


def _billing_day(transitions: Transitions, time_ms: int) -> tuple[int, int]:
    """Return (billing day since 1970-01-01, local dates skipped whole until then)."""
    reached, skipped = transitions[0][1] * 60_000 // DAY_MS, 0
    for (start, offset), (end, _) in zip(transitions, [*transitions[1:], (time_ms + 1, 0)], strict=True):
        if start > time_ms:
            break
        opens = (start + offset * 60_000) // DAY_MS
        skipped += max(opens - reached - 1, 0)
        reached = max(reached, opens, (min(end - 1, time_ms) + offset * 60_000) // DAY_MS)
    return reached, skipped


def _month(day: int) -> int:
    """Return the month of a day since 1970-01-01 as 12 * year + month - 1 (Gregorian, proleptic)."""
    era, rest = divmod(day + 719_468, 146_097)
    year = (rest - rest // 1460 + rest // 36_524 - rest // 146_096) // 365
    of_year = rest - (365 * year + year // 4 - year // 100)
    return 12 * (400 * era + year) + (5 * of_year + 2) // 153 + 2


def _check_money(statement: BillStatement, priced: list[Charged], time_money: int, tax_ppm: int) -> None:
    """Recompute every line; the carry from before follows from the carry left over."""
    exact = [energy * price for _, energy, price in priced]
    due = sum(exact) * TAX_WHOLE + time_money * EXACT + (sum(exact) + time_money * 1000) * tax_ppm
    running = statement.charge * EXACT + statement.carry - due
    _require(0 <= running < EXACT, "charges another amount than energy, time charges and tax come to")
    whole = (sum(energy for _, energy, _ in priced), statement.charge)
    first = (statement.period_energy, statement.period_charge) == whole
    _require(first or statement.period_start_ms <= statement.from_ms, "begins a period with another sum")
    _require(running == 0 or not first, "carries a remainder into a period's first charge")
    paid = 0
    for (_, _, money), part in zip(statement.lines, exact, strict=True):
        running += part * TAX_WHOLE
        _require(money == running // EXACT - paid, "has a line that is not its energy at the tariff's price")
        paid += money


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise TariffError(f"the statement {otherwise}")
