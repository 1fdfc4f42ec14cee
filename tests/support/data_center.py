"""A small network with a data center: houses of two classes that settle once a day."""

from __future__ import annotations

from pathlib import Path

from gridmonitoring.blockchain.state_rows import Table
from gridmonitoring.data_center.copies import TABLES
from gridmonitoring.energy_center.credit import Account
from gridmonitoring.energy_center.statements import Statement
from gridmonitoring.runtime.columns.engine import select
from gridmonitoring.runtime.columns.paths import DataCenterPaths
from gridmonitoring.runtime.columns.rebuilding import rebuild_columns
from gridmonitoring.runtime.columns.store import open_copies
from gridmonitoring.runtime.directory import Directory
from tests.support.network import DAY_MS, INTERVAL_MS, SmallNetwork, open_small, small_network


def no_progress(done: int, total: int) -> None:
    """Show nothing."""


def with_data_center(path: Path, meters: int, validators: int = 1) -> SmallNetwork:
    """Found a network, give it a data center, and open it again so that it keeps copies."""
    small = small_network(path, validators=validators, meters=meters)
    small.close()
    rebuild_columns(Directory(path), no_progress)
    return open_small(path)


def settle_day(small: SmallNetwork, energy: int) -> list[Statement]:
    """Have each meter settle a day, in one block; return the statements that the ledger then has."""
    for meter in small.meters:
        meter.time += DAY_MS - INTERVAL_MS - 1000
        small.clock.move_to(max(small.clock.now_ms(), meter.time + INTERVAL_MS))
    wires: list[bytes] = []
    for number, meter in enumerate(small.meters):
        wires += meter.wires(settles=True, energy=energy + number)
    small.deliver(wires)
    accounts: list[Account] = [small.network.row(Table.ACCOUNT, meter.mid) for meter in small.meters]
    return [account.statement for account in accounts]


def end_day(small: SmallNetwork) -> None:
    """Let a day pass and a block be decided, so that the days of all settlements have ended."""
    small.clock.move_to(small.clock.now_ms() + DAY_MS)
    small.network.tick()


def ask(paths: DataCenterPaths, sql: str) -> list[tuple[object, ...]]:
    """Return the rows of a query."""
    with open_copies(paths) as (connection, _):
        return select(connection, sql, 100_000)[1]


def everything(paths: DataCenterPaths) -> dict[str, list[tuple[object, ...]]]:
    """Return all rows of all tables, in an order of their own."""
    with open_copies(paths) as (connection, _):
        return {
            table: select(connection, f"SELECT * FROM {table} ORDER BY ALL", 100_000)[1] for table in TABLES
        }
