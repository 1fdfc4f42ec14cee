"""Telling the ledger of a proposer that signed a wrong result (paper IV-D, V-A).

Made of what the refusing validator kept and of the checkpoint that was then decided, while the state is
still as of that checkpoint. Where a meter's account was charged too much, the accusation shows both
accounts, so that the meter's thread records it; else it names the node alone.

Left out: deliveries to meters, whose accusations meters hand over (`meter_gateway`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gridmonitoring.blockchain.bodies import AccountProof, AccuseProposer, Kind
from gridmonitoring.blockchain.checkpoint import minimal_quorum
from gridmonitoring.blockchain.evidence_bill import read_account
from gridmonitoring.blockchain.genesis import ValidatorSet
from gridmonitoring.blockchain.proposals import overcharged
from gridmonitoring.blockchain.state_rows import Table
from gridmonitoring.encoding.cbor import TRANSACTION_LIMIT, encode
from gridmonitoring.errors import CheckpointError
from gridmonitoring.runtime.consensus.refused import RefusedProposal, proven_account
from gridmonitoring.runtime.parties import Signer

if TYPE_CHECKING:
    from gridmonitoring.runtime.consensus.embedded import Decision
    from gridmonitoring.runtime.network import Network

MAX_METERS = 256
"""Most meters that are named for one proposal."""
ROOM = TRANSACTION_LIMIT - 512
"""Bytes that a body may take beside its envelope."""


def accusations(network: Network, decision: Decision) -> list[bytes]:
    """Return what a node sends about proposals that the decision shows to be wrong."""
    return [raw for refused in decision.refused for raw in _accusations(network, decision, refused)]


def _accusations(network: Network, decision: Decision, refused: RefusedProposal) -> Iterator[bytes]:
    accuser = _accuser(network, refused.node)
    validators: ValidatorSet = network.row(Table.VALIDATORS, b"")
    try:
        note = minimal_quorum(decision.note, validators.powers())
    except CheckpointError:
        return  # the set has changed since so much that the ledger could not check the note
    now = network.clock.now_ms()
    bodies = [
        AccuseProposer(mid, refused.signed, note, accounts)
        for mid, accounts in _overcharged(network, refused)
    ]
    fitting = [body for body in bodies if len(encode(body)) <= ROOM][:MAX_METERS]
    for body in fitting or [AccuseProposer(b"", refused.signed, note, ())]:
        yield accuser.transaction(Kind.ACCUSE_PROPOSER, body, now)


def _overcharged(
    network: Network, refused: RefusedProposal
) -> Iterator[tuple[bytes, tuple[AccountProof, AccountProof]]]:
    """Yield (MID, accounts as proposed and as decided) of meters that the proposer charged too much."""
    application = network.application
    for mid, proposed in refused.accounts:
        value = application.row_bytes(Table.ACCOUNT, mid)
        if value is not None and overcharged(read_account(proposed.value), read_account(value)):
            yield mid, (proposed, proven_account(application.tree, mid, value))


def _accuser(network: Network, accused: bytes) -> Signer:
    """Return a node that votes and is not the accused."""
    voting = [validator.node for validator in network.engine.voting()]
    return network.nodes[next((node for node in voting if node != accused), voting[0])]
