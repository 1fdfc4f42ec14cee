"""Blocks inside evidence: a parent block with its lock and life, a side block with its parent (V-B, V-C).

What a block's checks compare with the chain's state as it stood then (the previous hash, the target,
the side blocks before) is what validators compared it with before they logged it; here it is checked
as far as the bundle shows it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from gridmonitoring.blockchain.bodies import AppendSideBlock, Form, Lock, PurchaseRequest
from gridmonitoring.blockchain.evidence_contents import Entry, Proven, RowKey, party_key_at, party_of, require
from gridmonitoring.blockchain.header import Header, block_hash, check_header, decode_header
from gridmonitoring.blockchain.merkle import CompactRange, leaf_hash, range_root
from gridmonitoring.blockchain.parent_block import (
    ParentBlock,
    check_parent,
    decode_parent,
    parent_format,
)
from gridmonitoring.blockchain.parent_block import with_size as parent_with_size
from gridmonitoring.blockchain.side_block import (
    RULES,
    SideBlock,
    decode_side,
    extended_range,
    first_previous,
    nsig_message,
    side_format,
    side_kinds,
)
from gridmonitoring.blockchain.side_block import with_size as side_with_size
from gridmonitoring.blockchain.state_rows import BlockRow, SideRow, Table, height_key
from gridmonitoring.encoding.hashes import sha256d
from gridmonitoring.keys.signatures import verify_signature


class LockedBlock(NamedTuple):
    """A parent block, the transaction that locked it and its row."""

    lock: Entry
    """The lock."""
    body: Lock
    """Its body."""
    block: ParentBlock
    """The block."""
    header: Header
    """Its header."""


def locked_block(proven: Proven) -> LockedBlock:
    """Return the block that the bundle's last transaction locked, as its row has it.

    Raises an `EncodingError` or `BlockError`.
    """
    lock = proven.transactions[-1]
    body: Lock = lock.transaction.payload.body
    block = decode_parent(body.block)
    row = proven.row(Table.BLOCK, height_key(body.mid, body.height), BlockRow)
    require(
        row == BlockRow(block_hash(block.header), block.format, lock.index), "the row is of another block"
    )
    require(block.body.data.mid == body.mid, "the block is another meter's")
    require(block.body.data.node == lock.transaction.payload.signer, "the block was built by another node")
    require(block.body.area == proven.genesis.area, "the block is of another area")
    return LockedBlock(lock, body, block, decode_header(block.header))


def check_life(proven: Proven, locked: LockedBlock, life: Sequence[Entry]) -> None:
    """Recompute the header from the block's whole life; check Nsig and nonce.

    Raises an `EncodingError`, `BlockError` or `BadSignature`.
    """
    peaks = CompactRange()
    for entry in life:
        peaks = peaks.append(leaf_hash(entry.transaction.raw, sha256d), sha256d)
    previous = locked.header.previous if locked.body.height else proven.chain_id
    node_key = party_key_at(proven, party_of(locked.lock), locked.lock.index)
    check_parent(
        proven.chain_id,
        locked.block,
        previous,
        locked.header.target,
        (peaks.size, peaks.peaks),
        node_key,
        verify_signature,
    )
    begun = [entry for entry in life if _begins(proven, locked, entry)]
    require(len(begun) == 1, "no transaction of the life began this block")
    require(begun[0].index == locked.block.body.log_size, "the block began at another place of the log")


def check_locked_form(proven: Proven, locked: LockedBlock, form: Entry, request: PurchaseRequest) -> None:
    """Check that a locked block is this form's, and says of it what the form does.

    Raises an `EncodingError` or `BlockError`.
    """
    body: Form = form.transaction.payload.body
    block = locked.block.body
    require(locked.block.size == parent_with_size(locked.block).size, "the block's size is wrong")
    require(locked.header.timestamp == block.timestamps.tpt, "the header is of another time")
    check_header(locked.header)
    require(_begins(proven, locked, form) and block.log_size == form.index, "the block is another form's")
    said = (
        *(block.timestamps.ttp, block.timestamps.tpt, block.amount),
        *(block.data.house, block.data.energy, block.tariff, block.script, block.dispatch, block.replaces),
    )
    require(
        said
        == (
            *(request.time, form.transaction.payload.time, request.amount),
            *(body.house, body.energy, body.tariff, body.script, body.dispatch, body.replaces),
        ),
        "the block says something else of the purchase than the form",
    )


def check_message(proven: Proven, entry: Entry, parent: RowKey) -> None:
    """Check a side block by itself, and its Merkle root where it is the first or last of its parent.

    Raises an `EncodingError`, `BlockError` or `BadSignature`.
    """
    body: AppendSideBlock = entry.transaction.payload.body
    block = _side_block(body.block)
    header = decode_header(block.header)
    row = proven.row(*parent, SideRow)
    require(block.body.mid == body.mid, "the side block is another meter's")
    require(block.body.node == entry.transaction.payload.signer, "the side block was built by another node")
    require(
        block.format == side_format(row.format, block.body.entries), "the format is not that of this parent"
    )
    kinds = RULES.to_bytes(2, "big") + side_kinds(block.body.entries).to_bytes(2, "big")
    require(header.version == kinds, "the version does not name these rules and kinds of report")
    require(header.timestamp == block.body.blocklocktime, "the header is of another time")
    message = nsig_message(proven.chain_id, block.format, header.previous, block.body)
    node_key = party_key_at(proven, party_of(entry), entry.index)
    verify_signature(node_key, message, block.body.nsig)
    check_header(header)
    if header.previous == first_previous(row.format):
        peaks = extended_range(0, b"", block.format, block.body)
        require(
            header.merkle_root == range_root(1, peaks, sha256d), "the root is not over the first side block"
        )
    if row.last == block_hash(block.header):
        require(
            header.merkle_root == range_root(row.count, row.peaks, sha256d), "the root is not that of the row"
        )
        require(block.body.action_counter == row.actions, "the action counter is not that of the row")


def _side_block(data: bytes) -> SideBlock:
    block = decode_side(data)
    require(block.size == side_with_size(block).size, "the side block's size is wrong")
    return block


def _begins(proven: Proven, locked: LockedBlock, entry: Entry) -> bool:
    """Tell whether a transaction is the one that the block's ID is made of."""
    made = parent_format(proven.chain_id, locked.body.mid, locked.body.height, entry.transaction.id)
    return made == locked.block.format
