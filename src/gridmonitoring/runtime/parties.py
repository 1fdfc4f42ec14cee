"""Parties that this process can sign for, and what they sign (paper II-B).

A `Signer` numbers its own transactions: nonces grow from the last one the ledger knows.
"""

from __future__ import annotations

from typing import Any

from gridmonitoring.blockchain.transactions import party_id, sign_transaction
from gridmonitoring.encoding.bounds import Role
from gridmonitoring.keys.signatures import sign, signing_context
from gridmonitoring.runtime.entropy import KeyPair


class Signer:
    """One party with its keys."""

    def __init__(
        self, name: str, role: Role, keys: KeyPair, chain_id: bytes, identifier: bytes = b""
    ) -> None:
        self.name = name
        self.role = role
        self.keys = keys
        self.id = identifier or party_id(role, keys.sign_key)
        """Party ID: of the first key, also after rotations."""
        self._chain_id = chain_id
        self._nonce = 0

    def resume_after(self, nonce: int) -> None:
        """Continue after the last nonce that the ledger knows."""
        self._nonce = max(self._nonce, nonce)

    def transaction(self, kind: int, body: Any, time: int) -> bytes:
        """Return a signed transaction of this party with its next nonce."""
        self._nonce += 1
        return sign_transaction(
            self.keys.seed, self._chain_id, self.role, self.id, self._nonce, time, kind, body
        )

    def document(self, domain: str, payload: bytes) -> bytes:
        """Return this party's COSE_Sign1 over a document of a domain."""
        return sign(self.keys.seed, signing_context(domain, self._chain_id), payload)
