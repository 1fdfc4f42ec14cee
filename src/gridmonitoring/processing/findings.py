"""Violations: recorded once, and what was agreed for them carried out with a receipt (III-A-5, V-A, VII).

"The smart contract database stores lists of actions agreed on ... It also stores receipts for each action."
A finding is a row that stays, with the receipt of what was done about it; its message goes into a side block.
An identical finding on the same parent block is counted on its row, and nothing is done a second time.

Money moves here at once, by the functions that settlements use, and the meter is told by a command with its
proof. Nothing else moves money for a violation: there is no transaction that orders a penalty.

Left out: how a violation is found (`reports`), and disputes (`disputes`).
"""

from __future__ import annotations

from msgspec.structs import replace

from gridmonitoring.blockchain.ledger import Ledger
from gridmonitoring.blockchain.parent_block import LockReason
from gridmonitoring.blockchain.state_rows import (
    CommandKind,
    Done,
    EntryKind,
    FindingRow,
    FindingState,
    MessageRow,
    MeterRow,
    OpenFindingRow,
    Table,
    height_key,
    open_finding_key,
)
from gridmonitoring.blockchain.transactions import Transaction
from gridmonitoring.contracts.agreement import agreed_action
from gridmonitoring.contracts.effects import NOTICES
from gridmonitoring.contracts.messages import Message
from gridmonitoring.contracts.violations import ActionKind, AgreedAction, Violation
from gridmonitoring.energy_center.credit import Account, collect, compensate
from gridmonitoring.energy_center.in_flight import debt_document
from gridmonitoring.energy_center.lots import heights
from gridmonitoring.errors import TariffError
from gridmonitoring.processing.rows import AgreementRow
from gridmonitoring.processing.threads import add_message, complete, newest_parent, order

MONEY = {ActionKind.PENALTY: CommandKind.PENALTY, ActionKind.COMPENSATION: CommandKind.COMPENSATION}
"""Which command tells the meter of which action."""


def violate(
    ledger: Ledger,
    transaction: Transaction,
    mid: bytes,
    meter: MeterRow,
    violation: Violation,
    *,
    node: bytes = b"",
    told: bool = False,
) -> MeterRow:
    """Record a violation and carry out what is agreed for it; return the meter's row (unwritten).

    `node` is the node that it names; `told` says that the contract alerts the consumer itself. Where an
    identical finding is open, it is counted there, and the action counter stays.
    """
    height = newest_parent(meter)
    if _counted(ledger, mid, height, violation, node):
        return meter
    if ledger.view.get(Table.LOT, height_key(mid, height)) is not None:
        meter = replace(meter, life_actions=meter.life_actions + 1)
    number, time = meter.messages + 1, transaction.payload.time
    agreed: AgreementRow | None = ledger.view.get(Table.AGREEMENT, mid)
    state, done, amount = meter.state, Done(0), 0
    if agreed is not None:
        action = agreed_action(agreed.agreement, violation)
        meter, done, amount = _carry_out(ledger, transaction, mid, meter, action, number, told=told)
    row = MessageRow(
        *(height, EntryKind.VIOLATION, int(Message.VIOLATION_RECORDED), int(violation), time, time, state),
        *((transaction.id,), 1, int(done), amount),
    )
    meter = add_message(ledger, mid, meter, row)
    finding = FindingRow(
        *(int(violation), height, time, transaction.id, node, 1, int(done), amount),
        *(FindingState.RECORDED, b"", b""),
    )
    ledger.view.put(Table.FINDING, height_key(mid, number), finding)
    ledger.view.put(Table.OPEN_FINDING, open_finding_key(mid, violation), OpenFindingRow(number))
    return meter


def close_finding(ledger: Ledger, mid: bytes, violation: Violation) -> None:
    """The cause of a violation is gone: the next of its type is a new one."""
    key = open_finding_key(mid, violation)
    if ledger.view.get(Table.OPEN_FINDING, key) is not None:
        ledger.view.delete(Table.OPEN_FINDING, key)


def move_money(
    ledger: Ledger,
    transaction: Transaction,
    mid: bytes,
    meter: MeterRow,
    kind: CommandKind,
    amount: int,
    number: int,
) -> MeterRow | None:
    """Take a PENALTY or give a COMPENSATION, and tell the meter; return the meter's row (unwritten).

    None, and nothing changed, where the account cannot hold it. `number` is the finding's.
    """
    account: Account | None = ledger.view.get(Table.ACCOUNT, mid)
    if account is None:
        return None
    exhausted: tuple[int, ...] = ()
    owed = debt_document(account.debt)
    try:
        if kind is CommandKind.PENALTY:
            account, exhausted = collect(account, amount)
        else:
            account = compensate(account, amount)
    except TariffError:
        return None
    ledger.view.put(Table.ACCOUNT, mid, account)
    time = transaction.payload.time
    meter = complete(ledger, mid, meter, exhausted, heights(account.lots), LockReason.FINISHED, time)
    return order(ledger, mid, meter, kind, transaction, number, amount, owed)


def _counted(ledger: Ledger, mid: bytes, height: int, violation: Violation, node: bytes) -> bool:
    """Count an identical finding that is open; return whether there is one."""
    last: OpenFindingRow | None = ledger.view.get(Table.OPEN_FINDING, open_finding_key(mid, violation))
    if last is None:
        return False
    key = height_key(mid, last.number)
    finding: FindingRow = ledger.view.get(Table.FINDING, key)
    if (finding.height, finding.node) != (height, node) or finding.state is FindingState.REVERSED:
        return False
    ledger.view.put(Table.FINDING, key, replace(finding, count=finding.count + 1))
    waiting: MessageRow | None = ledger.view.get(Table.MESSAGE, key)
    if waiting is not None:
        ledger.view.put(Table.MESSAGE, key, replace(waiting, count=waiting.count + 1))
    return True


def _carry_out(
    ledger: Ledger,
    transaction: Transaction,
    mid: bytes,
    meter: MeterRow,
    action: AgreedAction,
    number: int,
    *,
    told: bool,
) -> tuple[MeterRow, Done, int]:
    """Do what is agreed; return the meter's row, what was done, and the money that it moved."""
    done, amount = Done(0), 0
    if action.kind is not ActionKind.NONE:
        moved = move_money(ledger, transaction, mid, meter, MONEY[action.kind], action.amount, number)
        if moved is not None:
            meter, amount, done = moved, action.amount, Done(int(action.kind))
    if action.notice:
        done |= Done.NOTICE
        if not told:
            text = NOTICES.get(action.violation, Message.VIOLATION_RECORDED)
            meter = order(ledger, mid, meter, CommandKind.MESSAGE, transaction, int(text))
    if action.cut_off:
        done |= Done.CUT_OFF
        meter = order(ledger, mid, meter, CommandKind.DISCONNECT, transaction, number)
    return meter, done, amount
