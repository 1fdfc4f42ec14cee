"""Disputes: a violation and what was done about it, contested in time, and upheld or reversed once (III-A-5).

The consumer or the utility disputes; two operators decide. The utility alone may only give up what it
claimed from its consumer. A reversal gives exactly the money of the receipt back, or takes it back, lifts the
cut-off, and its own message names the transaction that showed the violation; the receipt names the decision.

Left out: the argument, of which the ledger has a hash.
"""

from __future__ import annotations

from msgspec.structs import replace

from gridmonitoring.blockchain.bodies import Dispute, LiftCutOff, Resolve
from gridmonitoring.blockchain.ledger import Ledger, open_by, party_in_force, refuse, require_document
from gridmonitoring.blockchain.state_rows import (
    CommandKind,
    Done,
    EntryKind,
    FindingRow,
    FindingState,
    MessageRow,
    MeterRow,
    OpenFindingRow,
    SupplyPointRow,
    Table,
    height_key,
    open_finding_key,
)
from gridmonitoring.blockchain.transactions import Transaction
from gridmonitoring.contracts.messages import Message
from gridmonitoring.contracts.violations import BY_THE_GRID, DISPUTE_TERM_MS, Violation
from gridmonitoring.encoding.bounds import Role
from gridmonitoring.encoding.cbor import encode
from gridmonitoring.processing.findings import move_money
from gridmonitoring.processing.threads import add_message, live_on, meter_of, newest_parent, order

RESOLVE_DOMAIN = "gridmon/resolve/1"
"""Domain tag of the second operator's signature."""


def dispute(ledger: Ledger, transaction: Transaction) -> None:
    """Consumer or utility disputes a violation of their meter, in time and once."""
    payload = transaction.payload
    body: Dispute = payload.body
    point = _point(ledger, body.mid)
    if payload.role == Role.CONSUMER and payload.signer != point.consumer:
        refuse("wrong_consumer", "only the consumer of this meter disputes its violations")
    if payload.role == Role.UTILITY and payload.signer != point.utility:
        refuse("wrong_utility", "another utility supplies this meter")
    finding = _finding(ledger, body.mid, body.number)
    if finding.state is not FindingState.RECORDED:
        refuse("already_disputed", f"this violation is {finding.state.name.lower()}")
    # Who signs rarely could date a dispute back; the meter's own time is a lower bound of the present.
    if max(payload.time, meter_of(ledger, body.mid).time) > finding.time + DISPUTE_TERM_MS:
        refuse("term_over", "the time in which this violation could be disputed is over")
    finding = replace(finding, state=FindingState.DISPUTED, dispute=transaction.id)
    meter = live_on(ledger, body.mid, transaction)
    _decide(ledger, transaction, body.mid, meter, body.number, finding, Message.DISPUTED, Done(0))


def resolve(ledger: Ledger, transaction: Transaction) -> None:
    """Two different operators uphold or reverse; or the utility gives its own claim up. Once."""
    payload = transaction.payload
    body: Resolve = payload.body
    point = _point(ledger, body.mid)
    finding = _finding(ledger, body.mid, body.number)
    if finding.state is not FindingState.DISPUTED:
        refuse("not_disputed", f"this violation is {finding.state.name.lower()}, not disputed")
    if payload.role == Role.UTILITY:
        _require_own_claim(payload.signer, point, body, finding)
    else:
        if body.second == payload.signer:
            refuse("same_operator", "a dispute is decided by two different operators")
        second = party_in_force(ledger, Role.OPERATOR, body.second)
        document = encode([body.mid, body.number, body.upheld])
        signed = open_by(ledger, second.sign_key, RESOLVE_DOMAIN, body.approval)
        require_document(document, signed, "decision")
    meter = live_on(ledger, body.mid, transaction)
    finding = replace(finding, resolution=transaction.id)
    if body.upheld:
        upheld = replace(finding, state=FindingState.UPHELD)
        said = Message.DISPUTE_REJECTED
        _decide(ledger, transaction, body.mid, meter, body.number, upheld, said, Done(0))
        return
    finding = replace(finding, state=FindingState.REVERSED)
    ledger.view.put(Table.FINDING, height_key(body.mid, body.number), finding)
    meter, undone = _undo(ledger, transaction, body.mid, meter, body.number, finding)
    said = Message.ACTION_REVERSED
    _decide(ledger, transaction, body.mid, meter, body.number, finding, said, undone)


