"""Lots of credit: one for each purchase, drawn in order (paper II-A: one event in each block).

A lot is the money left of one parent block, named by the block's height in its thread. A lot that comes to
nothing is gone from the list, and its block has ended. Money that no purchase brought (compensations,
penalties given back) has no block: it is held under height `GIVEN`, and drawn first.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from gridmonitoring.encoding.bounds import MAX_INT, Unsigned
from gridmonitoring.errors import CreditError

MAX_LOTS = 256
"""Purchases that an account can hold at a time, so that its row stays small."""
GIVEN = 0
"""Stands in the place of a height for money that no purchase brought; the block of that height has none."""

Lot = tuple[Unsigned, Annotated[int, Meta(ge=1, le=MAX_INT)]]
"""(height of its parent block, money remaining)."""
Lots = Annotated[tuple[Lot, ...], Meta(max_length=MAX_LOTS + 1)]
"""Lots in order of height; the first is being drawn."""


def total(lots: Lots) -> int:
    """Return the money left in all lots."""
    return sum([remaining for _, remaining in lots])


def heights(lots: Lots) -> tuple[int, ...]:
    """Return the heights of the parent blocks with money left, in order."""
    return tuple([height for height, _ in lots if height != GIVEN])


def give(lots: Lots, amount: int) -> Lots:
    """Return the lots with money that no purchase brought."""
    if not amount:
        return lots
    if lots and lots[0][0] == GIVEN:
        return ((GIVEN, lots[0][1] + amount), *lots[1:])
    return ((GIVEN, amount), *lots)


def draw(lots: Lots, amount: int) -> tuple[Lots, tuple[int, ...], int]:
    """Return (lots left, blocks used up in order, money that no lot covered) after taking an amount."""
    exhausted: list[int] = []
    for index, (height, remaining) in enumerate(lots):
        if remaining > amount:
            return ((height, remaining - amount), *lots[index + 1 :]), tuple(exhausted), 0
        amount -= remaining
        if height != GIVEN:
            exhausted.append(height)
    return (), tuple(exhausted), amount


def append(lots: Lots, height: int, paid: int, credited: int) -> Lots:
    """Return the lots with what was credited of a payment; nothing credited makes no lot.

    Raises `CreditError` for a payment of 0, a height not past the last lot's, or too many lots.
    """
    if paid <= 0:
        raise CreditError("a lot is of more than no money")
    if lots and height <= lots[-1][0]:
        raise CreditError(f"lot {height} is not after lot {lots[-1][0]}")
    if len(heights(lots)) >= MAX_LOTS:
        raise CreditError(f"an account holds at most {MAX_LOTS} lots")
    return (*lots, (height, credited)) if credited else lots


def remove(lots: Lots, height: int, paid: int) -> tuple[Lots, int]:
    """Return the lots without the one of a payment, and how much of the payment is no longer in it.

    Raises `CreditError` where more remains of the lot than was paid.
    """
    remaining = dict(lots).get(height, 0)
    if remaining > paid:
        raise CreditError(f"lot {height} has {remaining} left, more than the {paid} paid for it")
    return tuple([lot for lot in lots if lot[0] != height]), paid - remaining
