"""Whether the threads of a log hang together: links, roots and action counters (paper II-A, V-B, V-C).

Nodes monitor the blocks, "parent and side ones included". Fed with the log in order, this follows each thread
from lock to lock and from side block to side block, by what the blocks themselves say.

Left out: signatures, nonces, and what a block must contain, which validators checked before they signed
(`processing.blocks`); threads beyond the `REMEMBERED` that moved last, which are taken up where they go on.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TypeVar

from msgspec import Struct

from gridmonitoring.blockchain.bodies import AppendSideBlock, Lock
from gridmonitoring.blockchain.header import block_hash, decode_header
from gridmonitoring.blockchain.merkle import range_root
from gridmonitoring.blockchain.parent_block import ParentBlock, decode_parent
from gridmonitoring.blockchain.side_block import SideBlock, decode_side, extended_range, first_previous
from gridmonitoring.blockchain.state_rows import EntryKind
from gridmonitoring.encoding.hashes import sha256d
from gridmonitoring.errors import BlockError

REMEMBERED = 200_000
"""Threads, and parents with side blocks, of which the last block is kept in mind."""

V = TypeVar("V")


class _Sides(Struct, frozen=True):
    """The side blocks of one parent so far."""

    count: int
    peaks: bytes
    last: bytes
    actions: int


class ThreadCheck:
    """Follows the threads of one chain along its log."""

    def __init__(self, chain_id: bytes) -> None:
        self._chain_id = chain_id
        self._parents: OrderedDict[bytes, tuple[int, bytes]] = OrderedDict()
        self._sides: OrderedDict[tuple[bytes, int], tuple[bytes, _Sides]] = OrderedDict()
        self.parents = 0
        """Parent blocks followed."""
        self.side_blocks = 0
        """Side blocks followed."""

    def lock(self, body: Lock) -> None:
        """Follow a parent block: 1 size, 2 link to the one before, 3 root of its side blocks.

        Raises `BlockError`, which names thread and height.
        """
        block = decode_parent(body.block)
        header = decode_header(block.header)
        # 1
        if int.from_bytes(block.size, "big") != len(body.block):
            raise self._fault(body, f"has another size than its {len(body.block)} bytes")
        # 2
        known = self._parents.get(body.mid)
        if known is not None and known[0] != body.height - 1:
            raise self._fault(body, f"follows block {known[0]} of its thread")
        expected = self._chain_id if body.height == 0 else None if known is None else known[1]
        if expected is not None and header.previous != expected:
            raise self._fault(body, "has not the hash of the block before it")
        # 3
        self._require_sides(body, block)
        self._parents[body.mid] = (body.height, block_hash(block.header))
        _forget(self._parents, body.mid)
        self.parents += 1

    def _require_sides(self, body: Lock, block: ParentBlock) -> None:
        """Require the root of side blocks that a lock names to be that of those seen, if all were seen."""
        known = self._sides.get((body.mid, body.height))
        if known is None:
            return
        side = known[1]
        if block.body.side_root != range_root(side.count, side.peaks, sha256d):
            raise self._fault(body, "has another root of side blocks than the side blocks have")

    def side_block(self, body: AppendSideBlock) -> None:
        """Follow a side block: 1 size, 2 link, 3 root over its siblings, 4 action counter.

        Raises `BlockError`, which names thread and height.
        """
        block = decode_side(body.block)
        header = decode_header(block.header)
        # 1
        if int.from_bytes(block.size, "big") != len(body.block):
            raise self._fault(body, f"has a side block of another size than its {len(body.block)} bytes")
        # 2
        before = self._before(body, block, header.previous)
        if before is None:
            return
        # 3
        peaks = extended_range(before.count, before.peaks, block.format, block.body)
        if header.merkle_root != range_root(before.count + 1, peaks, sha256d):
            raise self._fault(body, "has a side block whose root is not that of all its side blocks")
        # 4
        violations = sum(entry.message.kind == EntryKind.VIOLATION for entry in block.body.entries)
        actions = before.actions + violations
        if block.body.action_counter != actions:
            raise self._fault(body, f"counts {block.body.action_counter} violations, not {actions}")
        after = _Sides(before.count + 1, peaks, block_hash(block.header), actions)
        key = (body.mid, body.height)
        self._sides[key] = (block.format[:8], after)
        _forget(self._sides, key)
        self.side_blocks += 1

    def _before(self, body: AppendSideBlock, block: SideBlock, previous: bytes) -> _Sides | None:
        """Return the siblings before a side block, or None where they are not in mind."""
        known = self._sides.get((body.mid, body.height))
        if known is not None:
            if previous != known[1].last or block.format[:8] != known[0]:
                raise self._fault(body, "has a side block that does not follow the last one")
            return known[1]
        first = first_previous(previous[:16])
        if previous != first or previous[:8] != block.format[:8]:
            return None
        return _Sides(0, b"", b"", 0)

    def _fault(self, body: Lock | AppendSideBlock, what: str) -> BlockError:
        return BlockError(f"block {body.height} of thread {body.mid.hex()[:8]} {what}")


def _forget(known: OrderedDict[V, tuple[int, bytes]] | OrderedDict[V, tuple[bytes, _Sides]], key: V) -> None:
    """Keep in mind what moved last."""
    known.move_to_end(key)
    if len(known) > REMEMBERED:
        known.popitem(last=False)
