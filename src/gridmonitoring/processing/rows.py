"""Rows whose values need the contracts' and the energy center's types, and how to read them.

`ROW_TYPES` is the whole registry: table -> type of its values. Everything that loads or proves a
row decodes it by this table.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from msgspec import Meta

from gridmonitoring.blockchain.bodies import OptionalId
from gridmonitoring.blockchain.genesis import Parameters, ValidatorSet
from gridmonitoring.blockchain.ledger import Ledger, refuse
from gridmonitoring.blockchain.state_rows import (
    AccessRow,
    BlockRow,
    CommandKind,
    CommandRow,
    ConductRow,
    ConsumerRow,
    ContractKeyRow,
    ContractKeysRow,
    CopyRow,
    DeviceRow,
    DueRow,
    ErasureRow,
    ExhibitRow,
    FindingRow,
    GovernanceRow,
    GrantRow,
    LotRow,
    MessageRow,
    MeterKeyRow,
    MeterRow,
    OpenFindingRow,
    PartyRow,
    PaymentRow,
    ProposalRow,
    PurchaseRow,
    ReadRow,
    Row,
    SideRow,
    SilenceRow,
    SupplyPointRow,
    SupplyWishRow,
    Table,
    height_key,
)
from gridmonitoring.contracts.agreement import Agreement, decode_agreement
from gridmonitoring.encoding.bounds import Bytes32
from gridmonitoring.encoding.cbor import PACKAGE_LIMIT, decode, encode
from gridmonitoring.encoding.hashes import sha256d
from gridmonitoring.energy_center.credit import Account, Projection
from gridmonitoring.energy_center.dispatch import CapacityWindow
from gridmonitoring.energy_center.in_flight import read_debt, without_orders
from gridmonitoring.energy_center.tariffs import Tariff

MAX_WINDOWS = 64
"""Capacity windows that are kept; ended ones make room."""


class AgreementRow(Row, frozen=True):
    """The agreement in force at a supply point."""

    agreement: Agreement
    """Its terms."""
    script: Bytes32
    """Hash of the script that the contract generator made of it."""


class TariffRow(Row, frozen=True):
    """A published tariff."""

    tariff: Tariff
    """The tariff."""
    successor: OptionalId
    """Hash of the one that follows it, or empty."""


class TariffSeriesRow(Row, frozen=True):
    """The latest tariff of a utility's name."""

    latest: Bytes32
    """Its hash."""


class CapacityRow(Row, frozen=True):
    """What the energy center offers."""

    windows: Annotated[tuple[CapacityWindow, ...], Meta(max_length=MAX_WINDOWS)]
    """In order of time, not overlapping."""


ROW_TYPES: Mapping[Table, Any] = {
    Table.PARAMETERS: Parameters,
    Table.VALIDATORS: ValidatorSet,
    Table.PARTY: PartyRow,
    Table.SUPPLY_POINT: SupplyPointRow,
    Table.DEVICE: DeviceRow,
    Table.METER: MeterRow,
    Table.AGREEMENT: AgreementRow,
    Table.ACCOUNT: Account,
    Table.LOT: LotRow,
    Table.TARIFF: TariffRow,
    Table.CAPACITY: CapacityRow,
    Table.PAYMENT: PaymentRow,
    Table.PURCHASE: PurchaseRow,
    Table.COMMAND: CommandRow,
    Table.BLOCK: BlockRow,
    Table.SIDE: SideRow,
    Table.MESSAGE: MessageRow,
    Table.DUE: DueRow,
    Table.GOVERNANCE: GovernanceRow,
    Table.TARIFF_SERIES: TariffSeriesRow,
    Table.SUPPLY_WISH: SupplyWishRow,
    Table.CONSUMER: ConsumerRow,
    Table.ACCESS: AccessRow,
    Table.GRANT: GrantRow,
    Table.READ: ReadRow,
    Table.ERASURE: ErasureRow,
    Table.FINDING: FindingRow,
    Table.OPEN_FINDING: OpenFindingRow,
    Table.COPY: CopyRow,
    Table.CONDUCT: ConductRow,
    Table.SILENCE: SilenceRow,
    Table.CONTRACT_KEY: ContractKeyRow,
    Table.CONTRACT_KEYS: ContractKeysRow,
    Table.METER_KEY: MeterKeyRow,
    Table.PROPOSAL: ProposalRow,
    Table.EXHIBIT: ExhibitRow,
}
"""Table -> type of its values."""


def decode_row(table: int, value: bytes) -> Any:
    """Return the struct of a stored row; raises an `EncodingError`."""
    return decode(value, ROW_TYPES[Table(table)], PACKAGE_LIMIT)


def series_key(utility: bytes, name: str) -> bytes:
    """Return the key of a tariff series: sha256d of utility and name."""
    return sha256d(encode([utility, name]))


def tariff_at(ledger: Ledger, tariff: bytes, time: int) -> Tariff:
    """Return the tariff of an agreement's series in force just before a time.

    Raises `Refused` (unknown_tariff) where the agreement's tariff was never published.
    """
    row: TariffRow | None = ledger.view.get(Table.TARIFF, tariff)
    if row is None:
        refuse("unknown_tariff", "no such tariff is published")
    while row.successor:
        following: TariffRow = ledger.view.get(Table.TARIFF, row.successor)
        if following.tariff.valid_from_ms >= time:
            break
        row = following
    return row.tariff


def money_on_meter(ledger: Ledger, mid: bytes, account: Account, meter: MeterRow) -> Projection:
    """Return credit and debt as the meter has them, which knows of no command past the last carried out."""
    if meter.carried_out == meter.commands:
        return Projection(account.credit, account.debt)
    commands = [one for one in _in_flight(ledger, mid, meter) if one.kind in _SIGNS]
    if not commands:
        return Projection(account.credit, account.debt)
    moved = sum(_SIGNS[command.kind] * command.amount for command in commands)
    return without_orders(account, moved, read_debt(commands[0].document))


_SIGNS: Mapping[int, int] = {
    CommandKind.CREDIT: 1,
    CommandKind.COMPENSATION: 1,
    CommandKind.REVERSAL: -1,
    CommandKind.CLOSE: -1,
    CommandKind.PENALTY: -1,
}
"""Commands about money: 1 gives, -1 takes."""


def recovery_share(ledger: Ledger, mid: bytes, row: AgreementRow, meter: MeterRow) -> int:
    """Return the share of a payment that may go to debt, thousandths, by the terms the meter adds it under.

    A meter carries commands out in order, so new terms that are on their way come before the credit.
    """
    for command in reversed(_in_flight(ledger, mid, meter)):
        if command.kind == CommandKind.SCRIPT:
            return decode_agreement(command.document).billing.debt_recovery_permille
    return row.agreement.billing.debt_recovery_permille


def _in_flight(ledger: Ledger, mid: bytes, meter: MeterRow) -> list[CommandRow]:
    """Return the commands that a meter has not carried out, in order."""
    keys = [height_key(mid, number) for number in range(meter.carried_out + 1, meter.commands + 1)]
    rows = [ledger.view.get(Table.COMMAND, key) for key in keys]
    return [row for row in rows if row is not None]