def lift_cut_off(ledger: Ledger, transaction: Transaction) -> None:
    """The utility lifts an agreed cut-off; the meter is told."""
    payload = transaction.payload
    body: LiftCutOff = payload.body
    point = _point(ledger, body.mid)
    if payload.signer != point.utility:
        refuse("wrong_utility", "another utility supplies this meter")
    if not meter_of(ledger, body.mid).cut_off:
        refuse("nothing_to_lift", "no agreed cut-off is in force at this meter")
    meter = live_on(ledger, body.mid, transaction)
    meter = order(ledger, body.mid, meter, CommandKind.RECONNECT, transaction)
    ledger.view.put(Table.METER, body.mid, meter)


def _point(ledger: Ledger, mid: bytes) -> SupplyPointRow:
    point: SupplyPointRow | None = ledger.view.get(Table.SUPPLY_POINT, mid)
    if point is None:
        refuse("unknown_meter", f"no meter {mid.hex()[:8]} on this chain")
    return point


def _finding(ledger: Ledger, mid: bytes, number: int) -> FindingRow:
    finding: FindingRow | None = None
    if number < 1 << 63:
        finding = ledger.view.get(Table.FINDING, height_key(mid, number))
    if finding is None:
        refuse("unknown_violation", f"message {number} of this meter is no violation")
    return finding


def _require_own_claim(signer: bytes, point: SupplyPointRow, body: Resolve, finding: FindingRow) -> None:
    if signer != point.utility:
        refuse("wrong_utility", "another utility supplies this meter")
    if body.upheld or body.second or body.approval or finding.violation in BY_THE_GRID:
        refuse("not_its_claim", "a utility alone only gives up what it claimed from its consumer")


def _undo(
    ledger: Ledger, transaction: Transaction, mid: bytes, meter: MeterRow, number: int, finding: FindingRow
) -> tuple[MeterRow, Done]:
    """Take back what was done; return the meter's row and what was undone."""
    undone = Done(finding.action) & ~Done.NOTICE
    if finding.amount:
        back = CommandKind.COMPENSATION if undone & Done.PENALTY else CommandKind.PENALTY
        moved = move_money(ledger, transaction, mid, meter, back, finding.amount, number)
        if moved is None:
            refuse("credit_refused", "the account cannot hold the money that is to be given back")
        meter = moved
    if undone & Done.CUT_OFF:
        if _held_by_another(ledger, mid):
            undone &= ~Done.CUT_OFF
        else:
            meter = order(ledger, mid, meter, CommandKind.RECONNECT, transaction, number)
    return meter, undone


def _held_by_another(ledger: Ledger, mid: bytes) -> bool:
    """Tell whether a finding that stands has cut this meter off, too."""
    for violation in Violation:
        last: OpenFindingRow | None = ledger.view.get(Table.OPEN_FINDING, open_finding_key(mid, violation))
        if last is not None:
            other: FindingRow = ledger.view.get(Table.FINDING, height_key(mid, last.number))
            if other.action & Done.CUT_OFF and other.state is not FindingState.REVERSED:
                return True
    return False


def _decide(
    ledger: Ledger,
    transaction: Transaction,
    mid: bytes,
    meter: MeterRow,
    number: int,
    finding: FindingRow,
    said: Message,
    undone: Done,
) -> None:
    """Write the finding as it is now, tell the meter, and put the receipt in the contract database."""
    ledger.view.put(Table.FINDING, height_key(mid, number), finding)
    money = finding.amount if undone & (Done.PENALTY | Done.COMPENSATION) else 0
    time = transaction.payload.time
    receipt = MessageRow(
        *(newest_parent(meter), EntryKind.STATE, int(said), finding.violation, 0, time, meter.state),
        *((transaction.id, finding.evidence), 1, int(undone), money),
    )
    meter = add_message(ledger, mid, meter, receipt)
    meter = order(ledger, mid, meter, CommandKind.MESSAGE, transaction, int(said))
    ledger.view.put(Table.METER, mid, meter)
