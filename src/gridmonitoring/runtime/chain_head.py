"""The growing end of a chain as whoever checks it follows it: place, notes, log and index (paper IV-D).

What both `replay`, which executes every transaction, and `signed_chain`, which executes none, require of
a block, and what follows from it besides the state.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256

from gridmonitoring.blockchain.checkpoint import Checkpoint, decode_note
from gridmonitoring.blockchain.genesis import chain_id, decode_genesis
from gridmonitoring.blockchain.ledger import make_chain
from gridmonitoring.blockchain.log import TransactionLog
from gridmonitoring.encoding.cbor import encode
from gridmonitoring.encoding.hashes import sha256d
from gridmonitoring.errors import CheckpointError, EncodingError, Tampered
from gridmonitoring.runtime.consensus.validator_history import ValidatorHistory
from gridmonitoring.runtime.signature_checker import SignatureChecker, Unchecked
from gridmonitoring.runtime.storage.truth import SEGMENT, StoredBlock, build_segment


class ChainHead:
    """The last block that was accepted, and what the next one must fit."""

    def __init__(self, document: bytes, checker: SignatureChecker) -> None:
        """Start before the first block; raises an `EncodingError` or `KeyMaterialError`."""
        self.genesis = decode_genesis(document)
        self.chain = make_chain(chain_id(document), self.genesis)
        self.checker = checker
        self.log = TransactionLog()
        self.history = ValidatorHistory(self.genesis)
        self.height = 0
        self.time = self.genesis.created
        self.last_hash: bytes = self.chain.id
        self.signed: Checkpoint | None = None
        """Checkpoint of the last block, which a quorum signed."""
        self._recent: list[tuple[bytes, int]] = []

    def note_signatures(self, block: StoredBlock) -> Iterator[Unchecked]:
        """Yield the signatures of a block's note, under the keys of the set that should have signed it."""
        keys = {name: key for name, key, _ in self.history.signing(block.header.height).powers()}
        try:
            note = decode_note(block.note)
        except CheckpointError:
            return
        body = note.checkpoint.body()
        for line in note.signatures:
            if line.name in keys:
                yield keys[line.name], body, line.signature

    def require(self, block: StoredBlock, count: int | EncodingError) -> Checkpoint:
        """Return the checkpoint of a block that fits: 1 place, 2 note with its quorum, 3 transactions.

        `count` is how many transactions its body holds. Raises `Tampered`, which names the block.
        """
        try:
            # 1
            self._require_place(block)
            # 2
            signed = self._require_note(block)
            # 3
            if isinstance(count, EncodingError):
                raise count
            if sha256(block.body).digest() != block.header.body or block.header.count != count:
                raise CheckpointError("its transactions are not those of its header")
        except (CheckpointError, EncodingError) as error:
            raise Tampered("block", str(self.height + 1), str(error)) from error
        return signed

    def _require_place(self, block: StoredBlock) -> None:
        header = block.header
        place = (header.chain, header.height, header.previous, header.first)
        if place != (self.chain.id, self.height + 1, self.last_hash, self.log.size):
            raise CheckpointError("its header does not follow the block before")
        if header.time <= self.time:
            raise CheckpointError("its time is not past the block before")

    def _require_note(self, block: StoredBlock) -> Checkpoint:
        header = block.header
        note = decode_note(block.note)
        signed = note.checkpoint
        place = (self.genesis.origin(), header.height, header.time, sha256d(encode(header)))
        empty = not header.count
        if not note.is_of(*place, empty=empty) or signed.size != header.first + header.count:
            raise CheckpointError("its note is of another block")
        self.history.require_quorum(header.height, block.note, self.checker.check, empty=empty)
        return signed

    def advance(
        self, block: StoredBlock, signed: Checkpoint, log: TransactionLog, ids: Sequence[bytes]
    ) -> tuple[list[tuple[int, int, bytes]], list[tuple[int, bytes]]]:
        """Take a block that holds as the last one; return the tiles and segments that it completed."""
        self.log, self.height, self.time = log, block.header.height, block.header.time
        self.last_hash, self.signed = sha256d(encode(block.header)), signed
        tiles = [(tile.level, tile.index, tile.hashes) for tile in log.take_tiles()]
        recent, segments = self._recent, []
        recent += [(identifier, block.header.first + offset) for offset, identifier in enumerate(ids)]
        while len(recent) >= SEGMENT:
            segments.append((recent[0][1] // SEGMENT, build_segment(recent[:SEGMENT])))
            del recent[:SEGMENT]
        return tiles, segments
