"""Closing: moving out ends a thread, and what the account is given later is paid out, too (II-A, III-A-5).

At the closing the credit left is refunded, or moves to the consumer's new meter. Afterwards money can still
come: a compensation for what the grid's side did, a penalty that is given back. It pays what is left of a
debt, and the rest is paid out the same two ways, by a further transaction that names the exact amount.

Left out: the payment itself, which is the vendor's.
"""

from __future__ import annotations

from msgspec.structs import replace

from gridmonitoring.blockchain.bodies import CloseAccount, PayOut
from gridmonitoring.blockchain.ledger import Ledger, open_by, party_in_force, refuse, require_document
from gridmonitoring.blockchain.parent_block import LockReason
from gridmonitoring.blockchain.state_rows import CommandKind, LotRow, Stage, SupplyPointRow, Table
from gridmonitoring.blockchain.transactions import Transaction
from gridmonitoring.encoding.bounds import Role
from gridmonitoring.encoding.cbor import encode
from gridmonitoring.energy_center.credit import Account, add_lot, close_account
from gridmonitoring.energy_center.in_flight import debt_document
from gridmonitoring.energy_center.lots import heights
from gridmonitoring.errors import CreditError, Refused, TariffError
from gridmonitoring.processing.rows import AgreementRow, recovery_share
from gridmonitoring.processing.threads import complete, live_on, meter_of, open_lot, order
from gridmonitoring.registration.registrar import release_meter

CLOSE_DOMAIN = "gridmon/close/1"
"""Domain tag of the consumer's signature on closing an account."""
PAYOUT_DOMAIN = "gridmon/payout/1"
"""Domain tag of the consumer's signature on a payout after closing."""


def close(ledger: Ledger, transaction: Transaction) -> None:
    """Moving out closes the thread; credit left is refunded, or moves to the consumer's new MID."""
    payload = transaction.payload
    body: CloseAccount = payload.body
    point = open_point(ledger, body.mid)
    document = encode([body.mid, body.move_to, body.vendor])
    _require_destination(ledger, transaction, point, CLOSE_DOMAIN, document)
    account: Account = ledger.view.get(Table.ACCOUNT, body.mid)
    left, owed = heights(account.lots), debt_document(account.debt)
    account, refund = close_account(account)
    if body.move_to and refund:
        _move_credit(ledger, transaction, body.move_to, point, refund)
    meter = live_on(ledger, body.mid, transaction)
    meter = complete(ledger, body.mid, meter, left, (), LockReason.CLOSED, payload.time)
    meter = order(ledger, body.mid, meter, CommandKind.CLOSE, transaction, amount=refund, document=owed)
    ledger.view.put(Table.METER, body.mid, meter)
    ledger.view.put(Table.ACCOUNT, body.mid, account)
    ledger.view.put(Table.SUPPLY_POINT, body.mid, replace(point, stage=Stage.CLOSED))
    release_meter(ledger, point.consumer, body.mid)


def pay_out(ledger: Ledger, transaction: Transaction) -> None:
    """Pay out what a closed account was given: 1 it is closed, 2 by whom and whereto, 3 how much; 4 do it.

    Raises `Refused` (unknown_meter, wrong_stage, wrong_utility, revoked_key, bad_signature,
    document_mismatch, bad_closing, unknown_signer, wrong_payout, and those of moved credit).
    """
    payload = transaction.payload
    body: PayOut = payload.body
    # 1
    point = _point(ledger, body.mid)
    if point.stage != Stage.CLOSED:
        refuse("wrong_stage", f"meter {body.mid.hex()[:8]} is {point.stage.name.lower()}, not closed")
    # 2
    document = encode([body.mid, body.amount, body.move_to, body.vendor])
    _require_destination(ledger, transaction, point, PAYOUT_DOMAIN, document)
    # 3
    account: Account | None = ledger.view.get(Table.ACCOUNT, body.mid)
    left, owed = 0, b""
    if account is not None:
        owed = debt_document(account.debt)
        account, left = close_account(account)
    if not left or body.amount != left:
        refuse("wrong_payout", f"the closed account has {left} to pay out, not {body.amount}")
    # 4
    if body.move_to:
        _move_credit(ledger, transaction, body.move_to, point, left)
    meter = live_on(ledger, body.mid, transaction)
    meter = order(ledger, body.mid, meter, CommandKind.CLOSE, transaction, amount=left, document=owed)
    ledger.view.put(Table.METER, body.mid, meter)
    ledger.view.put(Table.ACCOUNT, body.mid, account)


def _require_destination(
    ledger: Ledger, transaction: Transaction, point: SupplyPointRow, domain: str, document: bytes
) -> None:
    """Require the meter's own utility, the consumer's consent, and one way for the money to go."""
    body: CloseAccount | PayOut = transaction.payload.body
    if transaction.payload.signer != point.utility:
        refuse("wrong_utility", "another utility supplies this meter")
    consumer = party_in_force(ledger, Role.CONSUMER, point.consumer)
    require_document(document, open_by(ledger, consumer.sign_key, domain, body.consent), "closing")
    if bool(body.move_to) == bool(body.vendor):
        refuse("bad_closing", "credit goes either to a new meter or back through a vendor")
    if body.move_to == body.mid:
        refuse("bad_closing", "credit cannot move to the meter that closes")
    if body.vendor:
        party_in_force(ledger, Role.VENDOR, body.vendor)


def _point(ledger: Ledger, mid: bytes) -> SupplyPointRow:
    point: SupplyPointRow | None = ledger.view.get(Table.SUPPLY_POINT, mid)
    if point is None:
        refuse("unknown_meter", f"no meter {mid.hex()[:8]} on this chain")
    return point


def open_point(ledger: Ledger, mid: bytes) -> SupplyPointRow:
    """Return a supply point that is supplied; raises `Refused` (unknown_meter, wrong_stage)."""
    point = _point(ledger, mid)
    if point.stage != Stage.SUPPLIED:
        refuse("wrong_stage", f"meter {mid.hex()[:8]} is {point.stage.name.lower()}, not supplied")
    return point


def _move_credit(
    ledger: Ledger, transaction: Transaction, mid: bytes, old: SupplyPointRow, amount: int
) -> None:
    """Add the credit left to the lot the consumer's new meter is drawing, as money topped up."""
    point = open_point(ledger, mid)
    if point.consumer != old.consumer:
        refuse("wrong_consumer", "the new meter is another consumer's")
    account: Account = ledger.view.get(Table.ACCOUNT, mid)
    agreement: AgreementRow = ledger.view.get(Table.AGREEMENT, mid)
    meter = meter_of(ledger, mid)
    height, time = meter.next_height, transaction.payload.time
    owed = debt_document(account.debt)
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
    meter = order(ledger, mid, meter, CommandKind.CREDIT, transaction, height, amount, owed)
    ledger.view.put(Table.METER, mid, meter)
    ledger.view.put(Table.ACCOUNT, mid, account)
