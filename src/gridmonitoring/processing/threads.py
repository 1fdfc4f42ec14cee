"""Threads: whose life a transaction belongs to, and when a parent block is complete (II-A, V-B).

A block's life is every transaction about its meter, from its form to the one that exhausts its
lot. What comes between a lock and the next form belongs to the next parent. The running block's
range is kept in the meter's row, because every report extends it; those of waiting lots are in
their own rows.
"""

from __future__ import annotations

from msgspec.structs import replace

from gridmonitoring.blockchain.ledger import Ledger, refuse
from gridmonitoring.blockchain.merkle import append_leaf
from gridmonitoring.blockchain.parent_block import LockReason, parent_format
from gridmonitoring.blockchain.state_rows import (
    CommandKind,
    CommandRow,
    DueRow,
    EntryKind,
    LotRow,
    MessageRow,
    MeterRow,
    Table,
    height_key,
)
from gridmonitoring.blockchain.transactions import Transaction
from gridmonitoring.contracts.messages import Message
from gridmonitoring.encoding.hashes import sha256, sha256d

NO_HASH = bytes(32)
"""Stands where an installation block has no tariff or script yet."""


def meter_of(ledger: Ledger, mid: bytes) -> MeterRow:
    """Return a meter's row; raises `Refused` (unknown_meter)."""
    meter: MeterRow | None = ledger.view.get(Table.METER, mid)
    if meter is None:
        refuse("unknown_meter", f"no meter {mid.hex()[:8]} on this chain")
    return meter


def life_leaf(transaction: Transaction) -> bytes:
    """Return a transaction's leaf in a block's life, sha256d(0x00 || raw): one hash past the log's leaf."""
    return sha256(transaction.leaf)


def live(meter: MeterRow, transaction: Transaction) -> MeterRow:
    """Return the meter's row with a transaction appended to the running block's life."""
    peaks = append_leaf(meter.life_size, meter.life_peaks, life_leaf(transaction), sha256d)
    return replace(meter, life_size=meter.life_size + 1, life_peaks=peaks)


def live_on(ledger: Ledger, mid: bytes, transaction: Transaction) -> MeterRow:
    """Append a transaction to the running life of a thread and write the row; return it."""
    meter = live(meter_of(ledger, mid), transaction)
    ledger.view.put(Table.METER, mid, meter)
    return meter


def running_lot(ledger: Ledger, mid: bytes, meter: MeterRow) -> LotRow | None:
    """Return the lot being drawn, or None between a lock and the next form."""
    lot: LotRow | None = ledger.view.get(Table.LOT, height_key(mid, meter.height))
    return lot


def open_lot(ledger: Ledger, mid: bytes, meter: MeterRow, lot: LotRow, transaction: Transaction) -> MeterRow:
    """Begin a parent block with its form; return the meter's row (unwritten).

    Where no lot is being drawn its life continues what came since the last lock; else it waits
    with a life of its own.
    """
    height = meter.next_height
    if meter.height == height:
        meter = live(meter, transaction)
    else:
        peaks = life_leaf(transaction)
        lot = replace(lot, life_size=1, life_peaks=peaks)
    lot = replace(lot, format=parent_format(ledger.chain.id, mid, height, lot.form))
    ledger.view.put(Table.LOT, height_key(mid, height), lot)
    return replace(meter, next_height=height + 1)


def complete(
    ledger: Ledger,
    mid: bytes,
    meter: MeterRow,
    heights: tuple[int, ...],
    waiting: tuple[int, ...],
    reason: LockReason,
    time: int,
) -> MeterRow:
    """End the blocks at these heights; return the meter's row (unwritten) with the next one running.

    `waiting` are the heights of the lots left, in order.
    """
    for height in heights:
        key = height_key(mid, height)
        lot: LotRow = ledger.view.get(Table.LOT, key)
        if height == meter.height:
            lot = replace(
                lot,
                life_size=meter.life_size,
                life_peaks=meter.life_peaks,
                actions=lot.actions + meter.life_actions,
            )
            meter = _run_next(ledger, mid, meter, waiting)
        tpf = time if reason == LockReason.FINISHED else lot.tpf
        ledger.view.put(
            Table.LOT, key, replace(lot, tpf=tpf, last_time=max(time, lot.last_time), reason=int(reason))
        )
        ledger.view.put(Table.DUE, key, DueRow(lot.node, time))
    return meter


def _run_next(ledger: Ledger, mid: bytes, meter: MeterRow, waiting: tuple[int, ...]) -> MeterRow:
    if not waiting:
        return replace(meter, height=meter.next_height, life_size=0, life_peaks=b"", life_actions=0)
    lot: LotRow = ledger.view.get(Table.LOT, height_key(mid, waiting[0]))
    return replace(
        meter, height=waiting[0], life_size=lot.life_size, life_peaks=lot.life_peaks, life_actions=0
    )


def newest_parent(meter: MeterRow) -> int:
    """Return the height a contract message goes to: the lot being drawn, else the newest parent."""
    return min(meter.height, meter.next_height - 1)


def tell(
    ledger: Ledger, mid: bytes, meter: MeterRow, message: Message, evidence: bytes, time: int, state: int
) -> MeterRow:
    """Put a state message in the contract database; return the meter's row (unwritten)."""
    row = MessageRow(
        newest_parent(meter), EntryKind.STATE, int(message), 0, 0, time, state, (evidence,), 1, 0, 0
    )
    return add_message(ledger, mid, meter, row)


def add_message(ledger: Ledger, mid: bytes, meter: MeterRow, row: MessageRow) -> MeterRow:
    """Put a message in the contract database; return the meter's row (unwritten)."""
    number = meter.messages + 1
    ledger.view.put(Table.MESSAGE, height_key(mid, number), row)
    return replace(meter, messages=number)


def order(
    ledger: Ledger,
    mid: bytes,
    meter: MeterRow,
    kind: CommandKind,
    cause: Transaction,
    height: int = 0,
    amount: int = 0,
    document: bytes = b"",
) -> MeterRow:
    """Write the next command to a meter as a row of the state; return the meter's row (unwritten)."""
    number = meter.commands + 1
    time = cause.payload.time
    row = CommandRow(
        kind, meter.epoch, cause.id, time, time + ledger.parameters().command_expiry, height, amount, document
    )
    ledger.view.put(Table.COMMAND, height_key(mid, number), row)
    return replace(meter, commands=number)
