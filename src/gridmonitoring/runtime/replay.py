"""Replaying a chain from genesis: every header, note, signature and rule, and the state that follows.

Whoever holds the genesis document and the blocks needs nothing else, no secret key above all. In memory
is the state; blocks pass one after the other, their signatures checked some blocks ahead of execution.

Left out: where blocks come from (`chain_check`), and what else a file holds (`file_check`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from typing import Any

from gridmonitoring.blockchain.bodies import Erase
from gridmonitoring.blockchain.checkpoint import app_hash
from gridmonitoring.blockchain.genesis import Genesis, ValidatorSet
from gridmonitoring.blockchain.ledger import Ledger
from gridmonitoring.blockchain.log import TransactionLog
from gridmonitoring.blockchain.state import RowKey, View
from gridmonitoring.blockchain.state_rows import Table
from gridmonitoring.blockchain.state_tree import StateTree, row_key_hash
from gridmonitoring.blockchain.transactions import Transaction, decode_transaction
from gridmonitoring.data_center.copies import AnyCopy
from gridmonitoring.data_center.copying import Copying
from gridmonitoring.encoding.cbor import encode
from gridmonitoring.errors import EncodingError, Refused, Tampered
from gridmonitoring.processing.rows import decode_row
from gridmonitoring.processing.state_transition import apply_transaction, genesis_rows
from gridmonitoring.runtime.chain_head import ChainHead
from gridmonitoring.runtime.detail_check import Claim, claim_of
from gridmonitoring.runtime.signature_checker import Ahead, SignatureChecker, Unchecked, signing_key
from gridmonitoring.runtime.storage.truth import Commit, StoredBlock, decode_body

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


class Replay(ChainHead):
    """A chain executed anew, block by block."""

    def __init__(self, document: bytes, checker: SignatureChecker) -> None:
        """Start from a genesis document; raises an `EncodingError` or `KeyMaterialError`."""
        super().__init__(document, checker)
        self.copying: Copying | None = None
        """Says what of each transaction goes to the data center; None where nobody asks."""
        self.copies: list[AnyCopy] = []
        """What of the last block goes there."""
        self.state = StateInMemory(self.genesis)
        self.tree = StateTree(
            self.genesis.parameters.bucket_bits,
            (
                (row_key_hash(table, key), sha256(stored).digest())
                for (table, key), stored in self.state.encoded.items()
            ),
        )

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
            batch += self.note_signatures(block)
            for transaction in () if isinstance(transactions, EncodingError) else transactions:
                if key := signing_key(self.state.read, transaction):
                    batch.append((key, transaction.signed, transaction.signature))
        return self.checker.begin(batch)

    def apply(self, block: StoredBlock, transactions: Decoded) -> Commit:
        """Append a block and return all that follows from it.

        1 its place, its note with the quorum of the set in force, its transactions; 2 each transaction
        holds, its signatures included; 3 log and state are those that the note says.

        Raises `Tampered`, which names the block; nothing has changed then.
        """
        # 1
        if isinstance(transactions, EncodingError):
            self.require(block, transactions)
            raise Tampered("block", str(self.height + 1), str(transactions))
        signed = self.require(block, len(transactions))
        # 2
        view, log = self._execute(block, transactions)
        # 3
        rows: list[tuple[int, bytes, bytes | None]] = []
        changes: list[tuple[bytes, bytes | None]] = []
        for (table, key), value in view.rows.items():
            stored = None if value is None else encode(value)
            rows.append((int(table), key, stored))
            changes.append((row_key_hash(table, key), None if stored is None else sha256(stored).digest()))
        undo = self.tree.update(changes)
        if (signed.log_root, signed.state_root) != (log.root(), self.tree.root):
            self.tree.undo(undo)
            message = "it leads to another log or state than its note says"
            raise Tampered("block", str(block.header.height), message)
        for (row_key, value), (_, _, stored) in zip(view.rows.items(), rows, strict=True):
            self.state.write(row_key, value, stored)
        tiles, segments = self.advance(block, signed, log, [transaction.id for transaction in transactions])
        return Commit(block, rows, tiles, segments, self._handovers(block, view))

    def _execute(
        self, block: StoredBlock, transactions: Sequence[Transaction]
    ) -> tuple[View, TransactionLog]:
        view, log = View(self.state.read), self.log.copy()
        ledger = Ledger(view, self.chain, self.checker.check, block.header.time, log.size, log.root)
        self.copies = []
        for transaction in transactions:
            try:
                apply_transaction(ledger, transaction)
            except Refused as error:
                message = f"its log entry {log.size} breaks a rule: {error}"
                raise Tampered("block", str(block.header.height), message) from error
            if self.copying is not None:
                self.copies += self.copying(view.get, log.size, transaction)
            log.append(transaction.leaf)
            ledger.log_size = log.size
        return view, log

    def _handovers(self, block: StoredBlock, view: View) -> list[tuple[int, bytes]]:
        changed: ValidatorSet | None = view.rows.get((Table.VALIDATORS, b""))
        if changed is None:
            return []
        height = block.header.height
        return [(height, self.history.change(height, changed, block.note, self.tree))]

    def claim(self, transaction: Transaction) -> Claim | None:
        """Return what a transaction says of its detail, or None where it is no report."""
        return claim_of(transaction.payload)

    def erasure(self, transaction: Transaction) -> Erase | None:
        """Return what a transaction has erased, or None where it is no such order."""
        body = transaction.payload.body
        return body if isinstance(body, Erase) else None

    # as the reference for stored states

    def rows(self) -> Iterator[tuple[int, bytes, bytes]]:
        """Yield (table, key, encoded value) of every row."""
        for (table, key), value in self.state.encoded.items():
            yield int(table), key, value

    def value(self, table: int, key: bytes) -> bytes | None:
        """Return the encoded value of a row, or None."""
        return self.state.encoded.get((Table(table), key)) if table in _TABLES else None


_TABLES = frozenset(int(table) for table in Table)
