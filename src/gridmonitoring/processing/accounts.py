"""Tariffs, capacity, reversals, and the consumer's own control (III-A-6, Table 1, VII).

Left out: closing (`closing`), and charges, which follow from settlements (`processing.reports`,
`energy_center`).
"""

from __future__ import annotations

from msgspec.structs import replace

from gridmonitoring.blockchain.bodies import (
    Capacity,
    ClearTamper,
    PublishTariff,
    ReversePayment,
    Supply,
)
from gridmonitoring.blockchain.ledger import Ledger, open_by, party_in_force, refuse, require_document
from gridmonitoring.blockchain.parent_block import LockReason
from gridmonitoring.blockchain.state_rows import (
    CommandKind,
    PaymentRow,
    SupplyWishRow,
    Table,
)
from gridmonitoring.blockchain.transactions import Transaction
from gridmonitoring.contracts.meter_rule import MeterState
from gridmonitoring.encoding.bounds import Role
from gridmonitoring.encoding.cbor import decode, encode
from gridmonitoring.energy_center.credit import Account, reverse_lot
from gridmonitoring.energy_center.dispatch import open_window
from gridmonitoring.energy_center.in_flight import debt_document
from gridmonitoring.energy_center.lots import heights
from gridmonitoring.energy_center.tariffs import TARIFF_LIMIT, Tariff, check_succession, check_tariff
from gridmonitoring.errors import CapacityError, CreditError, EncodingError, Refused, TariffError
from gridmonitoring.processing.closing import open_point
from gridmonitoring.processing.rows import (
    MAX_WINDOWS,
    CapacityRow,
    TariffRow,
    TariffSeriesRow,
    series_key,
)
from gridmonitoring.processing.threads import complete, live_on, meter_of, order

CLEAR_DOMAIN = "gridmon/clear-tamper/1"
"""Domain tag of the second operator's signature."""


def publish_tariff(ledger: Ledger, transaction: Transaction) -> None:
    """A utility publishes a tariff; one of the same name succeeds the last, with notice."""
    payload = transaction.payload
    body: PublishTariff = payload.body
    tariff = _read_tariff(body.tariff)
    if tariff.utility != payload.signer:
        refuse("wrong_utility", "a utility publishes its own tariffs only")
    if tariff.currency != ledger.chain.genesis.currency:
        refuse("wrong_currency", f"this chain counts in {ledger.chain.genesis.currency}")
    if ledger.view.get(Table.TARIFF, tariff.digest) is not None:
        refuse("already_published", "this tariff is published")
    key = series_key(tariff.utility, tariff.name)
    series: TariffSeriesRow | None = ledger.view.get(Table.TARIFF_SERIES, key)
    if series is not None:
        last: TariffRow = ledger.view.get(Table.TARIFF, series.latest)
        try:
            check_succession(last.tariff, tariff, payload.time)
        except TariffError as error:
            raise Refused("bad_tariff", str(error)) from error
        ledger.view.put(Table.TARIFF, series.latest, replace(last, successor=tariff.digest))
    ledger.view.put(Table.TARIFF, tariff.digest, TariffRow(tariff, b""))
    ledger.view.put(Table.TARIFF_SERIES, key, TariffSeriesRow(tariff.digest))


def _read_tariff(document: bytes) -> Tariff:
    try:
        tariff = decode(document, Tariff, TARIFF_LIMIT)
        check_tariff(tariff)
    except (EncodingError, TariffError) as error:
        raise Refused("bad_tariff", str(error)) from error
    return tariff


def offer_capacity(ledger: Ledger, transaction: Transaction) -> None:
    """The energy center offers capacity for a window of time (III-A-6)."""
    body: Capacity = transaction.payload.body
    time = transaction.payload.time
    row: CapacityRow = ledger.view.get(Table.CAPACITY, b"") or CapacityRow(())
    windows = [window for window in row.windows if window.to_ms > time]
    if len(windows) >= MAX_WINDOWS:
        refuse("bad_window", f"at most {MAX_WINDOWS} windows that have not ended are kept")
    try:
        windows.append(open_window(body.window_from, body.window_to, body.energy, windows))
    except CapacityError as error:
        raise Refused("bad_window", str(error)) from error
    ledger.view.put(
        Table.CAPACITY, b"", CapacityRow(tuple(sorted(windows, key=lambda window: window.from_ms)))
    )


