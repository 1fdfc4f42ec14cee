"""Aggregates: energy and money by hour or day, and by area, tariff or customer class (paper III-A-7).

A settlement is booked whole in the hour or day (UTC) that holds the instant just before its time, so one at
midnight belongs to the day that ends. It is not spread over the time it covers: that would be an estimate,
and this is a sum of statements. Where a house settles daily, days are the finest that means much.

A **cell** is a period with one value of each dimension. A table releases its cells in order, each under the
floors and the register of releases; then, if asked for, a total of each period. Of a period with one
withheld cell, the total less the others would be that cell, so the register withholds the total too
(complementary suppression).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from msgspec import Struct

from gridmonitoring.contracts.agreement import CustomerClass
from gridmonitoring.data_center.floors import Contribution, Floors, add
from gridmonitoring.data_center.releases import ContributionsOf, ReleaseRegister, release
from gridmonitoring.errors import Withheld

HOUR_MS = 3_600_000
"""An hour, ms."""
DAY_MS = 86_400_000
"""A day, ms."""
MEASURES = ("energy", "charge")
"""What is summed: Wh charged, and money charged. Export is left out: few meters have it."""
ALL = "(all)"
"""Value of a dimension in a total."""


class Period(StrEnum):
    """How long a cell is."""

    HOUR = "hour"
    DAY = "day"


LENGTHS: Mapping[Period, int] = {Period.HOUR: HOUR_MS, Period.DAY: DAY_MS}
"""Period -> its length, ms."""


class Dimension(StrEnum):
    """What cells are told apart by, besides time; closed, so that nothing else reaches a query."""

    AREA = "area"
    TARIFF = "tariff"
    CUSTOMER_CLASS = "class"


class Settled(NamedTuple):
    """What an aggregate needs of a settlement."""

    entry: int
    """Log index."""
    mid: bytes
    """MID."""
    time_ms: int
    """Time of the statement, ms."""
    area: str
    """Area code."""
    tariff: str
    """Name of the tariff."""
    customer_class: int
    """`CustomerClass`."""
    energy: int
    """Wh charged."""
    charge: int
    """Money charged."""


class Cell(Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="cell/1"):
    """Which settlements are summed."""

    period: str
    """`Period`."""
    start_ms: int
    """Start of the period, ms, UTC."""
    by: tuple[tuple[str, str], ...]
    """(dimension, value), in order of `Dimension`; `ALL` in totals."""


class Aggregate(Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="aggregate/1"):
    """Sums that left."""

    cell: Cell
    """Of which settlements."""
    meters: int
    """How many meters contributed."""
    settlements: int
    """How many settlements."""
    energy: int
    """Wh charged."""
    charge: int
    """Money charged, millionths of the minor unit."""


Cells = dict[Cell, dict[int, Contribution]]
"""Cell -> its contributions by log index."""


def period_start(time_ms: int, period: Period) -> int:
    """Return the start of the period that a settlement of this time is booked in, ms."""
    length = LENGTHS[period]
    return (time_ms - 1) // length * length


def cells_of(settlements: Iterable[Settled], period: Period, by: Sequence[Dimension], until_ms: int) -> Cells:
    """Return the cells that settlements fall into, those of periods that ended by `until_ms`."""
    cells: Cells = {}
    for settled in settlements:
        start = period_start(settled.time_ms, period)
        if start + LENGTHS[period] <= until_ms:
            cell = Cell(
                period.value, start, tuple((d.value, _value(settled, d)) for d in Dimension if d in by)
            )
            contribution = Contribution(settled.entry, settled.mid, (settled.energy, settled.charge))
            cells.setdefault(cell, {})[settled.entry] = contribution
    return dict(sorted(cells.items(), key=lambda item: (item[0].start_ms, item[0].by)))


def totals_of(cells: Cells) -> Cells:
    """Return the total of each period over all its cells; nothing where cells are not told apart."""
    totals: Cells = {}
    for cell, members in cells.items():
        if cell.by:
            whole = Cell(cell.period, cell.start_ms, tuple((name, ALL) for name, _ in cell.by))
            totals.setdefault(whole, {}).update(members)
    return totals


def release_cells(
    cells: Cells, register: ReleaseRegister, contributions: ContributionsOf, floors: Floors
) -> tuple[list[Aggregate], list[Cell]]:
    """Release cell by cell, in order; return what left, and the cells that were withheld."""
    given: list[Aggregate] = []
    withheld: list[Cell] = []
    for cell, members in cells.items():
        try:
            release(register, members, contributions, floors)
        except Withheld:
            withheld.append(cell)
        else:
            given.append(_sum(cell, members))
    return given, withheld


def _sum(cell: Cell, members: Mapping[int, Contribution]) -> Aggregate:
    values = (0,) * len(MEASURES)
    for member in members.values():
        values = add(values, member.values)
    energy, charge = values
    meters = len({member.mid for member in members.values()})
    return Aggregate(cell, meters, len(members), energy, charge)


def _value(settled: Settled, dimension: Dimension) -> str:
    if dimension is Dimension.AREA:
        return settled.area
    if dimension is Dimension.TARIFF:
        return settled.tariff
    return class_name(settled.customer_class)


def class_name(number: int) -> str:
    """Return the name of a customer class, its number where it has none."""
    try:
        return CustomerClass(number).name.lower()
    except ValueError:
        return str(number)
