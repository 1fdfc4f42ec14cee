"""Forms: a paid purchase becomes credit and a parent block in the making (paper IV-C, IV-D).

Left out: reconsideration of a refused form, which its originator does with a new form that names
the refused one (`replaces`).
"""

from __future__ import annotations

from gridmonitoring.blockchain.bodies import (
    PAYMENT_DOMAIN,
    REQUEST_DOMAIN,
    Form,
    PaymentConfirmation,
    PurchaseRequest,
)
from gridmonitoring.blockchain.ledger import Ledger, open_by, party_in_force, refuse
from gridmonitoring.blockchain.parent_block import LockReason
from gridmonitoring.blockchain.state_rows import (
    CommandKind,
    LotRow,
    MeterRow,
    PaymentRow,
    PurchaseRow,
    Stage,
    SupplyPointRow,
    Table,
)
from gridmonitoring.blockchain.transactions import Transaction
from gridmonitoring.contracts.meter_rule import MeterState
from gridmonitoring.encoding.bounds import Role
from gridmonitoring.encoding.cbor import decode
from gridmonitoring.encoding.hashes import sha256d
from gridmonitoring.energy_center.credit import Account, add_lot
from gridmonitoring.energy_center.dispatch import dispatch, subscription_status
from gridmonitoring.energy_center.in_flight import debt_document
from gridmonitoring.energy_center.lots import heights
from gridmonitoring.energy_center.tariffs import energy_for
from gridmonitoring.errors import CapacityError, CreditError, EncodingError, Refused, TariffError
from gridmonitoring.keys.signatures import split
from gridmonitoring.processing.rows import AgreementRow, CapacityRow, recovery_share, tariff_at
from gridmonitoring.processing.threads import complete, open_lot, order
from gridmonitoring.registration.authenticator import supply_point_at

PAYERS = (Role.CONSUMER, Role.VENDOR, Role.UTILITY, Role.RESEARCHER)
"""Who may pay: the consumer, or anyone with a key who pays for them."""


def process_form(ledger: Ledger, transaction: Transaction) -> None:
    """Check a form against registration, payment, agreement and energy center, and add its credit.

    1 request, 2 payment, 3 once only, 4 what the node added, 5 dispatch, 6 credit, lot, command.
    """
    body: Form = transaction.payload.body
    # 1
    request = _request(ledger, body)
    # 2
    payment = _payment(ledger, body, request)
    # 3
    _once(ledger, body, request, payment)
    # 4
    point = supply_point_at(ledger, body.mid, Stage.SUPPLIED)
    meter: MeterRow = ledger.view.get(Table.METER, body.mid)
    agreement: AgreementRow = ledger.view.get(Table.AGREEMENT, body.mid)
    _check_additions(ledger, transaction, point, agreement, request, payment)
    # 5
    _dispatch(ledger, transaction, agreement, request.amount)
    # 6
    _credit(ledger, transaction, request, payment, meter, agreement)


def _request(ledger: Ledger, body: Form) -> PurchaseRequest:
    try:
        request = decode(split(body.request)[0], PurchaseRequest)
    except EncodingError as error:
        raise Refused("malformed_request", str(error)) from error
    if request.payer_role not in PAYERS:
        refuse("wrong_role", "this role does not pay for power")
    payer = party_in_force(ledger, request.payer_role, request.payer)
    open_by(ledger, payer.sign_key, REQUEST_DOMAIN, body.request)
    if request.mid != body.mid:
        refuse("wrong_meter", "the form is for another meter than the request")
    if request.currency != ledger.chain.genesis.currency:
        refuse("wrong_currency", f"this chain counts in {ledger.chain.genesis.currency}")
    if request.amount == 0:
        refuse("no_amount", "nothing was paid")
    return request


def _payment(ledger: Ledger, body: Form, request: PurchaseRequest) -> PaymentConfirmation:
    try:
        payment = decode(split(body.confirmation)[0], PaymentConfirmation)
    except EncodingError as error:
        raise Refused("malformed_payment", str(error)) from error
    vendor = party_in_force(ledger, Role.VENDOR, payment.vendor)
    open_by(ledger, vendor.sign_key, PAYMENT_DOMAIN, body.confirmation)
    if payment.request != sha256d(split(body.request)[0]):
        refuse("wrong_payment", "the vendor confirmed another request")
    if (payment.amount, payment.currency) != (request.amount, request.currency):
        refuse("wrong_payment", "the vendor confirmed another amount or currency")
    return payment


