"""What the parts of a truth should be, as digests in memory: derived once, compared with ever after (II-A).

Blocks are followed along their quorums by `signed_chain`, from whichever node has one that verifies; what
follows from them (places, tiles, segments, handovers) with them. Such rows never change, so afterwards a
node's copy is read and its digest compared: that is what makes watching cheap. Nothing of it is stored,
so nothing of it can be altered on a disk.

Left out: the state, which the application's tree is the reference of, and reading files (`watching`).
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import msgspec
from msgspec import Struct

from gridmonitoring.blockchain.bodies import Kind
from gridmonitoring.blockchain.transactions import decode_payload
from gridmonitoring.encoding.cbor import decode, encode
from gridmonitoring.errors import BlockError, EncodingError, Tampered
from gridmonitoring.keys.signatures import split
from gridmonitoring.processing.thread_check import ThreadCheck
from gridmonitoring.runtime.chain_check import REMEMBERED
from gridmonitoring.runtime.signature_checker import SignatureChecker
from gridmonitoring.runtime.signed_chain import LogEntry, SignedChain
from gridmonitoring.runtime.storage.tables import Values
from gridmonitoring.runtime.storage.truth import BlockHeader, Commit, StoredBlock

UNIT_BLOCKS = 64
"""Most blocks that are compared at once."""
UNIT_BYTES = 512 * 1024
"""With more bytes of transactions a unit is full."""

_PLAIN = msgspec.msgpack.Encoder()
_KIND_AT = slice(8, 12)
"""Where a logged transaction has the head of its payload, and in it the kind."""


def digest(rows: Any) -> bytes:
    """Return a digest of stored rows, whatever is in them; equal for equal rows alone."""
    return sha256(_PLAIN.encode(rows)).digest()


class Unit(Struct):
    """Some consecutive blocks."""

    first: int
    """Height of the first."""
    last: int
    """Height of the last."""
    begin: int
    """Log size before the first."""
    end: int
    """Log size after the last."""
    blocks: Any
    """SHA-256 over the digests of their rows so far."""
    starts: list[tuple[int, int]]
    """Their rows of `start`."""
    size: int
    """Bytes of transactions."""
    details: set[bytes]
    """Digests of rows of `detail` that were found good."""


class Reference:
    """Digests of all that follows from a chain's blocks so far."""

    def __init__(self, document: bytes) -> None:
        self.offered: dict[int, list[bytes]] = {}
        """Handovers that nodes have, by height; none is believed before it verifies."""
        self.chain = SignedChain(document, SignatureChecker(None, REMEMBERED), self.offered)
        self.threads = ThreadCheck(self.chain.chain.id)
        self.thread_faults: list[str] = []
        """Where a thread does not hang together, although a quorum signed it."""
        self.units: list[Unit] = []
        """All blocks, in order."""
        self.tiles: dict[int, list[bytes]] = {}
        """Level -> digest of each complete tile."""
        self.segments: list[bytes] = []
        """Digest of each full segment."""
        self.handovers: dict[int, bytes] = {}
        """Height -> encoded handover."""

    @property
    def height(self) -> int:
        """Height of the last block that was followed."""
        return self.chain.height

    def extend(self, row: Values) -> None:
        """Follow the next block as a node has it; raises `Tampered`, nothing having changed."""
        height, header, body, note = row
        if not isinstance(header, bytes) or not isinstance(body, bytes) or not isinstance(note, bytes):
            raise Tampered("block", str(height), "its columns are not bytes")
        try:
            block = StoredBlock(decode(header, BlockHeader), body, note)
        except EncodingError as error:
            raise Tampered("block", str(height), f"unreadable ({error})") from error
        if encode(block.header) != header:
            raise Tampered("block", str(height), "its header is not canonical")
        entries = self.chain.decode(body)
        self._keep(row, self.chain.apply(block, entries))
        if not isinstance(entries, EncodingError):
            self._follow_threads(entries)

    def _keep(self, row: Values, commit: Commit) -> None:
        header = commit.block.header
        if not self.units or self._is_full(self.units[-1]):
            height, size = header.height, header.first
            self.units.append(Unit(height, height, size, size, sha256(), [], 0, set()))
        unit = self.units[-1]
        unit.last, unit.end = header.height, header.first + header.count
        unit.blocks.update(digest(row))
        unit.details = set()
        unit.size += len(commit.block.body)
        if header.count:
            unit.starts.append((header.first, header.height))
        for level, _, hashes in commit.tiles:
            self.tiles.setdefault(level, []).append(sha256(hashes).digest())
        self.segments += [sha256(ids).digest() for _, ids in commit.segments]
        self.handovers.update(commit.handovers)

    def _is_full(self, unit: Unit) -> bool:
        return unit.last - unit.first + 1 >= UNIT_BLOCKS or unit.size >= UNIT_BYTES

    def _follow_threads(self, entries: Any) -> None:
        """Follow parent and side blocks; what is no report and short of reading is passed over."""
        for entry in entries:
            if _may_be_block(entry):
                payload = decode_payload(split(entry.raw)[0])
                try:
                    if payload.kind == Kind.LOCK:
                        self.threads.lock(payload.body)
                    elif payload.kind == Kind.SIDE_BLOCK:
                        self.threads.side_block(payload.body)
                except (BlockError, EncodingError) as error:
                    self.thread_faults.append(str(error))


def _may_be_block(entry: LogEntry) -> bool:
    """Tell whether a log entry holds a parent or side block, or cannot be told at a glance."""
    head = entry.raw[_KIND_AT]
    return b"\x18\x18" in head or b"\x18\x19" in head
