"""Tariffs, capacity, reversals, closing, and the consumer's own control (III-A-6, Table 1, VII).

Left out: charges, which follow from settlements (`processing.reports`, `energy_center`).
"""

from __future__ import annotations

from msgspec.structs import replace

from gridmonitoring.blockchain.bodies import (
    Capacity,
    ClearTamper,
    CloseAccount,
    PublishTariff,
    ReversePayment,
    Supply,
)
from gridmonitoring.blockchain.ledger import Ledger, open_by, party_in_force, refuse, require_document
from gridmonitoring.blockchain.parent_block import LockReason
from gridmonitoring.blockchain.state_rows import (
    CommandKind,
    LotRow,
    PaymentRow,
    Stage,
    SupplyPointRow,
    SupplyWishRow,
    Table,
)
from gridmonitoring.blockchain.transactions import Transaction
from gridmonitoring.contracts.meter_rule import MeterState
from gridmonitoring.encoding.bounds import Role
from gridmonitoring.encoding.cbor import decode, encode
from gridmonitoring.energy_center.credit import Account, add_lot, close_account, reverse_lot
from gridmonitoring.energy_center.dispatch import open_window
from gridmonitoring.energy_center.lots import heights
from gridmonitoring.energy_center.tariffs import TARIFF_LIMIT, Tariff, check_succession, check_tariff
from gridmonitoring.errors import CapacityError, CreditError, EncodingError, Refused, TariffError
from gridmonitoring.processing.rows import (
    MAX_WINDOWS,
    AgreementRow,
    CapacityRow,
    TariffRow,
    TariffSeriesRow,
    recovery_share,
    series_key,
)
from gridmonitoring.processing.threads import complete, live_on, meter_of, open_lot, order
from gridmonitoring.registration.registrar import release_meter

CLOSE_DOMAIN = "gridmon/close/1"
"""Domain tag of the consumer's signature on closing an account."""
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
    before = heights(account.lots)
    try:
        account, _ = reverse_lot(account, paid.height, paid.amount)
    except (CreditError, TariffError) as error:
        raise Refused("credit_refused", str(error)) from error
    ledger.view.put(Table.ACCOUNT, paid.mid, account)
    ledger.view.put(Table.PAYMENT, key, replace(paid, reversed=True))
    if paid.height in before:
        waiting = heights(account.lots)
        meter = complete(ledger, paid.mid, meter, (paid.height,), waiting, LockReason.REVERSED, payload.time)
    meter = order(ledger, paid.mid, meter, CommandKind.REVERSAL, transaction, paid.height, paid.amount)
    ledger.view.put(Table.METER, paid.mid, meter)


def close(ledger: Ledger, transaction: Transaction) -> None:
    """Moving out closes the thread; credit left is refunded, or moves to the consumer's new MID."""
    payload = transaction.payload
    body: CloseAccount = payload.body
    point = _open_point(ledger, body.mid)
    if payload.signer != point.utility:
        refuse("wrong_utility", "another utility supplies this meter")
    consumer = party_in_force(ledger, Role.CONSUMER, point.consumer)
    document = encode([body.mid, body.move_to, body.vendor])
    require_document(document, open_by(ledger, consumer.sign_key, CLOSE_DOMAIN, body.consent), "closing")
    if bool(body.move_to) == bool(body.vendor):
        refuse("bad_closing", "credit goes either to a new meter or back through a vendor")
    if body.move_to == body.mid:
        refuse("bad_closing", "credit cannot move to the meter that closes")
    if body.vendor:
        party_in_force(ledger, Role.VENDOR, body.vendor)
    account: Account = ledger.view.get(Table.ACCOUNT, body.mid)
    left = heights(account.lots)
    account, refund = close_account(account)
    if body.move_to and refund:
        _move_credit(ledger, transaction, body.move_to, point, refund)
    meter = live_on(ledger, body.mid, transaction)
    meter = complete(ledger, body.mid, meter, left, (), LockReason.CLOSED, payload.time)
    meter = order(ledger, body.mid, meter, CommandKind.CLOSE, transaction, amount=refund)
    ledger.view.put(Table.METER, body.mid, meter)
    ledger.view.put(Table.ACCOUNT, body.mid, account)
    ledger.view.put(Table.SUPPLY_POINT, body.mid, replace(point, stage=Stage.CLOSED))
    release_meter(ledger, point.consumer, body.mid)


def _open_point(ledger: Ledger, mid: bytes) -> SupplyPointRow:
    point: SupplyPointRow | None = ledger.view.get(Table.SUPPLY_POINT, mid)
    if point is None:
        refuse("unknown_meter", f"no meter {mid.hex()[:8]} on this chain")
    if point.stage != Stage.SUPPLIED:
        refuse("wrong_stage", f"meter {mid.hex()[:8]} is {point.stage.name.lower()}, not supplied")
    return point


def _move_credit(
    ledger: Ledger, transaction: Transaction, mid: bytes, old: SupplyPointRow, amount: int
) -> None:
    """Add the credit left to the lot the consumer's new meter is drawing, as money topped up."""
    point = _open_point(ledger, mid)
    if point.consumer != old.consumer:
        refuse("wrong_consumer", "the new meter is another consumer's")
    account: Account = ledger.view.get(Table.ACCOUNT, mid)
    agreement: AgreementRow = ledger.view.get(Table.AGREEMENT, mid)
    meter = meter_of(ledger, mid)
    height, time = meter.next_height, transaction.payload.time
    try:
        account, _ = add_lot(account, height, amount, recovery_share(ledger, mid, agreement, meter))
    except (CreditError, TariffError) as error:
        raise Refused("credit_refused", str(error)) from error
    lot = LotRow(
        transaction.id,
        bytes(16),
        time,
        time,
        None,
        None,
        None,
        bytes(16),
        point.consumer,
        b"",
        0,
        amount,
        agreement.agreement.tariff,
        agreement.script,
        0,
        ledger.log_root(),
        ledger.log_size,
        b"",
        0,
        b"",
        0,
        time,
        int(LockReason.OPEN),
    )
    meter = open_lot(ledger, mid, meter, lot, transaction)
    left = heights(account.lots)
    if height not in left:
        meter = complete(ledger, mid, meter, (height,), left, LockReason.FINISHED, time)
    meter = order(ledger, mid, meter, CommandKind.CREDIT, transaction, height, amount)
    ledger.view.put(Table.METER, mid, meter)
    ledger.view.put(Table.ACCOUNT, mid, account)


def control_supply(ledger: Ledger, transaction: Transaction) -> None:
    """The consumer switches the own supply off or on, or sets a power limit."""
    payload = transaction.payload
    body: Supply = payload.body
    point = _open_point(ledger, body.mid)
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
