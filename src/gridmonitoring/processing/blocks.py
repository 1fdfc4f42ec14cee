"""Locking parent blocks and appending side blocks (paper IV-C, IV-D, V-B, V-C).

Any active node may send either; the first in order wins, a repeat is refused as `already_locked`
and harms nothing, a stale side block is rebuilt by its sender. What a block must say follows from
the state, so validators rebuild and compare it; only NID, Nsig and nonce are the builder's.

Left out: when a node tries (the form's node at once, the k-th after it 2k seconds later), which is
`runtime.node`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from gridmonitoring.blockchain.bodies import AppendSideBlock, Lock
from gridmonitoring.blockchain.ledger import Ledger, party_in_force, refuse
from gridmonitoring.blockchain.merkle import range_root
from gridmonitoring.blockchain.parent_block import (
    Data,
    LockReason,
    ParentBody,
    Timestamps,
    check_parent,
    decode_parent,
)
from gridmonitoring.blockchain.side_block import (
    MAX_ENTRIES,
    Entry,
    SideBody,
    check_side,
    decode_side,
    extended_range,
    first_previous,
)
from gridmonitoring.blockchain.state_rows import (
    BlockRow,
    EntryKind,
    LotRow,
    MessageRow,
    SideRow,
    SupplyPointRow,
    Table,
    height_key,
)
from gridmonitoring.blockchain.transactions import Transaction
from gridmonitoring.encoding.bounds import Role
from gridmonitoring.encoding.hashes import sha256d
from gridmonitoring.errors import BadSignature, BlockError, Refused
from gridmonitoring.processing.conduct import note_takeover

GetRow = Callable[[Table, bytes], Any]
"""Reads a row of the state: (table, key) -> struct or None."""


def parent_draft(get: GetRow, area: str, mid: bytes, height: int, node: bytes) -> ParentBody:
    """Return the body that a parent block at this height must have, without Nsig.

    Raises `Refused` (not_complete) where its lot is not complete.
    """
    lot: LotRow | None = get(Table.LOT, height_key(mid, height))
    if lot is None or lot.reason == LockReason.OPEN:
        refuse("not_complete", f"block {height} of this thread is not complete")
    point: SupplyPointRow = get(Table.SUPPLY_POINT, mid)
    side: SideRow | None = get(Table.SIDE, height_key(mid, height))
    return ParentBody(
        lot.actions,
        Timestamps(lot.ttp, lot.tpt, lot.tpr, lot.tprt, lot.tpf),
        Data(mid, point.house, lot.energy, node, b""),
        lot.last_time,
        area,
        lot.amount,
        lot.tariff,
        lot.script,
        lot.dispatch,
        lot.log_root,
        lot.log_size,
        range_root(side.count, side.peaks, sha256d) if side else sha256d(b""),
        lot.reason,
        lot.replaces,
    )


def previous_parent(get: GetRow, chain_id: bytes, mid: bytes, height: int) -> bytes:
    """Return the hash a parent block must point at; the first points at genesis.

    Raises `Refused` (out_of_order) where the block before is not locked.
    """
    if height == 0:
        return chain_id
    row: BlockRow | None = get(Table.BLOCK, height_key(mid, height - 1))
    if row is None:
        refuse("out_of_order", f"block {height - 1} of this thread is not locked yet")
    return row.block_hash


def lock(ledger: Ledger, transaction: Transaction) -> None:
    """Validate a complete parent block, lock it and append it to its thread.

    Raises `Refused` (already_locked, not_complete, out_of_order, wrong_block, wrong_node).
    """
    payload = transaction.payload
    body: Lock = payload.body
    key = height_key(body.mid, body.height)
    if ledger.view.get(Table.BLOCK, key) is not None:
        refuse("already_locked", f"block {body.height} of this thread is locked")
    get = ledger.view.get
    draft = parent_draft(get, ledger.chain.genesis.area, body.mid, body.height, payload.signer)
    previous = previous_parent(get, ledger.chain.id, body.mid, body.height)
    lot: LotRow = get(Table.LOT, key)
    node = party_in_force(ledger, Role.NODE, payload.signer)
    target = ledger.parameters().target
    try:
        block = decode_parent(body.block)
        if (
            replace(block.body, data=replace(block.body.data, nsig=b"")) != draft
            or block.format != lot.format
        ):
            raise BlockError("format or body is not what the ledger says of this block")
        life = (lot.life_size, lot.life_peaks)
        block_hash = check_parent(ledger.chain.id, block, previous, target, life, node.sign_key, ledger.check)
    except (BlockError, BadSignature) as error:
        raise Refused("wrong_block", str(error)) from error
    ledger.view.put(Table.BLOCK, key, BlockRow(block_hash, lot.format, ledger.log_size))
    note_takeover(ledger, ledger.view.get(Table.DUE, key), payload.signer, payload.time)
    ledger.view.delete(Table.LOT, key)
    ledger.view.delete(Table.DUE, key)


def parent_format_at(get: GetRow, mid: bytes, height: int) -> bytes:
    """Return the ID of a parent, open or locked; raises `Refused` (unknown_block)."""
    row: LotRow | BlockRow | None = get(Table.LOT, height_key(mid, height)) or get(
        Table.BLOCK, height_key(mid, height)
    )
    if row is None:
        refuse("unknown_block", f"this thread has no block {height}")
    return row.format


def side_draft(get: GetRow, mid: bytes, height: int, node: bytes, numbers: list[int]) -> SideBody:
    """Return the body of a side block that holds these pending messages, without Nsig.

    Raises `Refused` (unknown_message) where one is not pending for this parent.
    """
    if not 0 < len(numbers) <= MAX_ENTRIES or numbers != sorted(set(numbers)):
        refuse("unknown_message", f"a side block holds 1 to {MAX_ENTRIES} messages in order of their numbers")
    entries = []
    for number in numbers:
        message: MessageRow | None = get(Table.MESSAGE, height_key(mid, number))
        if message is None or message.height != height:
            refuse("unknown_message", f"message {number} is not pending for block {height}")
        entries.append(Entry(number, message))
    side: SideRow | None = get(Table.SIDE, height_key(mid, height))
    point: SupplyPointRow = get(Table.SUPPLY_POINT, mid)
    violations = sum(entry.message.kind == EntryKind.VIOLATION for entry in entries)
    last = max(max(entry.message.tsm, entry.message.tsv) for entry in entries)
    return SideBody(
        (side.actions if side else 0) + violations, mid, point.house, tuple(entries), node, b"", last
    )


def append_side_block(ledger: Ledger, transaction: Transaction) -> None:
    """Validate a side block and append it to its parent (V-C).

    Raises `Refused` (unknown_block, unknown_message, wrong_block).
    """
    payload = transaction.payload
    body: AppendSideBlock = payload.body
    key = height_key(body.mid, body.height)
    get = ledger.view.get
    parent = parent_format_at(get, body.mid, body.height)
    side: SideRow = get(Table.SIDE, key) or SideRow(parent, 0, b"", b"", 0)
    previous = side.last or first_previous(parent)
    node = party_in_force(ledger, Role.NODE, payload.signer)
    siblings = (side.count, side.peaks)
    try:
        block = decode_side(body.block)
        draft = side_draft(
            get, body.mid, body.height, payload.signer, [entry.number for entry in block.body.entries]
        )
        if replace(block.body, nsig=b"") != draft:
            raise BlockError("the body is not what the ledger says of these messages")
        block_hash = check_side(
            ledger.chain.id,
            block,
            parent,
            previous,
            ledger.parameters().target,
            siblings,
            node.sign_key,
            ledger.check,
        )
    except (BlockError, BadSignature) as error:
        raise Refused("wrong_block", str(error)) from error
    peaks = extended_range(*siblings, block.format, block.body)
    ledger.view.put(
        Table.SIDE, key, SideRow(parent, side.count + 1, peaks, block_hash, block.body.action_counter)
    )
    for entry in block.body.entries:
        ledger.view.delete(Table.MESSAGE, height_key(body.mid, entry.number))
