"""A lost key is replaced in the owner's sight: every meter of the consumer displays it (paper II-B, IV-A).

Registrar and authenticator together could take an account over; the notice is what the owner has against it.
Who still has the old key objects by changing or revoking it, which ends the announcement.

Left out: the rules of registrar and authenticator (`registration`), and how the display looks.
"""

from __future__ import annotations

from gridmonitoring.blockchain.bodies import ReplaceKey
from gridmonitoring.blockchain.ledger import Ledger
from gridmonitoring.blockchain.state_rows import CommandKind, MeterRow, Stage, SupplyPointRow, Table
from gridmonitoring.blockchain.transactions import Transaction
from gridmonitoring.contracts.messages import Message
from gridmonitoring.processing.threads import live_on, order, tell
from gridmonitoring.registration.registrar import meters_of, replace_key


def announce_key(ledger: Ledger, transaction: Transaction) -> None:
    """A lost key: registrar and authenticator announce a new one; the consumer's meters display it."""
    body: ReplaceKey = transaction.payload.body
    mids = [mid for mid in meters_of(ledger, body.party) if _has_display(ledger, mid)]
    reported: list[MeterRow] = [ledger.view.get(Table.METER, mid) for mid in mids]
    effective = replace_key(ledger, transaction, max((meter.time for meter in reported), default=0))
    for mid in mids:
        _announce_on(ledger, transaction, mid, effective)


def _has_display(ledger: Ledger, mid: bytes) -> bool:
    point: SupplyPointRow = ledger.view.get(Table.SUPPLY_POINT, mid)
    return point.stage in (Stage.INSTALLED, Stage.SUPPLIED)


def _announce_on(ledger: Ledger, transaction: Transaction, mid: bytes, effective: int) -> None:
    message = Message.KEY_REPLACEMENT
    meter = live_on(ledger, mid, transaction)
    meter = order(ledger, mid, meter, CommandKind.MESSAGE, transaction, height=int(message), amount=effective)
    time = transaction.payload.time
    meter = tell(ledger, mid, meter, message, transaction.id, time, meter.state)
    ledger.view.put(Table.METER, mid, meter)
