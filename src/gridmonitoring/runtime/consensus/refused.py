"""Proposals that were refused, kept until it is known what the same log led to (paper IV-D).

A validator that computes another state keeps what the proposer signed. Once a quorum decides the same log,
the two contradict each other, and the proposer can be named. A log that grows past it leaves no proof.

Also here: which accounts the proposer charged too much. A proposal carries the rows that it says it changes;
they are believed only where they lead, over the state before, to the state root that the proposer signed.

Left out: telling the ledger (`runtime.accusing`).
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from gridmonitoring.blockchain.bodies import AccountProof
from gridmonitoring.blockchain.checkpoint import Checkpoint
from gridmonitoring.blockchain.state_rows import Table
from gridmonitoring.blockchain.state_tree import StateTree, row_key_hash
from gridmonitoring.encoding.hashes import sha256
from gridmonitoring.runtime.consensus.application import Execution

MAX_KEPT = 16
"""Refused proposals that are kept; older ones make room."""
Encoded = Sequence[tuple[int, bytes, bytes | None]]
"""Rows that a block changes: (table, key, encoded value or None)."""


class RefusedProposal(Struct, frozen=True):
    """What a proposer signed and a validator could not confirm."""

    node: bytes
    """Party ID of the proposer."""
    signed: bytes
    """Its COSE_Sign1 over a `BlockProposal`."""
    checkpoint: Checkpoint
    """The result that it signed."""
    accounts: tuple[tuple[bytes, AccountProof], ...]
    """(MID, account with its proof under that result) of accounts that others computed otherwise."""


class KeptProposals:
    """Refused proposals that may yet be proven wrong."""

    def __init__(self) -> None:
        self._kept: list[RefusedProposal] = []

    def keep(self, refused: RefusedProposal) -> None:
        """Keep a proposal."""
        self._kept = [*self._kept, refused][-MAX_KEPT:]

    def take(self, decided: Checkpoint) -> tuple[RefusedProposal, ...]:
        """Return those whose log was decided with another state; forget those whose log is past."""
        same = [one for one in self._kept if _log(one.checkpoint) == _log(decided)]
        self._kept = [one for one in self._kept if one.checkpoint.size > decided.size]
        return tuple(one for one in same if one.checkpoint.state_root != decided.state_root)


def other_accounts(
    tree: StateTree, proposed: Encoded, own: Encoded, state_root: bytes
) -> tuple[tuple[bytes, AccountProof], ...]:
    """Return (MID, account as proposed, proven) of the accounts that a validator computed otherwise.

    `tree` is the state before the block, and is left so.
    """
    mine = {key: value for table, key, value in own if table == Table.ACCOUNT}
    changes = [(row_key_hash(table, key), value and sha256(value)) for table, key, value in proposed]
    undo = tree.update(changes)
    try:
        if tree.root != state_root:
            return ()
        return tuple(
            (key, proven_account(tree, key, value))
            for table, key, value in proposed
            if table == Table.ACCOUNT and value is not None and mine.get(key) != value
        )
    finally:
        tree.undo(undo)


def proven_account(tree: StateTree, mid: bytes, value: bytes) -> AccountProof:
    """Return an account with its proof under a tree's present root."""
    proof = tree.prove(row_key_hash(Table.ACCOUNT, mid))
    return AccountProof(value, proof.bucket, proof.path)


def refused_proposal(
    node: bytes, signed: bytes, proposal: Execution, tree: StateTree, own: Execution | None
) -> RefusedProposal:
    """Return what is kept of a refused proposal; `own` is what another validator computed, if it did.

    `tree` is that validator's, before the block.
    """
    accounts = (
        other_accounts(tree, proposal.encoded, own.encoded, proposal.checkpoint.state_root) if own else ()
    )
    return RefusedProposal(node, signed, proposal.checkpoint, accounts)


def _log(checkpoint: Checkpoint) -> tuple[int, bytes]:
    return checkpoint.size, checkpoint.log_root
