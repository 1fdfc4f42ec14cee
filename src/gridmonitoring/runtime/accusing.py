"""Telling the ledger of a node by what it signed: a wrong result of a block, a false delivery (IV-D, V-A).

Of a proposer it is made of what the refusing validator kept and of the checkpoint decided then, while the
state is as of that checkpoint. Where a meter's account was charged too much, the accusation shows both
accounts, so that the meter's thread records it; else it names the node alone.

Left out: finding out that a delivery is false, which the meter does.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from gridmonitoring.blockchain.bodies import (
    PART_SIZE,
    AccountProof,
    Accuse,
    AccuseExhibit,
    AccuseProposer,
    Exhibit,
    Kind,
)
from gridmonitoring.blockchain.checkpoint import minimal_quorum
from gridmonitoring.blockchain.evidence_bill import read_account
from gridmonitoring.blockchain.genesis import ValidatorSet
from gridmonitoring.blockchain.proposals import overcharged
from gridmonitoring.blockchain.state_rows import Table
from gridmonitoring.encoding.cbor import TRANSACTION_LIMIT, encode
from gridmonitoring.encoding.hashes import sha256d
from gridmonitoring.errors import CheckpointError
from gridmonitoring.runtime.consensus.refused import RefusedProposal, proven_account
from gridmonitoring.runtime.parties import Signer

if TYPE_CHECKING:
    from gridmonitoring.runtime.consensus.engine import Decision
    from gridmonitoring.runtime.network import Network

MAX_METERS = 256
"""Most meters that are named for one proposal."""
ROOM = TRANSACTION_LIMIT - 512
"""Bytes that a body may take beside its envelope."""


def delivery_bodies(mid: bytes, delivery: bytes) -> list[tuple[Kind, Accuse | Exhibit | AccuseExhibit]]:
    """Return what a node sends, in order, to name another for a delivery; a large one goes in parts."""
    if len(delivery) <= PART_SIZE:
        return [(Kind.ACCUSE, Accuse(mid, delivery))]
    digest = sha256d(delivery)
    parts = [delivery[at : at + PART_SIZE] for at in range(0, len(delivery), PART_SIZE)]
    return [
        *[(Kind.EXHIBIT, Exhibit(digest, number, part)) for number, part in enumerate(parts)],
        (Kind.ACCUSE_EXHIBIT, AccuseExhibit(mid, digest, len(parts))),
    ]


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
