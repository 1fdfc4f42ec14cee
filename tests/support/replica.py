"""One validator's state machine in memory: decode, apply, roots. No votes, no disk, no engine.

For tests that need thousands of chains. Every row that a transaction leaves is encoded and read back, so that
nothing which could not be read from disk is ever taken for a state.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from gridmonitoring.blockchain.checkpoint import app_hash
from gridmonitoring.blockchain.genesis import chain_id, decode_genesis
from gridmonitoring.blockchain.ledger import Ledger, make_chain
from gridmonitoring.blockchain.log import TransactionLog
from gridmonitoring.blockchain.merkle import leaf_hash
from gridmonitoring.blockchain.state import RowKey, View
from gridmonitoring.blockchain.state_tree import StateTree, row_key_hash, row_value_hash
from gridmonitoring.blockchain.transactions import decode_transaction
from gridmonitoring.encoding.cbor import encode
from gridmonitoring.encoding.hashes import sha256
from gridmonitoring.errors import EncodingError, Refused
from gridmonitoring.processing.rows import decode_row
from gridmonitoring.processing.state_transition import apply_transaction, genesis_rows
from gridmonitoring.runtime.signature_checker import SignatureChecker


class Outcome(NamedTuple):
    """What became of one transaction."""

    raw: bytes
    """The transaction."""
    rule: str
    """Rule that it broke, name of the encoding error, or empty where it was accepted."""


class Replica:
    """A chain from its genesis document on; `checker` can be shared, verifying is slow."""

    def __init__(self, genesis: bytes, checker: SignatureChecker) -> None:
        founding = decode_genesis(genesis)
        self._chain = make_chain(chain_id(genesis), founding)
        self._check = checker.check
        self.rows: dict[RowKey, Any] = {}
        self.log = TransactionLog()
        self._tree = StateTree(founding.parameters.bucket_bits)
        self._commit({(table, key): row for table, key, row in genesis_rows(founding)})

    def block(self, raws: Sequence[bytes], time: int) -> list[Outcome]:
        """Execute a consensus block, leaving out what is refused; one outcome each."""
        view = View(self.rows.get)
        log = self.log.copy()
        ledger = Ledger(view, self._chain, self._check, time, log.size, log.root)
        outcomes = []
        for raw in raws:
            rule = self._apply(ledger, raw)
            outcomes.append(Outcome(raw, rule))
            if not rule:
                log.append(leaf_hash(raw, sha256))
                ledger.log_size = log.size
        self.log = log
        self._commit(view.rows)
        return outcomes

    def _apply(self, ledger: Ledger, raw: bytes) -> str:
        before = dict(ledger.view.rows)
        try:
            apply_transaction(ledger, decode_transaction(raw, self._chain.context))
        except EncodingError as error:
            assert ledger.view.rows == before
            return type(error).__name__
        except Refused as error:
            assert ledger.view.rows == before
            return error.rule
        return ""

    def _commit(self, rows: dict[RowKey, Any]) -> None:
        changes: list[tuple[bytes, bytes | None]] = []
        for (table, key), row in rows.items():
            if row is None:
                self.rows.pop((table, key), None)
                changes.append((row_key_hash(table, key), None))
                continue
            stored = encode(row)
            self.rows[table, key] = decode_row(table, stored)
            changes.append((row_key_hash(table, key), row_value_hash(stored)))
        self._tree.update(changes)

    @property
    def app_hash(self) -> bytes:
        """What validators would sign."""
        return app_hash(self.log.root(), self.log.size, self._tree.root)