def _once(ledger: Ledger, body: Form, request: PurchaseRequest, payment: PaymentConfirmation) -> None:
    used: PurchaseRow | None = ledger.view.get(Table.PURCHASE, request.payer + request.idempotency)
    if used is not None:
        if used.request == sha256d(split(body.request)[0]):
            refuse("already_processed", f"this purchase is log entry {used.index}")
        refuse("idempotency_conflict", "this idempotency key was used with other content")
    if ledger.view.get(Table.PAYMENT, payment.vendor + payment.reference) is not None:
        refuse("payment_reference_used", "this payment reference was used before")


def _check_additions(
    ledger: Ledger,
    transaction: Transaction,
    point: SupplyPointRow,
    agreement: AgreementRow,
    request: PurchaseRequest,
    payment: PaymentConfirmation,
) -> None:
    body: Form = transaction.payload.body
    time = transaction.payload.time
    if body.house != point.house:
        refuse("wrong_house_number", "the house number is not that of this supply point")
    if body.area != point.area:
        refuse("wrong_area", f"the supply point is in area {point.area}")
    if body.script != agreement.script:
        refuse("wrong_script", "the script is not that of the agreement in force")
    tariff = tariff_at(ledger, agreement.agreement.tariff, time + 1)
    if body.tariff != tariff.digest:
        refuse("wrong_tariff", "the tariff is not the one in force")
    if request.time > time or payment.time > time:
        refuse("time_not_monotonic", "request or payment is signed later than the form")
    try:
        energy = energy_for(tariff, request.amount, time, agreement.agreement.billing.tax_ppm)
    except TariffError as error:
        raise Refused("wrong_tariff", str(error)) from error
    if body.energy != energy:
        refuse("wrong_energy", f"the money buys {energy} Wh by the tariff, the form says {body.energy}")


def _dispatch(ledger: Ledger, transaction: Transaction, agreement: AgreementRow, amount: int) -> None:
    """Book the energy in the window that the form names, as the subscription's status allows."""
    body: Form = transaction.payload.body
    account: Account = ledger.view.get(Table.ACCOUNT, body.mid)
    share = amount * agreement.agreement.billing.debt_recovery_permille // 1000
    status = subscription_status(max(account.debt - share, 0), closed=False)
    row: CapacityRow = ledger.view.get(Table.CAPACITY, b"") or CapacityRow(())
    windows = {window.from_ms: window for window in row.windows}
    if body.dispatch not in windows:
        refuse("no_capacity", "the energy center offers no such window")
    try:
        windows[body.dispatch] = dispatch(
            windows[body.dispatch], body.energy, transaction.payload.time, status
        )
    except CapacityError as error:
        raise Refused("no_capacity", str(error)) from error
    ledger.view.put(Table.CAPACITY, b"", CapacityRow(tuple(windows.values())))


def _credit(
    ledger: Ledger,
    transaction: Transaction,
    request: PurchaseRequest,
    payment: PaymentConfirmation,
    meter: MeterRow,
    agreement: AgreementRow,
) -> None:
    body: Form = transaction.payload.body
    mid, height = body.mid, meter.next_height
    if meter.state == MeterState.CLOSED:
        refuse("account_closed", "the account is closed")
    account: Account = ledger.view.get(Table.ACCOUNT, mid)
    share = recovery_share(ledger, mid, agreement, meter)
    owed = debt_document(account.debt)
    try:
        account, _ = add_lot(account, height, request.amount, share)
    except (CreditError, TariffError) as error:
        raise Refused("credit_refused", str(error)) from error
    lot = LotRow(
        transaction.id,
        bytes(16),
        request.time,
        transaction.payload.time,
        None,
        None,
        None,
        transaction.payload.signer,
        request.payer,
        payment.vendor,
        body.energy,
        request.amount,
        body.tariff,
        body.script,
        body.dispatch,
        ledger.log_root(),
        ledger.log_size,
        body.replaces,
        0,
        b"",
        0,
        transaction.payload.time,
        int(LockReason.OPEN),
    )
    meter = open_lot(ledger, mid, meter, lot, transaction)
    left = heights(account.lots)
    if height not in left:  # all of it went to debt: the block ends as it begins
        meter = complete(ledger, mid, meter, (height,), left, LockReason.FINISHED, transaction.payload.time)
    meter = order(ledger, mid, meter, CommandKind.CREDIT, transaction, height, request.amount, owed)
    ledger.view.put(Table.METER, mid, meter)
    ledger.view.put(Table.ACCOUNT, mid, account)
    purchase = PurchaseRow(sha256d(split(body.request)[0]), transaction.id, ledger.log_size)
    ledger.view.put(Table.PURCHASE, request.payer + request.idempotency, purchase)
    paid = PaymentRow(transaction.id, mid, height, request.amount, reversed=False)
    ledger.view.put(Table.PAYMENT, payment.vendor + payment.reference, paid)
