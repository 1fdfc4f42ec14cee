"""What a proposer signs: the block it proposes, and the result that it says its transactions have (IV-D).

The state is a function of the log: whoever has the same transactions in the same order has the same state,
however they were cut into blocks (1-architecture, "Consensus"). So a signed proposal and a checkpoint of a
quorum that name the same log and another state contradict each other, and anybody can see it without
executing anything. A proposal that was not decided, or that holds a transaction which others refuse, names
a log that no quorum signed, and proves nothing here.

Left out: finding out (each validator executes for itself), and which of the rows are wrong, unless a proof
under the proposed state shows one.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from gridmonitoring.blockchain.bodies import AccuseProposer
from gridmonitoring.blockchain.checkpoint import Checkpoint
from gridmonitoring.blockchain.evidence_bill import BillAccount, read_account
from gridmonitoring.blockchain.genesis import Validator
from gridmonitoring.blockchain.state_rows import Table
from gridmonitoring.blockchain.state_tree import RowProof, verify_row
from gridmonitoring.encoding.bounds import Bytes16, Bytes32, Unsigned
from gridmonitoring.encoding.cbor import decode, encode
from gridmonitoring.errors import Malformed
from gridmonitoring.keys.signatures import (
    CheckSignature,
    SecretSeed,
    open_signed,
    sign,
    signing_context,
    split,
)

PROPOSAL_DOMAIN = "gridmon/block-proposal/1"
"""Domain tag of a proposer's signature."""


class BlockProposal(Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="block-proposal/1"):
    """What a proposer signs with its validator key; the chain is in the signature's context."""

    node: Bytes16
    """Party ID of the proposer."""
    height: Unsigned
    """Height of the block."""
    block: Bytes32
    """sha256d of its header."""
    size: Unsigned
    """Transactions in the log with it."""
    log_root: Bytes32
    """Root of that log."""
    state_root: Bytes32
    """Root of the state that the proposer says it leads to."""


def proposal_of(node: bytes, checkpoint: Checkpoint) -> BlockProposal:
    """Return what a node proposes by the checkpoint that it computed."""
    said = checkpoint
    return BlockProposal(node, said.height, said.block_hash, said.size, said.log_root, said.state_root)


def sign_proposal(seed: SecretSeed, chain: bytes, proposal: BlockProposal) -> bytes:
    """Return the proposer's COSE_Sign1, made with its validator key."""
    return sign(seed, signing_context(PROPOSAL_DOMAIN, chain), encode(proposal))


def read_proposal(signed: bytes) -> BlockProposal:
    """Return what a signed proposal says, its signature unverified; raises an `EncodingError`."""
    return decode(split(signed)[0], BlockProposal)


def open_proposal(
    signed: bytes, validators: Sequence[Validator], chain: bytes, check: CheckSignature
) -> BlockProposal:
    """Return a proposal that a validator of this set signed; raises an `EncodingError` or `BadSignature`."""
    proposal = read_proposal(signed)
    keys = [validator.key for validator in validators if validator.node == proposal.node]
    if not keys:
        raise Malformed("who signed the proposal is no validator")
    open_signed(signed, keys[0], signing_context(PROPOSAL_DOMAIN, chain), check)
    return proposal


def require_contradiction(proposal: BlockProposal, decided: Checkpoint) -> None:
    """Require the same log and another state; raises `Malformed`: the proposal is no offence then."""
    if (proposal.size, proposal.log_root) != (decided.size, decided.log_root):
        raise Malformed("what was proposed was not decided: the quorum's checkpoint is of another log")
    if proposal.state_root == decided.state_root:
        raise Malformed("the quorum came to the same state as the proposer")


def require_overcharge(body: AccuseProposer, proposal: BlockProposal, decided: Checkpoint, bits: int) -> None:
    """Check what an accusation says of one meter's account: 1 what it holds, 2 both proofs, 3 the charge.

    `bits` is the chain's number of bits of a bucket. Raises an `EncodingError` or `MerkleError`.
    """
    # 1
    if (len(body.mid), len(body.accounts)) not in ((0, 0), (16, 2)):
        raise Malformed("an accusation names a meter with its account as proposed and as decided, or neither")
    if not body.mid:
        return
    # 2
    roots = (proposal.state_root, decided.state_root)
    for account, root in zip(body.accounts, roots, strict=True):
        proof = RowProof(account.bucket, account.path)
        verify_row(Table.ACCOUNT, body.mid, account.value, proof, root, bits)
    # 3
    proposed, quorums = (read_account(account.value) for account in body.accounts)
    if not overcharged(proposed, quorums):
        raise Malformed("the proposer took no more of this meter than the quorum")


def overcharged(proposed: BillAccount, decided: BillAccount) -> bool:
    """Tell whether a proposer left a consumer less, or charged more, than the quorum."""
    return _balance(proposed) < _balance(decided) or proposed.statement.charge > decided.statement.charge


def _balance(account: BillAccount) -> int:
    return sum(money for _, money in account.lots) - account.debt
