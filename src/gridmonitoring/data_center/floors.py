"""The floors below which no aggregate leaves (the 15/15 rule of utility regulators; paper II-A, IV-C).

A sum tells little of any one household only if enough of them are in it and none makes up much of it. Both
bounds are settable, within limits that keep them meaningful.

Left out: adding noise (differential privacy): a sum that leaves is exact, so that it can be held against the
ledger.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, NamedTuple

from msgspec import Meta, Struct

from gridmonitoring.errors import UserError

MIN_METERS = 10
"""Fewest meters that the floor may be set to."""
MAX_METERS = 10_000
"""Most meters that the floor may be set to."""
MIN_SHARE = 1
"""Smallest largest share that may be set, thousandths."""
MAX_SHARE = 250
"""Largest share that may be set, thousandths."""


class Floors(Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="floors/1"):
    """What an aggregate must meet."""

    meters: Annotated[int, Meta(ge=MIN_METERS, le=MAX_METERS)] = 15
    """Fewest meters that contribute."""
    share_permille: Annotated[int, Meta(ge=MIN_SHARE, le=MAX_SHARE)] = 150
    """Largest part of a sum that one meter may make up, thousandths."""


class Contribution(NamedTuple):
    """What one settlement adds to an aggregate."""

    entry: int
    """Log index of the settlement; names it."""
    mid: bytes
    """Whose it is."""
    values: tuple[int, ...]
    """What is summed, none negative: `aggregates.MEASURES`."""


def make_floors(meters: int, share_permille: int) -> Floors:
    """Return floors; raises `UserError` where they are out of bounds or no sum could meet them."""
    if not MIN_METERS <= meters <= MAX_METERS:
        raise UserError(f"the fewest meters of an aggregate are {MIN_METERS} to {MAX_METERS}, not {meters}")
    if not MIN_SHARE <= share_permille <= MAX_SHARE:
        raise UserError(
            f"the largest share of one meter is {MIN_SHARE} to {MAX_SHARE} thousandths, not {share_permille}"
        )
    return Floors(meters, share_permille)


def meets_floors(members: Iterable[Contribution], floors: Floors) -> bool:
    """Tell whether enough meters contribute, and none makes up too much of any of the sums.

    A sum of 0 meets no floor: it would tell every member's value.
    """
    by_meter: dict[bytes, tuple[int, ...]] = {}
    for member in members:
        before = by_meter.get(member.mid)
        after = member.values if before is None else add(before, member.values)
        by_meter[member.mid] = after
    if len(by_meter) < floors.meters:
        return False
    for values in zip(*by_meter.values(), strict=True):
        total = sum(values)
        if total <= 0 or max(values) * 1000 > floors.share_permille * total:
            return False
    return True


def add(left: tuple[int, ...], right: tuple[int, ...]) -> tuple[int, ...]:
    """Return the sums of two rows of values."""
    return tuple(a + b for a, b in zip(left, right, strict=True))
