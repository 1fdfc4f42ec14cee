"""What anyone can read in the ledger's log: who sent how much when, and each meter's claims (paper II-A).

One pass over the blocks of one node. Left out: what the claims hide, which only their owners open
(`consumer_book`).
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from msgspec import Struct

from gridmonitoring.blockchain.bodies import AppendSideBlock, Form, Kind, Report, Settlement
from gridmonitoring.blockchain.side_block import decode_side
from gridmonitoring.blockchain.state_rows import EntryKind
from gridmonitoring.blockchain.transactions import Payload, decode_payload
from gridmonitoring.encoding.bounds import Role
from gridmonitoring.keys.signatures import split
from gridmonitoring.runtime.storage.truth import Truth, decode_body


class Claim(Struct, frozen=True):
    """A meter's report as the ledger has it."""

    index: int
    """Log index."""
    time: int
    """When it was signed, ms."""
    epoch: int
    """Meter epoch."""
    sequence: int
    """Number of the report."""
    detail: bytes
    """sha256 of the detail's ciphertext."""
    period_key: bytes
    """Commitment to the key that the detail is under."""
    settled: Settlement | None
    """What it shows of the household, None where its registers are hidden."""


class Growth(NamedTuple):
    """The log after a block."""

    time: int
    """Time of the block, ms."""
    transactions: int
    """Transactions so far."""
    reports: int
    """Reports among them."""
    size: int
    """Their signed bytes."""


class Logbook(Struct):
    """The log, read once."""

    claims: dict[bytes, list[Claim]]
    """Meter ID -> its reports, in order."""
    forms: dict[bytes, list[int]]
    """Meter ID -> log indices of its forms."""
    side_blocks: dict[bytes, list[tuple[int, int]]]
    """Meter ID -> (log index, violations) of its side blocks."""
    kinds: Counter[Kind]
    """How many transactions there are of each type."""
    growth: list[Growth]
    """How the log grew, block by block."""

    @property
    def reports(self) -> int:
        """Reports in the log."""
        return self.kinds[Kind.REPORT]


def read_log(truth: Truth) -> Logbook:
    """Read every block of a node's file."""
    book = Logbook({}, {}, {}, Counter(), [])
    size = 0
    for block in truth.blocks():
        for offset, raw in enumerate(decode_body(block.body)):
            size += len(raw)
            _note(book, block.header.first + offset, decode_payload(split(raw)[0]))
        header = block.header
        book.growth.append(Growth(header.time, header.first + header.count, book.reports, size))
    return book


def _note(book: Logbook, index: int, payload: Payload[object]) -> None:
    body = payload.body
    book.kinds[Kind(payload.kind)] += 1
    if isinstance(body, Report) and payload.role == Role.METER:
        settled = body.reading if isinstance(body.reading, Settlement) else None
        claim = Claim(
            *(index, payload.time, body.epoch, payload.sequence, body.detail, body.period_key), settled
        )
        book.claims.setdefault(payload.signer, []).append(claim)
    elif isinstance(body, Form):
        book.forms.setdefault(body.mid, []).append(index)
    elif isinstance(body, AppendSideBlock):
        entries = decode_side(body.block).body.entries
        violations = sum(entry.message.kind == EntryKind.VIOLATION for entry in entries)
        book.side_blocks.setdefault(body.mid, []).append((index, violations))
