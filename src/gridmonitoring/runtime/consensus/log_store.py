"""The transaction log over a validator's file: rebuilt at start, tiles and ID segments as they fill.

Left out: what the transactions say.
"""

from __future__ import annotations

from hashlib import sha256

from gridmonitoring.blockchain.log import TILE_WIDTH, TransactionLog
from gridmonitoring.blockchain.merkle import GetNode, inclusion_proof
from gridmonitoring.blockchain.merkle import consistency_proof as merkle_consistency_proof
from gridmonitoring.encoding.hashes import sha256 as sha256_of
from gridmonitoring.encoding.hashes import sha256d
from gridmonitoring.errors import MerkleError, Tampered
from gridmonitoring.keys.signatures import split
from gridmonitoring.runtime.storage.truth import ID_PREFIX, SEGMENT, Truth, build_segment, decode_body


class LogStore:
    """The log's growing end, with the tiles and ID segments that are on disk."""

    def __init__(self, truth: Truth) -> None:
        self._truth = truth
        self._unsaved_tiles: dict[tuple[int, int], bytes] = {}
        self.log = self._rebuilt()
        """The log at the last decided block."""
        self._recent: list[tuple[bytes, int]] | None = None

    def _rebuilt(self) -> TransactionLog:
        height = self._truth.height()
        last = self._truth.block(height) if height else None
        size = last.header.first + last.header.count if last else 0
        start = size - size % TILE_WIDTH
        tail = [sha256(b"\0" + raw).digest() for raw in self._transactions_from(start, size)]
        try:
            return TransactionLog.rebuilt(size, self._saved_tile, tail)
        except MerkleError as error:
            raise Tampered("tile", f"log of {size}", str(error)) from error

    def _transactions_from(self, start: int, size: int) -> list[bytes]:
        """Return the transactions from a log index to the end."""
        found: list[bytes] = []
        height = self._truth.height()
        first = size
        while first > start:
            block = self._truth.block(height)
            if block is None:
                raise Tampered("block", str(height), "is missing")
            body = decode_body(block.body)
            first = block.header.first
            found[:0] = body[max(start - first, 0) :]
            height -= 1
        return found

    def _saved_tile(self, level: int, number: int) -> bytes:
        unsaved = self._unsaved_tiles.get((level, number))
        if unsaved is not None:
            return unsaved
        tile = self._truth.tile(level, number)
        if tile is None:
            raise Tampered("tile", f"{level}/{number}", "is missing")
        return tile

    def advance(
        self, log: TransactionLog, ids: list[bytes]
    ) -> tuple[list[tuple[int, int, bytes]], list[tuple[int, bytes]]]:
        """Make a decided block's log the present one; return the tiles and segments to write."""
        first = self.log.size
        self.log = log
        tiles = [(tile.level, tile.index, tile.hashes) for tile in log.take_tiles()]
        for level, number, hashes in tiles:
            self._unsaved_tiles[level, number] = hashes
        recent = self._recent_ids(first)
        recent += [(identifier, first + offset) for offset, identifier in enumerate(ids)]
        segments = []
        while len(recent) >= SEGMENT:
            segments.append((recent[0][1] // SEGMENT, build_segment(recent[:SEGMENT])))
            del recent[:SEGMENT]
        return tiles, segments

    def saved(self, tiles: list[tuple[int, int, bytes]]) -> None:
        """Note that tiles are on disk."""
        for level, number, _ in tiles:
            self._unsaved_tiles.pop((level, number), None)

    def _recent_ids(self, size: int) -> list[tuple[bytes, int]]:
        """Return (ID, index) of the transactions after the last full segment, in order."""
        if self._recent is None:
            start = size - size % SEGMENT
            raws = self._transactions_from(start, size) if size else []
            self._recent = [(sha256d(split(raw)[0]), start + offset) for offset, raw in enumerate(raws)]
        return self._recent

    def find(self, identifier: bytes) -> int | None:
        """Return the log index of a transaction ID, or None."""
        for known, index in self._recent_ids(self.log.size):
            if known == identifier:
                return index
        for index in self._truth.find(identifier[:ID_PREFIX]):
            if sha256d(split(self._truth.transaction(index))[0]) == identifier:
                return index
        return None

    def get_node(self) -> GetNode:
        """Return the reader of the tree's nodes for proofs."""
        return self.log.node_reader(self._saved_tile)

    def inclusion(self, index: int, size: int) -> tuple[bytes, ...]:
        """Return the proof that the entry at `index` is in the log of `size` entries."""
        return tuple(inclusion_proof(index, size, self.get_node(), sha256_of))

    def consistency(self, size1: int, size2: int) -> tuple[bytes, ...]:
        """Return the proof that the log of `size2` entries extends that of `size1`."""
        return tuple(merkle_consistency_proof(size1, size2, self.get_node(), sha256_of))
