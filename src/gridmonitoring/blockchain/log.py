"""The transaction log: one append-only RFC 9162 tree with SHA-256 over the whole chain (docs/spec/log.md).

This is "the hashes of all the events in the network" that each block refers to (paper V-B). Nodes
are laid out in tiles of 256 hashes as in C2SP tlog-tiles: tile n of level l holds the roots of 256
runs of 256^l leaves, so level 0 is leaf hashes and each tile is a subtree of height 8. Only complete
tiles are kept by the caller; the unfinished one of each level is here, and after a restart it is made
again from the complete tiles below it and the last transactions.

Left out: tile paths and serving them; where tiles are kept, which is a function that is passed in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct

from gridmonitoring.blockchain.merkle import CompactRange, GetNode, append_leaf, range_root, root
from gridmonitoring.encoding.hashes import sha256
from gridmonitoring.errors import MerkleError

TILE_WIDTH = 256
"""Hashes in a complete tile."""
TILE_SIZE = 32 * TILE_WIDTH
"""Bytes of a complete tile."""

GetTile = Callable[[int, int], bytes]
"""(tile level, tile index) to the hashes of that tile, 32 bytes each, as many as there are so far."""


class Tile(Struct, frozen=True, gc=False):
    """A complete tile; it never changes."""

    level: int
    """Tile level: a hash in it stands for 256^level leaves."""
    index: int
    """Number of the tile within its level."""
    hashes: bytes
    """256 hashes of 32 bytes."""


class TransactionLog:
    """The growing end of the log: root, frontier and unfinished tiles.

    A few kilobytes however long the log is. A proposal is tried on a `copy`, which is kept or dropped.
    """

    __slots__ = ("_complete", "_peaks", "_tails", "size")

    def __init__(self) -> None:
        """Start an empty log."""
        self.size = 0
        """Number of leaves."""
        # For each tile level the hashes of its unfinished tile, and the peaks of these hashes.
        self._tails: list[bytearray] = []
        self._peaks: list[bytes] = []
        self._complete: list[Tile] = []

    @classmethod
    def rebuilt(cls, size: int, get_tile: GetTile, tail: Iterable[bytes]) -> TransactionLog:
        """Return the log of `size` leaves from its complete tiles and the leaf hashes after them.

        `tail` is the last size mod 256 leaf hashes. Raises `MerkleError` where there are more or
        fewer, or a tile is not complete; that the root is the committed one is the caller's to check.
        """
        log = cls()
        log._push(())
        level, above = 0, size // TILE_WIDTH
        while above:
            first = above - above % TILE_WIDTH
            log._push(tile_root(get_tile(level, index)) for index in range(first, above))
            level, above = level + 1, above // TILE_WIDTH
        log.size = size - size % TILE_WIDTH
        for leaf in tail:
            log.append(leaf)
        if log.size != size or log._complete:
            raise MerkleError(f"the hashes after the last tile make a log of {log.size} leaves, not {size}")
        return log

    def append(self, leaf: bytes) -> None:
        """Add the hash of the next leaf, 32 bytes."""
        node, level = leaf, 0
        while True:
            if level == len(self._tails):
                self._push(())
            tail = self._tails[level]
            peaks = append_leaf(len(tail) >> 5, self._peaks[level], node, sha256)
            tail += node
            if len(tail) < TILE_SIZE:
                self._peaks[level] = peaks
                break
            self._complete.append(Tile(level, self.size >> 8 * (level + 1), bytes(tail)))
            self._tails[level] = bytearray()
            self._peaks[level] = b""
            node = peaks  # the one peak of a complete tile is its root, a hash of the level above
            level += 1
        self.size += 1

    def extend(self, leaves: Sequence[bytes]) -> None:
        """Add the hashes of the next leaves, as `append` one by one would: all but a tile's last at once."""
        at = 0
        while at < len(leaves):
            if self.size % TILE_WIDTH:
                self.append(leaves[at])
                at += 1
                continue
            if not self._tails:
                self._push(())
            part = leaves[at : at + TILE_WIDTH - 1]
            self._tails[0] = bytearray(b"".join(part))
            self._peaks[0] = _peaks_of(part)
            self.size += len(part)
            at += len(part)

    def frontier(self) -> CompactRange:
        """Return size and peaks, all that an appending verifier needs."""
        return CompactRange(self.size, b"".join(reversed(self._peaks)))

    def root(self) -> bytes:
        """Return the root of the tree, 32 bytes."""
        return range_root(self.size, b"".join(reversed(self._peaks)), sha256)

    def copy(self) -> TransactionLog:
        """Return a log that grows on its own from here."""
        other = TransactionLog()
        other.size = self.size
        other._tails = [bytearray(tail) for tail in self._tails]
        other._peaks = self._peaks.copy()
        other._complete = self._complete.copy()
        return other

    def take_tiles(self) -> list[Tile]:
        """Return the tiles completed since the last call, lower levels first, for the caller to keep."""
        tiles, self._complete = self._complete, []
        return tiles

    def tile_reader(self, get_complete: GetTile) -> GetTile:
        """Return a function that reads unfinished tiles from this log and others from `get_complete`.

        It follows the log as it grows; every tile that was completed has been taken and kept.
        """

        def get_tile(level: int, index: int) -> bytes:
            if index == self.size >> 8 * (level + 1) and level < len(self._tails):
                return bytes(self._tails[level])
            return get_complete(level, index)

        return get_tile

    def node_reader(self, get_complete: GetTile) -> GetNode:
        """Return `get_node` of the log's tree for proofs at any size up to the present one."""
        return node_reader(self.tile_reader(get_complete))

    def _push(self, hashes: Iterable[bytes]) -> None:
        """Add the next tile level with these hashes in its unfinished tile."""
        tail, peaks = bytearray(), b""
        for item in hashes:
            peaks = append_leaf(len(tail) >> 5, peaks, item, sha256)
            tail += item
        self._tails.append(tail)
        self._peaks.append(peaks)


def node_reader(get_tile: GetTile) -> GetNode:
    """Return `get_node` on tiles, complete or not.

    It raises `MerkleError` where a tile does not reach as far as the node asked for.
    """

    def get_node(level: int, index: int) -> bytes:
        tile_level, height = divmod(level, 8)
        first = index << height
        start = 32 * (first % TILE_WIDTH)
        hashes = get_tile(tile_level, first // TILE_WIDTH)[start : start + (32 << height)]
        if len(hashes) != 32 << height:
            raise MerkleError(f"tile {first // TILE_WIDTH} of level {tile_level} is too short")
        return _root_of(hashes)

    return get_node


def tile_root(hashes: bytes) -> bytes:
    """Return the root of a complete tile; raises `MerkleError` where it is not complete."""
    if len(hashes) != TILE_SIZE:
        raise MerkleError(f"a tile of {len(hashes)} bytes is not complete")
    return _root_of(hashes)


def _peaks_of(leaves: Sequence[bytes]) -> bytes:
    """Return the peaks of a tree of these leaf hashes."""
    nodes, peaks, hash_of = list(leaves), b"", hashlib.sha256
    while nodes:
        if len(nodes) % 2:
            peaks = nodes.pop() + peaks
        pairs = zip(nodes[::2], nodes[1::2], strict=True)
        nodes = [hash_of(b"\x01" + left + right).digest() for left, right in pairs]
    return peaks


def _root_of(hashes: bytes) -> bytes:
    return root([hashes[at : at + 32] for at in range(0, len(hashes), 32)], sha256)
