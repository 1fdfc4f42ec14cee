"""Offline verification of evidence: one entry point, a numbered list of steps (paper III-A-2, V-B).

Whoever holds the genesis document needs nothing else: no node, no network, no clock. The steps are
those of docs/spec/evidence.md, and `EvidenceError` carries the number of the first that fails.

1. The bundle is within its size and is the canonical encoding of its structure.
2. The genesis document is whole, and its hash is the one that the bundle names.
3. Each change of the validator set is under exactly a minimal quorum of the set then in force.
4. The checkpoint is of this chain, under exactly such a quorum; it, or an accusation's own, needs each of
   those changes.
5. Each transaction is in the log under the checkpoint.
6. Each row is in the state under the checkpoint.
7. The items are exactly those that the kind of evidence needs.
8. The signatures are made with keys that were in force at their place in the log.
9. The items say the same of each other, and what can be recomputed comes to what they say.

A meter checks the commands and statements it is given by the same steps. Left out: whether the state
moved on since the checkpoint; who must know asks for a later one.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

from gridmonitoring.blockchain.checkpoint import Checkpoint
from gridmonitoring.blockchain.evidence_bundle import (
    EVIDENCE_LIMIT,
    Bundle,
    EvidenceKind,
    EvidenceRow,
    LoggedTransaction,
)
from gridmonitoring.blockchain.evidence_contents import Entry, Proven, ProvenRow, require, step
from gridmonitoring.blockchain.evidence_history import ValidatorSets
from gridmonitoring.blockchain.evidence_kinds import CHECKS, TOLD, check_accusation
from gridmonitoring.blockchain.evidence_proposals import carried_notes, check_proposer
from gridmonitoring.blockchain.genesis import (
    Genesis,
    chain_id,
    decode_genesis,
)
from gridmonitoring.blockchain.merkle import leaf_hash, verify_inclusion
from gridmonitoring.blockchain.state_rows import Table
from gridmonitoring.blockchain.state_tree import verify_row
from gridmonitoring.blockchain.transactions import decode_transaction, transaction_context
from gridmonitoring.encoding.cbor import decode
from gridmonitoring.encoding.hashes import sha256
from gridmonitoring.errors import EvidenceError


def verify(bundle: bytes, genesis: bytes) -> Proven:
    """Return what an encoded bundle proves to whoever trusts this genesis document.

    Raises `EvidenceError` at the first step that fails.
    """
    # 1
    with step(1):
        evidence = decode(bundle, Bundle, EVIDENCE_LIMIT)
    # 2
    with step(2):
        founding = _genesis(genesis)
        require(evidence.genesis == chain_id(genesis), "the bundle is of another chain")
    # 3
    with step(3):
        validators = ValidatorSets(founding)
        for handover in evidence.history:
            validators.add(handover)
    # 4
    with step(4):
        checkpoint = validators.check(evidence.note)
    # 5
    with step(5):
        entries = _logged(evidence.transactions, checkpoint, evidence.genesis)
    # 4, what an accusation's own checkpoint needs being known now
    with step(4):
        accuses = evidence.kind is EvidenceKind.ACCUSATION
        decided = [validators.decided(note) for note in carried_notes(entries)] if accuses else []
        require(not validators.surplus, "a change of validators that nothing needs")
    # 6
    with step(6):
        rows = _rows(evidence.rows, checkpoint, founding.parameters.bucket_bits)
    # 7, 8, 9
    proven = Proven(evidence.kind, evidence.genesis, founding, checkpoint, entries, rows, evidence.openings)
    if decided:
        check_proposer(proven, *decided[0])
    elif accuses:
        check_accusation(proven, lambda told: holds(told, genesis))
    else:
        CHECKS[evidence.kind](proven)
    return proven


def holds(bundle: bytes, genesis: bytes) -> bool:
    """Tell whether a bundle proves something that a meter may be told."""
    try:
        return verify(bundle, genesis).kind in TOLD
    except EvidenceError:
        return False


@lru_cache(maxsize=8)
def _genesis(data: bytes) -> Genesis:
    return decode_genesis(data)


def _logged(
    transactions: tuple[LoggedTransaction, ...], checkpoint: Checkpoint, chain: bytes
) -> tuple[Entry, ...]:
    """Return the decoded transactions; raises an `EncodingError` or `MerkleError`."""
    require(
        all(a.index < b.index for a, b in pairwise(transactions)), "transactions are not in order of the log"
    )
    context = transaction_context(chain)
    entries = []
    for item in transactions:
        leaf = leaf_hash(item.raw, sha256)
        verify_inclusion(leaf, item.index, checkpoint.size, item.proof, checkpoint.log_root, sha256)
        entries.append(Entry(item.index, decode_transaction(item.raw, context)))
    return tuple(entries)


def _rows(rows: tuple[EvidenceRow, ...], checkpoint: Checkpoint, bits: int) -> tuple[ProvenRow, ...]:
    """Return the rows; raises an `EncodingError` or `MerkleError`."""
    keys = [(row.table, row.key) for row in rows]
    require(all(a < b for a, b in pairwise(keys)), "rows are not in order of table and key")
    known = set(Table)
    require(all(row.table in known for row in rows), "a row of no known table")
    for row in rows:
        verify_row(row.table, row.key, row.value, row.proof(), checkpoint.state_root, bits)
    return tuple(ProvenRow(Table(row.table), row.key, row.value) for row in rows)
