"""What a run comes to, house by house, from the ledger (paper III-A-6, V-B)."""

from __future__ import annotations

from msgspec import Struct

from gridmonitoring.blockchain.state_rows import PaymentRow, Table
from gridmonitoring.encoding.bounds import IMPORT_TOTAL, Role
from gridmonitoring.user_layer.demo.household import MS_PER_MINUTE
from gridmonitoring.user_layer.demo.household_format import Minute, local_text
from gridmonitoring.user_layer.demo.logbook import Logbook
from gridmonitoring.user_layer.demo.town import House, Town


class HouseFigures(Struct, frozen=True):
    """One house at the end."""

    name: str
    """What it is called."""
    mid: bytes
    """Meter ID."""
    recorded: str
    """Date in the recording that stands for the first day."""
    tariff: str
    """Name of its tariff."""
    state: str
    """State of its meter."""
    energy: int
    """Register 1.8.0 in the last statement, Wh."""
    paid: int
    """Money of every lot."""
    reversed: int
    """Money of payments taken back."""
    charged: int
    """Money charged in all."""
    credit: int
    """Credit left, money."""
    debt: int
    """Debt, money."""
    lots: int
    """Purchases that became lots."""
    locked: int
    """Parent blocks locked, that of the installation included."""
    side_blocks: int
    """Side blocks appended."""
    violations: int
    """Violations in them."""
    reports: int
    """Reports in the log."""
    equal: bool
    """Whether the meter's own account and registers are the ledger's, to the unit."""


def house_figures(town: Town, house: House, book: Logbook) -> HouseFigures:
    """Return what a house comes to."""
    grid, account, meter = town.grid, town.account(house), town.meter(house)
    prefix = town.office(Role.VENDOR).id + f"{house.name}/".encode()
    payments: list[PaymentRow] = [grid.row(Table.PAYMENT, key) for key, _ in grid.rows(Table.PAYMENT, prefix)]
    paid = sum(row.amount for row in payments)
    reversed_ = sum(row.amount for row in payments if row.reversed)
    side = book.side_blocks.get(house.mid, [])
    registers = {code: now for code, _, now in account.statement.registers}
    own = house.agent.meter
    return HouseFigures(
        house.name,
        house.mid,
        local_text(Minute(house.plan.series.recorded_ms // MS_PER_MINUTE))[:10],
        house.plan.tariff,
        house.state.name.lower(),
        registers[IMPORT_TOTAL],
        paid,
        reversed_,
        paid - reversed_ - account.credit + account.debt,
        account.credit,
        account.debt,
        len(payments),
        len(grid.rows(Table.BLOCK, house.mid)),
        len(side),
        sum(violations for _, violations in side),
        len(book.claims.get(house.mid, [])),
        own.account == account and dict(own.registers()) == registers and int(own.state) == meter.state,
    )
