"""A chain taken from its quorums: every header, note and transaction's hash, nothing executed.

What more than two thirds of the validators signed is believed here, along the handovers from genesis; so
files can be compared in the time it takes to read them. The state comes from a file whose tree leads
to the last note (`audit`).

Left out: the transactions' own signatures and rules, which are `replay`'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256

from msgspec import Struct

from gridmonitoring.blockchain.bodies import Erase
from gridmonitoring.blockchain.checkpoint import Checkpoint
from gridmonitoring.errors import EncodingError, Tampered
from gridmonitoring.keys.signatures import split
from gridmonitoring.runtime.chain_head import ChainHead
from gridmonitoring.runtime.detail_check import Claim, claim_in, erasure_in
from gridmonitoring.runtime.signature_checker import Ahead, SignatureChecker, Unchecked
from gridmonitoring.runtime.storage.truth import Commit, StoredBlock, decode_body


class LogEntry(Struct, frozen=True, gc=False):
    """A transaction as the log has it."""

    raw: bytes
    """The COSE_Sign1."""
    id: bytes
    """Transaction ID."""


class SignedChain(ChainHead):
    """A chain followed block by block along its quorums."""

    def __init__(
        self, document: bytes, checker: SignatureChecker, handovers: Mapping[int, Sequence[bytes]]
    ) -> None:
        """Start from genesis; `handovers` are those that the files have, by height, not yet believed."""
        super().__init__(document, checker)
        self._offered = handovers

    def decode(self, body: bytes) -> Sequence[LogEntry] | EncodingError:
        """Return a block's transactions with their IDs, or why they cannot be read."""
        try:
            raws = decode_body(body)
            payloads = [split(raw)[0] for raw in raws]
        except EncodingError as error:
            return error
        ids = [sha256(sha256(payload).digest()).digest() for payload in payloads]
        return list(map(LogEntry, raws, ids))

    def begin(self, blocks: Iterable[tuple[StoredBlock, Sequence[LogEntry] | EncodingError]]) -> Ahead:
        """Start checking the signatures of the blocks' notes."""
        batch: list[Unchecked] = []
        for block, _ in blocks:
            batch += self.note_signatures(block)
        return self.checker.begin(batch)

    def apply(self, block: StoredBlock, entries: Sequence[LogEntry] | EncodingError) -> Commit:
        """Append a block: 1 place, quorum, transactions; 2 its log; return what follows besides the state.

        Raises `Tampered`, which names the block; nothing has changed then.
        """
        # 1
        if isinstance(entries, EncodingError):
            self.require(block, entries)
            raise Tampered("block", str(self.height + 1), str(entries))
        signed = self.require(block, len(entries))
        # 2
        log = self.log.copy()
        log.extend([sha256(b"\0" + entry.raw).digest() for entry in entries])
        if log.root() != signed.log_root:
            raise Tampered("block", str(block.header.height), "it leads to another log than its note says")
        handovers = self._handovers(block.header.height, signed)
        tiles, segments = self.advance(block, signed, log, [entry.id for entry in entries])
        return Commit(block, [], tiles, segments, handovers)

    def claim(self, entry: LogEntry) -> Claim | None:
        """Return what a log entry says of its detail, or None where it is no report."""
        return claim_in(entry.raw)

    def erasure(self, entry: LogEntry) -> Erase | None:
        """Return what a log entry has erased, or None where it is no such order."""
        return erasure_in(entry.raw)

    def _handovers(self, height: int, signed: Checkpoint) -> list[tuple[int, bytes]]:
        """Return the handover of this height that leads to its checkpoint, if a file has one."""
        for stored in self._offered.get(height, ()):
            if self.history.accept(height, stored, signed):
                return [(height, stored)]
        return []
