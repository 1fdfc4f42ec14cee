"""Replaying a chain from genesis: every header, note, signature and rule, and the state that follows.

Whoever holds the genesis document and the blocks needs nothing else, no secret key above all. In memory
is the state; blocks pass one after the other, their signatures checked some blocks ahead of execution.

Left out: where blocks come from, and what else a file holds (`file_check`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from typing import Any

from gridmonitoring.blockchain.checkpoint import Checkpoint, app_hash, decode_note
from gridmonitoring.blockchain.genesis import Genesis, ValidatorSet, chain_id, decode_genesis
from gridmonitoring.blockchain.ledger import Ledger, make_chain
from gridmonitoring.blockchain.log import TransactionLog
from gridmonitoring.blockchain.state import RowKey, View
from gridmonitoring.blockchain.state_rows import Table
from gridmonitoring.blockchain.state_tree import StateTree, row_key_hash
from gridmonitoring.blockchain.transactions import Transaction, decode_transaction
from gridmonitoring.encoding.cbor import encode
from gridmonitoring.encoding.hashes import sha256d
from gridmonitoring.errors import CheckpointError, EncodingError, Refused, Tampered
from gridmonitoring.processing.rows import decode_row
from gridmonitoring.processing.state_transition import apply_transaction, genesis_rows
from gridmonitoring.runtime.consensus.validator_history import ValidatorHistory
from gridmonitoring.runtime.signature_checker import Ahead, SignatureChecker, Unchecked, signing_key
from gridmonitoring.runtime.storage.truth import SEGMENT, Commit, StoredBlock, build_segment, decode_body

CACHED_ROWS = 200_000
"""Decoded rows kept beside their encodings."""

Decoded = Sequence[Transaction] | EncodingError
"""The transactions of a block, or why they cannot be decoded."""


class StateInMemory:
    """All rows of the state, encoded, with the ones used last decoded too."""

    def __init__(self, genesis: Genesis) -> None:
        self.encoded: dict[RowKey, bytes] = {}
        """(table, key) -> encoded value."""
        self._decoded: dict[RowKey, Any] = {}
        for table, key, value in genesis_rows(genesis):
            self.encoded[table, key] = encode(value)

    def read(self, row_key: RowKey) -> Any:
        """Return the struct of a row, or None."""
        value = self._decoded.get(row_key)
        if value is None:
            stored = self.encoded.get(row_key)
            if stored is None:
                return None
            value = decode_row(row_key[0], stored)
            self._keep(row_key, value)
        return value

    def write(self, row_key: RowKey, value: Any, stored: bytes | None) -> None:
        """Write a row, or delete it with None."""
        if stored is None:
            self.encoded.pop(row_key, None)
            self._decoded.pop(row_key, None)
            return
        self.encoded[row_key] = stored
        self._keep(row_key, value)

    def _keep(self, row_key: RowKey, value: Any) -> None:
        decoded = self._decoded
        decoded[row_key] = value
        if len(decoded) > CACHED_ROWS:
            for old in [key for key, _ in zip(decoded, range(CACHED_ROWS // 4), strict=False)]:
                del decoded[old]


class Replay:
    """A chain executed anew, block by block."""

    def __init__(self, document: bytes, checker: SignatureChecker) -> None:
        """Start from a genesis document; raises an `EncodingError` or `KeyMaterialError`."""
        self.genesis = decode_genesis(document)
        self.checker = checker
        self.chain = make_chain(chain_id(document), self.genesis)
        self.state = StateInMemory(self.genesis)
        self.tree = StateTree(
            self.genesis.parameters.bucket_bits,
            (
                (row_key_hash(table, key), sha256(stored).digest())
                for (table, key), stored in self.state.encoded.items()
            ),
        )
        self.log = TransactionLog()
        self.history = ValidatorHistory(self.genesis)
        self.height = 0
        self.time = self.genesis.created
        self.last_hash: bytes = self.chain.id
        self._recent: list[tuple[bytes, int]] = []

    def app_hash(self) -> bytes:
        """Return the hash of log and state so far."""
        return app_hash(self.log.root(), self.log.size, self.tree.root)

    def decode(self, body: bytes) -> Decoded:
        """Decode a block's transactions, or return why they cannot be."""
        try:
            return [decode_transaction(raw, self.chain.context) for raw in decode_body(body)]
        except EncodingError as error:
            return error

    def begin(self, blocks: Iterable[tuple[StoredBlock, Decoded]]) -> Ahead:
        """Start checking the signatures of blocks, transactions and notes, under the keys now in force."""
        batch: list[Unchecked] = []
        for block, transactions in blocks:
            batch += self._note_signatures(block)
            for transaction in () if isinstance(transactions, EncodingError) else transactions:
                if key := signing_key(self.state.read, transaction):
                    batch.append((key, transaction.signed, transaction.signature))
        return self.checker.begin(batch)

    def _note_signatures(self, block: StoredBlock) -> Iterator[Unchecked]:
        keys = {name: key for name, key, _ in self.history.signing(block.header.height).powers()}
        try:
            note = decode_note(block.note)
        except CheckpointError:
            return
        body = note.checkpoint.body()
        for line in note.signatures:
            if line.name in keys:
                yield keys[line.name], body, line.signature

    def apply(self, block: StoredBlock, transactions: Decoded) -> Commit:
        """Append a block and return all that follows from it.

        1 its place in the chain; 2 its note, of this block, with the quorum of the set in force; 3 its
        transactions are those that its header names; 4 each of them holds, its signatures included;
        5 log and state are those that the note says.

        Raises `Tampered`, which names the block; nothing has changed then.
        """
        header = block.header
        try:
            # 1
            self._require_place(block)
            # 2
            signed = self._require_note(block)
            # 3
            if isinstance(transactions, EncodingError):
                raise transactions
            if sha256(block.body).digest() != header.body or header.count != len(transactions):
                raise CheckpointError("its transactions are not those of its header")
        except (CheckpointError, EncodingError) as error:
            raise Tampered("block", str(self.height + 1), str(error)) from error
        # 4
        view, log = self._execute(block, transactions)
        # 5
        return self._finish(block, transactions, view, log, signed)

    def _require_place(self, block: StoredBlock) -> None:
        header = block.header
        place = (header.chain, header.height, header.previous, header.first)
        if place != (self.chain.id, self.height + 1, self.last_hash, self.log.size):
            raise CheckpointError("its header does not follow the block before")
        if header.time <= self.time:
            raise CheckpointError("its time is not past the block before")

    def _require_note(self, block: StoredBlock) -> Checkpoint:
        header = block.header
        signed = decode_note(block.note).checkpoint
        named = (signed.origin, signed.height, signed.time_ms, signed.size, signed.block_hash)
        size = header.first + header.count
        if named != (self.genesis.origin(), header.height, header.time, size, sha256d(encode(header))):
            raise CheckpointError("its note is of another block")
        self.history.require_quorum(header.height, block.note, self.checker.check)
        return signed

    def _execute(
        self, block: StoredBlock, transactions: Sequence[Transaction]
    ) -> tuple[View, TransactionLog]:
        view, log = View(self.state.read), self.log.copy()
        ledger = Ledger(view, self.chain, self.checker.check, block.header.time, log.size, log.root)
        for transaction in transactions:
            try:
                apply_transaction(ledger, transaction)
            except Refused as error:
                message = f"its log entry {log.size} breaks a rule: {error}"
                raise Tampered("block", str(block.header.height), message) from error
            log.append(sha256(b"\0" + transaction.raw).digest())
            ledger.log_size = log.size
        return view, log

    def _finish(
        self,
        block: StoredBlock,
        transactions: Sequence[Transaction],
        view: View,
        log: TransactionLog,
        signed: Checkpoint,
    ) -> Commit:
        rows: list[tuple[int, bytes, bytes | None]] = []
        changes: list[tuple[bytes, bytes | None]] = []
        for (table, key), value in view.rows.items():
            stored = None if value is None else encode(value)
            rows.append((int(table), key, stored))
            changes.append((row_key_hash(table, key), None if stored is None else sha256(stored).digest()))
        undo = self.tree.update(changes)
        if (signed.log_root, signed.state_root) != (log.root(), self.tree.root):
            self.tree.undo(undo)
            raise Tampered(
                "block", str(block.header.height), "it leads to another log or state than its note says"
            )
        for (row_key, value), (_, _, stored) in zip(view.rows.items(), rows, strict=True):
            self.state.write(row_key, value, stored)
        self.log, self.height, self.time = log, block.header.height, block.header.time
        self.last_hash = signed.block_hash
        tiles = [(tile.level, tile.index, tile.hashes) for tile in log.take_tiles()]
        return Commit(block, rows, tiles, self._segments(block, transactions), self._handovers(block, view))

    def _segments(self, block: StoredBlock, transactions: Sequence[Transaction]) -> list[tuple[int, bytes]]:
        recent, segments = self._recent, []
        recent += [
            (transaction.id, index) for index, transaction in enumerate(transactions, block.header.first)
        ]
        while len(recent) >= SEGMENT:
            segments.append((recent[0][1] // SEGMENT, build_segment(recent[:SEGMENT])))
            del recent[:SEGMENT]
        return segments

    def _handovers(self, block: StoredBlock, view: View) -> list[tuple[int, bytes]]:
        changed: ValidatorSet | None = view.rows.get((Table.VALIDATORS, b""))
        if changed is None:
            return []
        height = block.header.height
        return [(height, self.history.change(height, changed, block.note, self.tree))]
