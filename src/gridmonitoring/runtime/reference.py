"""What the parts of a truth should be, as digests in memory: derived once, compared with ever after (II-A).

Blocks are followed along their quorums by `signed_chain`, from whichever node has one that verifies; what
follows from them (places, tiles, segments, handovers) with them. Such rows never change, so afterwards a
node's copy is read and its digest compared: that is what makes watching cheap. Nothing of it is stored,
so nothing of it can be altered on a disk.

Left out: the state, which the application's tree is the reference of, and reading files (`watching`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
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
from gridmonitoring.runtime.detail_check import Claim, claim_in
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


def block_digest(row: Values, body_hash: bytes = b"") -> bytes:
    """Return a digest of a stored block, whatever is in its columns; equal for equal ones alone.

    `body_hash` is the SHA-256 of its transactions where it is known.
    """
    height, header, body, note = row
    if isinstance(body, bytes):
        return digest((height, header, (body_hash or sha256(body).digest(),), note))
    return digest((height, header, body, note))


Claimed = tuple[int, bytes, int, bytes]
"""(log index, MID, signed time ms, SHA-256 of the ciphertext) of a detail as the log names it."""

_INT = rb"(?:[\x00-\x17]|\x18.|\x19..|\x1a.{4}|\x1b.{8})"
_REPORT = re.compile(
    rb"\x84\x43\xa1\x01\x27\xa0(?:\x58.|\x59..)\x87\x17\x01\x0b\x50(.{16})"
    rb"%b\x1b(.{8})\x88%b%b%b%b%b\x58\x20(.{32})" % (_INT, *[_INT] * 5),
    re.DOTALL,
)
"""A logged report as most are: MID, time, hash of its detail."""
_REPORT_HEAD = encode([int(Kind.REPORT), 1])[1:]
"""How the payload of any report begins, after its array's head."""
_HEAD_SIZE = 16
"""Bytes of a COSE_Sign1 before that, and it."""


def claim_at(raw: bytes) -> Claim | None:
    """Return (MID, signed time ms, hash of its detail) of a log entry that is a report, else None."""
    if found := _REPORT.match(raw):
        mid, time, named = found.groups()
        return mid, int.from_bytes(time, "big"), named
    return claim_in(raw) if _REPORT_HEAD in raw[:_HEAD_SIZE] else None


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
    """Digests of its details that were found good although some of them are erased."""
    claims: list[Claimed]
    """What its reports say of their details, while it is the last unit."""
    claimed: bytes
    """Digest of what they say, once it is full."""

    def expected(self) -> bytes:
        """Return the digest of its details by log index, MID, time and SHA-256 of the ciphertext."""
        return self.claimed or digest(self.claims)


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
            self._read(entries, block.header.first)

    def _keep(self, row: Values, commit: Commit) -> None:
        header = commit.block.header
        if not self.units or self._is_full(self.units[-1]):
            height, size = header.height, header.first
            self._seal()
            self.units.append(Unit(height, height, size, size, sha256(), [], 0, set(), [], b""))
        unit = self.units[-1]
        unit.last, unit.end = header.height, header.first + header.count
        unit.blocks.update(block_digest(row, header.body))
        unit.details = set()
        unit.size += len(commit.block.body)
        if header.count:
            unit.starts.append((header.first, header.height))
        for level, _, hashes in commit.tiles:
            self.tiles.setdefault(level, []).append(sha256(hashes).digest())
        self.segments += [sha256(ids).digest() for _, ids in commit.segments]
        self.handovers.update(commit.handovers)

    def _seal(self) -> None:
        """Keep of the last unit's claims their digest alone."""
        if self.units:
            unit = self.units[-1]
            unit.claimed, unit.claims = unit.expected(), []

    def _is_full(self, unit: Unit) -> bool:
        return unit.last - unit.first + 1 >= UNIT_BLOCKS or unit.size >= UNIT_BYTES

    def _read(self, entries: Sequence[LogEntry], first: int) -> None:
        """Note what reports say of their details; follow parent and side blocks."""
        claims, match = self.units[-1].claims, _REPORT.match  # one call less for each report
        for index, entry in enumerate(entries, first):
            if found := match(entry.raw):
                mid, time, named = found.groups()
                claims.append((index, mid, int.from_bytes(time, "big"), named))
            elif claim := claim_at(entry.raw):
                claims.append((index, *claim))
            elif _may_be_block(entry):
                self._follow_thread(entry)

    def _follow_thread(self, entry: LogEntry) -> None:
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
