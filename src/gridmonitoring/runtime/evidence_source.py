"""Evidence out of a running network: bundles of what the log and the state hold now (paper II-B, V-A).

The builders in `blockchain` say what a bundle needs; this reads it from the first voting validator.
"""

from __future__ import annotations

from collections.abc import Sequence

from gridmonitoring.blockchain.evidence_bundle import Handover
from gridmonitoring.blockchain.state_rows import Table
from gridmonitoring.blockchain.state_tree import RowProof, row_key_hash
from gridmonitoring.encoding.cbor import PACKAGE_LIMIT, decode
from gridmonitoring.runtime.consensus.application import Application


class ApplicationEvidence:
    """Log and state of one validator as of its last block: an `EvidenceSource`."""

    def __init__(self, application: Application, genesis: bytes) -> None:
        self._application = application
        self._genesis = genesis
        self._note = application.signed_note()

    def genesis(self) -> bytes:
        """Return the genesis document."""
        return self._genesis

    def note(self) -> bytes:
        """Return the signed checkpoint with a minimal quorum."""
        return self._note

    def history(self) -> Sequence[Handover]:
        """Return every change of the validator set so far."""
        return [decode(stored, Handover, PACKAGE_LIMIT) for _, stored in self._application.truth.handovers()]

    def transaction(self, index: int) -> bytes:
        """Return the transaction at a log index."""
        return self._application.truth.transaction(index)

    def inclusion(self, index: int, size: int) -> Sequence[bytes]:
        """Return the inclusion proof of an index in the log's first `size` entries."""
        return self._application.log.inclusion(index, size)

    def row(self, table: Table, key: bytes) -> tuple[bytes | None, RowProof]:
        """Return a row's encoded value, or None, and its proof under the state root."""
        return self._application.row_bytes(table, key), self._application.tree.prove(row_key_hash(table, key))
