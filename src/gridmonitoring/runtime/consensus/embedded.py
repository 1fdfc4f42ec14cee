"""The embedded engine: N validators in one process, each with its own key, state and file.

One proposes in turn, the others validate independently, every vote is a signature over the
checkpoint that follows from the block, and more than two thirds of the power append it. For
development, demos and a single operator; parties that do not trust each other run CometBFT.

Left out: a network between the validators, and view changes: a proposer that fails loses its turn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from gridmonitoring.blockchain.checkpoint import encode_note, verify_quorum
from gridmonitoring.blockchain.proposals import open_proposal, proposal_of
from gridmonitoring.blockchain.transactions import Transaction
from gridmonitoring.errors import (
    BadSignature,
    CheckpointError,
    ConsensusError,
    EncodingError,
    MerkleError,
    StorageError,
)
from gridmonitoring.keys.signatures import verify_signature
from gridmonitoring.runtime.consensus.application import Execution
from gridmonitoring.runtime.consensus.engine import Decision, Decoded, Engine, Vote
from gridmonitoring.runtime.consensus.refused import KeptProposals, refused_proposal
from gridmonitoring.runtime.consensus.saving import Beside, Save, Saved, block_copies, write_block
from gridmonitoring.runtime.consensus.validator import EmbeddedValidator
from gridmonitoring.runtime.opening import level
from gridmonitoring.runtime.storage.details import DetailStore
from gridmonitoring.runtime.storage.truth import decode_body


class EmbeddedEngine(Engine):
    """Decides blocks among validators of this process."""

    def __init__(self, validators: Sequence[EmbeddedValidator]) -> None:
        super().__init__(validators)
        self._kept = KeptProposals()
        self._writers = {v.name: ThreadPoolExecutor(1, f"commit-{v.name}") for v in self.validators}

    def start(self) -> None:
        """Begin: nothing is held, as one thread works on everything."""

    def let_go(self) -> None:
        """Hold nothing: one thread at a time works on everything."""

    def level(self, details: Mapping[str, DetailStore]) -> None:
        """Bring validators that a crash or a halt left behind up to the one that is furthest."""
        level(self.validators, details)

    def close(self) -> None:
        """Wait for commits under way and stop."""
        for writer in self._writers.values():
            writer.shutdown(wait=True)

    def drain(self) -> None:
        """Wait until every write under way is done or failed."""
        for writer in self._writers.values():
            writer.submit(int).result()

    def decide_decoded(
        self, decoded: Mapping[str, Decoded], time: int, beside: Beside | None = None
    ) -> Decision:
        """As `decide`, on transactions that each validator has decoded (and may have checked ahead).

        `beside` writes what belongs to the block outside the truth, before it is committed.
        """
        turn = self.validators.index(self.first())
        voting = [validator for validator in self.voting() if validator.name in decoded]
        if not voting:
            raise ConsensusError("every validator that read these transactions stopped voting")
        height = voting[0].application.height + 1
        proposer = self._proposer(voting, height + turn)
        time = max(time, proposer.application.time + 1)
        try:
            proposal = proposer.application.prepare(decoded[proposer.name], time, proposer.node)
        except (StorageError, MerkleError) as error:
            proposer.halt(error)
            return self.decide_decoded(decoded, time, beside)
        signed = proposer.propose(proposal.checkpoint)
        executions, votes = self._vote(proposer, proposal, signed, decoded)
        try:
            note = self._quorum(proposal, executions)
        except CheckpointError as error:
            for validator in voting:
                validator.application.abandon()
            self._keep(proposer, proposal, signed, executions)
            if self._outvoted(votes):
                proposer.halt("its proposal was refused by the others and it must be healed")
                return self.decide_decoded(decoded, time, beside)
            reasons = "; ".join(f"{vote.validator}: {vote.refusal}" for vote in votes if vote.refusal)
            raise ConsensusError(f"block {height} has no quorum ({reasons or error})") from error
        return self._append(proposal, executions, note, tuple(votes), beside)

    def _proposer(self, voting: Sequence[EmbeddedValidator], turn: int) -> EmbeddedValidator:
        """Return whose turn it is among those of the validator set; its key must be known to the others."""
        signing = {validator.node for validator in self.first().application.validators().validators}
        members = [validator for validator in voting if validator.node in signing]
        if not members:
            raise ConsensusError("no validator of the set is voting")
        return members[turn % len(members)]

    def _keep(
        self,
        proposer: EmbeddedValidator,
        proposal: Execution,
        signed: bytes,
        executions: Mapping[str, Execution],
    ) -> None:
        """Have a validator that computed another state keep what the proposer signed."""
        for validator in self.voting():
            own = executions.get(validator.name)
            if own is not None and own.checkpoint != proposal.checkpoint:
                tree = validator.application.tree
                self._kept.keep(refused_proposal(proposer.node, signed, proposal, tree, own))
                return

    def _vote(
        self, proposer: EmbeddedValidator, proposal: Execution, signed: bytes, decoded: Mapping[str, Decoded]
    ) -> tuple[dict[str, Execution], list[Vote]]:
        accepted = {receipt.id for receipt in proposal.receipts if receipt.error is None}
        everything = len(accepted) == len(proposal.receipts)
        executions = {proposer.name: proposal}
        votes = [Vote(proposer.name, "")]
        for validator in self.voting():
            if validator is proposer:
                continue
            own = decoded.get(validator.name, ())
            same = everything and len(own) == proposal.header.count
            known = own if same else self._proposed(validator, proposal, own)
            try:
                _require_signed(validator, proposer.node, proposal, signed)
                execution = validator.application.process(proposal.header, proposal.body, known)
            except ConsensusError as error:
                votes.append(Vote(validator.name, str(error)))
                continue
            except (StorageError, MerkleError) as error:
                validator.halt(error)
                votes.append(Vote(validator.name, f"stopped voting: {error}"))
                continue
            executions[validator.name] = execution
            differs = execution.checkpoint != proposal.checkpoint
            votes.append(Vote(validator.name, "computes another state" if differs else ""))
        return executions, votes

    def _outvoted(self, votes: Sequence[Vote]) -> bool:
        """Tell whether more than two thirds of the power refused a proposal; its proposer loses its turn."""
        signing = {name: power for name, _, power in self.first().application.validators().powers()}
        voting = {validator.name for validator in self.voting()}
        against = sum(signing.get(v.validator, 0) for v in votes if v.refusal and v.validator in voting)
        return 3 * against > 2 * sum(signing.values())

    def _proposed(self, validator: EmbeddedValidator, proposal: Execution, own: Decoded) -> Decoded:
        """Return the proposal's transactions as this validator decoded them, decoding what it has not."""
        known = {transaction.raw: transaction for transaction in own if isinstance(transaction, Transaction)}
        return [known.get(raw) or validator.application.decode(raw) for raw in decode_body(proposal.body)]

    def _quorum(self, proposal: Execution, executions: dict[str, Execution]) -> bytes:
        """Return the note signed by those who computed the same checkpoint; raises `CheckpointError`."""
        signing = self.first().application.validators().powers()
        keys = {name: key for name, key, _ in signing}
        agreed = [
            validator
            for validator in self.validators
            if validator.name in keys
            and validator.name in executions
            and executions[validator.name].checkpoint == proposal.checkpoint
        ]
        if not agreed:
            raise CheckpointError("no validator of the set signs")
        note = encode_note(
            proposal.checkpoint, [(v.name, keys[v.name], v.vote(proposal.checkpoint)) for v in agreed]
        )
        verify_quorum(note, signing, verify_signature)
        return note

    def _append(
        self,
        proposal: Execution,
        executions: dict[str, Execution],
        note: bytes,
        votes: tuple[Vote, ...],
        beside: Beside | None,
    ) -> Decision:
        saves: list[Save] = []
        powers = {name: power for name, _, power in self.first().application.validators().powers()}
        for validator in self.voting():
            execution = executions.get(validator.name)
            if execution is None or execution.checkpoint != proposal.checkpoint:
                validator.application.abandon()
                validator.halt("was outvoted and must be healed")
                continue
            commit = validator.application.finalize(note)
            copy = partial(self.keep_copies, block_copies(execution)) if self.keep_copies else None
            write = partial(write_block, validator, commit, proposal.receipts, beside, copy)
            written = self._writers[validator.name].submit(write)
            saves.append(Save(validator, execution, commit, written))
        durable = Saved(saves, powers).future
        return Decision(
            proposal.header.height,
            votes[0].validator,
            note,
            proposal.receipts,
            votes,
            tuple(proposal.rows),
            self._kept.take(proposal.checkpoint),
            durable,
        )


def _require_signed(validator: EmbeddedValidator, node: bytes, proposal: Execution, signed: bytes) -> None:
    """Require a proposal to be signed by its proposer, to be held to it; raises `ConsensusError`."""
    application = validator.application
    try:
        said = open_proposal(
            signed, application.validators().validators, application.chain.id, verify_signature
        )
    except (BadSignature, EncodingError) as error:
        raise ConsensusError(f"the proposal is not signed by its proposer: {error}") from error
    if said != proposal_of(node, proposal.checkpoint):
        raise ConsensusError("the proposer signed another proposal")
