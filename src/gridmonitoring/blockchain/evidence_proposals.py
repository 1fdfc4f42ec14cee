"""Evidence that a proposer signed another result than its transactions have (docs/spec/evidence.md).

The accusation carries two signatures about one log: the proposer's, and a quorum's. Which state is right
nobody has to compute: the quorum's is the ledger's, and an honest proposer's is the same.

Left out: the ledger's rules about accusations (`processing.accusations`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gridmonitoring.blockchain.bodies import AccuseProposer, Kind
from gridmonitoring.blockchain.checkpoint import Checkpoint
from gridmonitoring.blockchain.evidence_contents import (
    Entry,
    Proven,
    check_signer,
    party_of,
    require_items,
    step,
)
from gridmonitoring.blockchain.genesis import Validator
from gridmonitoring.blockchain.proposals import open_proposal, require_contradiction, require_overcharge
from gridmonitoring.keys.signatures import verify_signature


def carried_notes(entries: Iterable[Entry]) -> list[bytes]:
    """Return the checkpoints that transactions carry inside, for which validator sets must be known."""
    bodies = [entry.transaction.payload.body for entry in entries]
    return [body.note for body in bodies if isinstance(body, AccuseProposer)]


def check_proposer(proven: Proven, decided: Checkpoint, validators: Sequence[Validator]) -> None:
    """Check a logged accusation of a proposer, whose checkpoint a quorum of these validators signed."""
    with step(7):
        entry = proven.transactions[0]
        require_items(proven, proven.transactions, [Kind.ACCUSE_PROPOSER], [party_of(entry)])
        body: AccuseProposer = entry.transaction.payload.body
    with step(8):
        check_signer(proven, entry)
        proposal = open_proposal(body.proposal, validators, proven.chain_id, verify_signature)
    with step(9):
        require_contradiction(proposal, decided)
        require_overcharge(body, proposal, decided, proven.genesis.parameters.bucket_bits)