def reverse_payment(ledger: Ledger, transaction: Transaction) -> None:
    """A payment bounced: the vendor takes it back; what was used of it becomes debt."""
    payload = transaction.payload
    body: ReversePayment = payload.body
    key = payload.signer + body.reference
    paid: PaymentRow | None = ledger.view.get(Table.PAYMENT, key)
    if paid is None or paid.reversed:
        refuse("unknown_payment", "this vendor confirmed no such payment, or reversed it")
    meter = live_on(ledger, paid.mid, transaction)
    account: Account = ledger.view.get(Table.ACCOUNT, paid.mid)
    before, owed = heights(account.lots), debt_document(account.debt)
    try:
        account, _ = reverse_lot(account, paid.height, paid.amount)
    except (CreditError, TariffError) as error:
        raise Refused("credit_refused", str(error)) from error
    ledger.view.put(Table.ACCOUNT, paid.mid, account)
    ledger.view.put(Table.PAYMENT, key, replace(paid, reversed=True))
    if paid.height in before:
        waiting = heights(account.lots)
        meter = complete(ledger, paid.mid, meter, (paid.height,), waiting, LockReason.REVERSED, payload.time)
    kind = CommandKind.REVERSAL
    meter = order(ledger, paid.mid, meter, kind, transaction, paid.height, paid.amount, owed)
    ledger.view.put(Table.METER, paid.mid, meter)


def control_supply(ledger: Ledger, transaction: Transaction) -> None:
    """The consumer switches the own supply off or on, or sets a power limit."""
    payload = transaction.payload
    body: Supply = payload.body
    point = open_point(ledger, body.mid)
    if payload.signer != point.consumer:
        refuse("wrong_consumer", "only the consumer of this meter controls its supply")
    wish: SupplyWishRow = ledger.view.get(Table.SUPPLY_WISH, body.mid) or SupplyWishRow(
        on=True, power_limit=0
    )
    meter = live_on(ledger, body.mid, transaction)
    if body.on != wish.on:
        kind = CommandKind.SUPPLY_ON if body.on else CommandKind.SUPPLY_OFF
        meter = order(ledger, body.mid, meter, kind, transaction)
    if body.power_limit != wish.power_limit:
        meter = order(ledger, body.mid, meter, CommandKind.POWER_LIMIT, transaction, amount=body.power_limit)
    ledger.view.put(Table.METER, body.mid, meter)
    ledger.view.put(Table.SUPPLY_WISH, body.mid, SupplyWishRow(body.on, body.power_limit))


def clear_tamper(ledger: Ledger, transaction: Transaction) -> None:
    """Two different operators clear a tamper that the meter reported; the meter is told."""
    payload = transaction.payload
    body: ClearTamper = payload.body
    meter = meter_of(ledger, body.mid)
    if meter.state != MeterState.TAMPERED or meter.epoch != body.epoch or meter.tampered != body.sequence:
        refuse("nothing_to_clear", "this meter reported no such tamper, or it was cleared")
    if body.second == payload.signer:
        refuse("same_operator", "a clear needs two different operators")
    second = party_in_force(ledger, Role.OPERATOR, body.second)
    document = encode([body.mid, body.epoch, body.sequence])
    require_document(document, open_by(ledger, second.sign_key, CLEAR_DOMAIN, body.approval), "clear")
    meter = live_on(ledger, body.mid, transaction)
    meter = order(ledger, body.mid, meter, CommandKind.CLEAR_TAMPER, transaction, amount=body.sequence)
    ledger.view.put(Table.METER, body.mid, meter)
