"""Statements: what one settlement counted and charged (paper V-A: "You are being over charged").

Each settlement makes a statement in the state, and a node delivers it to the meter with its proof. The meter
settles its own registers by the agreed tariff with the same code and holds the two against each other here: a
unit of difference anywhere is a billing discrepancy, the paper's `data_tamper`.

Left out: who signed and proved a statement, and the meter ID, which is the key of the row that holds it.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from gridmonitoring.encoding.bounds import Bytes6, Bytes32, Millis, Money, Unsigned, WattHours, obis_text
from gridmonitoring.energy_center.charges import EXACT
from gridmonitoring.errors import StatementDiffers

CountedRegister = tuple[Bytes6, WattHours, WattHours]
"""(OBIS code, Wh before, Wh after) of one register over the time of the statement."""
Line = tuple[Annotated[int, Meta(ge=1, le=63)], WattHours, Money]
"""(rate, or slab counted from 1; Wh; money without tax)."""


class Statement(
    Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="statement/1", gc=False
):
    """What a settlement counted and charged; all a line of the bill needs.

    `lines`, `standing`, `subscription` and `tax` add up to `charge`. From one statement to the next, credit
    less debt changes by `topped_up - taken - charge`.
    """

    number: Unsigned
    """Counts the account's statements from 0, its opening."""
    sequence: Unsigned
    """Sequence of the report that was settled."""
    from_ms: Millis
    """Time of the statement before, exclusive."""
    time_ms: Millis
    """Signed time of the report, inclusive."""
    tariff: Bytes32
    """Hash of the tariff."""
    registers: Annotated[tuple[CountedRegister, ...], Meta(max_length=66)]
    """Every register before and after, in order of code."""
    lines: Annotated[tuple[Line, ...], Meta(max_length=64)]
    """Energy and money of each rate or slab that was used."""
    standing: Money
    """Standing charges of the billing days that began, without tax."""
    subscription: Money
    """Subscription of the billing months that began, without tax."""
    tax: Money
    """Tax on all of them."""
    charge: Money
    """What this settlement charged."""
    topped_up: Money
    """Money of the lots that came, and of compensations, since the statement before."""
    taken: Money
    """Penalties, reversed payments and refunds since the statement before."""
    recovered: Money
    """Part of `topped_up` that went to debt instead of credit."""
    credit: Money
    """Credit left in all lots."""
    debt: Money
    """Debt left."""
    period_start_ms: Millis
    """Start of the tariff period that this settlement belongs to."""
    period_energy: WattHours
    """Energy charged in that period so far, Wh."""
    period_charge: Money
    """Money charged in that period so far; the floor of its exact function."""
    carry: Annotated[int, Meta(ge=0, lt=EXACT)]
    """What that floor left over, in 10^-9 of a money unit."""


def check_statement(theirs: Statement, ours: Statement) -> None:
    """Raise `StatementDiffers` with the first field in which a delivered statement is not the meter's own.

    `ours` comes from `credit.settle` with the meter's account as it stood before, its own registers of that
    report, and the agreed tariff and terms.
    """
    for field in Statement.__struct_fields__:
        our_value, their_value = getattr(ours, field), getattr(theirs, field)
        if our_value != their_value:
            raise StatementDiffers(
                field, _printable(our_value), _printable(their_value), theirs.charge - ours.charge
            )


def _printable(value: object) -> str:
    if isinstance(value, bytes):
        return obis_text(value) if len(value) == 6 else value.hex()
    if isinstance(value, tuple):
        return "(" + ", ".join(_printable(item) for item in value) + ")"
    return str(value)
