"""What leaves the data center: aggregates above the floors, and exports with their manifest (paper III-A-7,
IV-C).

What is about to leave is on record before it is returned. Values reach a query as parameters only; what
cannot be a parameter (a table, a dimension) comes from a closed list.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from gridmonitoring.data_center.aggregates import (
    LENGTHS,
    Aggregate,
    Cell,
    Cells,
    Dimension,
    Period,
    Settled,
    cells_of,
    period_start,
    release_cells,
    totals_of,
)
from gridmonitoring.data_center.exports import SCHEMAS, Group, allowed_meters, pseudonym
from gridmonitoring.data_center.floors import Contribution, Floors
from gridmonitoring.data_center.releases import ContributionsOf, Entries, disclose
from gridmonitoring.encoding.bounds import MAX_INT
from gridmonitoring.errors import UserError
from gridmonitoring.runtime.columns.paths import DataCenterPaths
from gridmonitoring.runtime.columns.register import Register
from gridmonitoring.runtime.columns.spool import Head
from gridmonitoring.runtime.columns.store import open_copies

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

BOOKED = ("settlements", "lines")
"""Tables whose rows tell what a settlement adds to an aggregate."""
_SETTLED = "log_index, mid, time_ms, area, tariff_name, customer_class, energy, charge"


class Wanted(Struct, frozen=True):
    """What is asked for."""

    from_ms: int = 0
    """Times from here on, ms."""
    to_ms: int = MAX_INT
    """Times before here, ms."""


class Given(Struct, frozen=True):
    """Aggregates that leave."""

    aggregates: list[Aggregate]
    """The sums, in order of time."""
    withheld: list[Cell]
    """Cells that are not given."""
    head: Head
    """How far the copies go that they are of."""
    floors: Floors
    """The floors they meet."""


class Rows(Struct, frozen=True):
    """Rows that leave in an export."""

    rows: list[tuple[Any, ...]]
    """In the order of the schema's columns, sorted."""
    suppressed: dict[str, int]
    """Kind -> rows that do not leave."""
    head: Head
    """How far the copies go that they are of."""
    floors: Floors
    """The floors their groups meet."""


def aggregate(
    paths: DataCenterPaths, period: Period, by: Sequence[Dimension], wanted: Wanted, *, totals: bool
) -> Given:
    """Return sums by period and dimensions, of whole periods that have ended; each is on record then.

    A cell that was given before, and would now show what has come since, is given as it was.
    """
    paths.require()
    register = Register(paths.releases)
    try:
        with open_copies(paths) as (connection, head), register.recording():
            cells = _cells(connection, period, by, wanted, head)
            known = _contributions(connection)
            floors = register.floors()
            aggregates: list[Aggregate] = []
            withheld: list[Cell] = []
            for table in (cells, totals_of(cells) if totals else {}):
                given, kept = release_cells(table, register, known, floors)
                for one in given:
                    register.give(one, head.height)
                before = {cell: register.given(cell) for cell in kept}
                aggregates += given + [one for one in before.values() if one is not None]
                withheld += [cell for cell, one in before.items() if one is None]
    finally:
        register.close()
    return Given(sorted(aggregates, key=lambda one: (one.cell.start_ms, one.cell.by)), withheld, head, floors)


def export_rows(paths: DataCenterPaths, table: str, wanted: Wanted, salt: bytes) -> Rows:
    """Return the rows of a table as an export has them; what they open is on record then.

    `salt` is drawn for this export alone. Raises `UserError` for a table that is not exported.
    """
    if table not in SCHEMAS:
        raise UserError(f"{table} is not exported; these are: {', '.join(SCHEMAS)}")
    paths.require()
    register = Register(paths.releases)
    try:
        with open_copies(paths) as (connection, head), register.recording():
            floors = register.floors()
            meters = allowed_meters(_groups(connection), floors)
            found = _rows(connection, table, wanted)
            kept = [row for row in found if row[1] in meters]
            suppressed = {"rows of groups with too few meters": len(found) - len(kept)}
            if table in BOOKED:
                entries = frozenset(row[0] for row in kept)
                allowed = disclose(register, entries, _contributions(connection), floors)
                suppressed["rows that would uncover the rest of an aggregate"] = sum(
                    row[0] not in allowed for row in kept
                )
                kept = [row for row in kept if row[0] in allowed]
    finally:
        register.close()
    rows = sorted((pseudonym(salt, row[1]), *row[2:]) for row in kept)
    return Rows(rows, suppressed, head, floors)


def demand(paths: DataCenterPaths, period: Period) -> tuple[int, list[int]]:
    """Return (start of the first, energy in Wh of each) of the whole periods between first and last
    settlement.

    For the utility's own forecasts: all meters in one sum, under no floor.
    """
    with open_copies(paths) as (connection, head):
        cells = _cells(connection, period, (), Wanted(), head)
    used = [
        cell.start_ms for cell, members in cells.items() if any(one.values[0] for one in members.values())
    ]
    if not used:
        return 0, []
    sums = {cell.start_ms: sum(one.values[0] for one in members.values()) for cell, members in cells.items()}
    first, last, step = min(used), max(used), LENGTHS[period]
    return first, [sums.get(start, 0) for start in range(first, last + step, step)]


def _cells(
    connection: DuckDBPyConnection, period: Period, by: Sequence[Dimension], wanted: Wanted, head: Head
) -> Cells:
    """Return cells of whole periods; bounds are moved out to them, so that no cell is cut."""
    length = LENGTHS[period]
    first = period_start(wanted.from_ms + 1, period)
    end = min(-(-wanted.to_ms // length) * length, head.time_ms)
    settlements = (
        connection.table("settlements")
        .filter(f"time_ms > {first:d} AND time_ms <= {end:d}")
        .project(_SETTLED)
        .order("log_index")
    )
    return cells_of((Settled(*row) for row in settlements.fetchall()), period, by, end)


def _contributions(connection: DuckDBPyConnection) -> ContributionsOf:
    def known(entries: Entries) -> Mapping[int, Contribution]:
        sql = """SELECT log_index, mid, energy, charge FROM settlements
            WHERE log_index IN (SELECT unnest(?::BIGINT[]))"""
        rows = connection.execute(sql, [sorted(entries)]).fetchall()
        return {row[0]: Contribution(row[0], row[1], (row[2], row[3])) for row in rows}

    return known


def _groups(connection: DuckDBPyConnection) -> list[tuple[Group, bytes]]:
    sql = """SELECT DISTINCT area, tariff_name, customer_class, mid FROM settlements
        UNION SELECT area, tariff_name, customer_class, mid FROM forms"""
    return [((area, tariff, number), mid) for area, tariff, number, mid in connection.execute(sql).fetchall()]


def _rows(connection: DuckDBPyConnection, table: str, wanted: Wanted) -> list[tuple[Any, ...]]:
    """Return (log index, MID, exported columns) of a table's rows in a range of time."""
    names = [column.name for column in SCHEMAS[table] if column.name != "meter"]
    time = next(name for name in ("time_ms", "tpt_ms", "tsm_ms") if name in names)
    rows = (
        connection.table(table)
        .filter(f"{time} >= {wanted.from_ms:d} AND {time} < {wanted.to_ms:d}")
        .project(", ".join(f'"{name}"' for name in ("log_index", "mid", *names)))
    )
    return [tuple(row) for row in rows.fetchall()]
