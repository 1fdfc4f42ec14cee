"""The embedded engine: N validators in one process, each with its own key, state and file.

One proposes in turn, the others validate independently, every vote is a signature over the
checkpoint that follows from the block, and more than two thirds of the power append it. For
development, demos and a single operator; parties that do not trust each other run CometBFT.

Left out: a network between the validators, and view changes: a proposer that fails loses its turn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

from msgspec import Struct

from gridmonitoring.blockchain.checkpoint import Checkpoint, encode_note, verify_quorum
from gridmonitoring.blockchain.genesis import Validator
from gridmonitoring.blockchain.state import RowKey
from gridmonitoring.blockchain.transactions import Transaction
from gridmonitoring.errors import (
    CheckpointError,
    ConsensusError,
    EncodingError,
    MerkleError,
    StorageError,
)
from gridmonitoring.keys.signatures import SecretSeed, sign_raw, verify_signature
from gridmonitoring.runtime.consensus.application import Application, Execution, Receipt
from gridmonitoring.runtime.storage.truth import Commit, decode_body

Decoded = Sequence[Transaction | EncodingError]
"""Transactions as one validator decoded them."""


Beside = Callable[[str, Sequence[Receipt]], None]
"""(validator's name, receipts of the block) -> writes the node's details durably."""


class EmbeddedValidator:
    """One validator: its application and the key of its votes."""

    def __init__(self, application: Application, name: str, node: bytes, seed: SecretSeed) -> None:
        self.application = application
        self.name = name
        self.node = node
        self._seed = seed
        self.halted: str | None = None
        """Why this validator stopped voting, or None."""

    def vote(self, checkpoint: Checkpoint) -> bytes:
        """Sign the checkpoint that this validator computed itself."""
        return sign_raw(self._seed, checkpoint.body())


class Vote(Struct, frozen=True):
    """One validator's answer to a proposal."""

    validator: str
    """Its name."""
    refusal: str
    """Why it refused, empty where it accepted."""


class Decision(Struct, frozen=True):
    """A block that was appended."""

    height: int
    """Its height."""
    checkpoint: Checkpoint
    """The checkpoint after it."""
    note: bytes
    """The checkpoint with its signatures."""
    receipts: list[Receipt]
    """One per transaction offered, in order."""
    votes: tuple[Vote, ...]
    """What each validator said."""
    changed: tuple[RowKey, ...]
    """Keys of the rows that it changed."""
    durable: Future[None]
    """Done once every validator that voted has it on disk."""


class EmbeddedEngine:
    """Decides blocks among validators of this process."""

    def __init__(self, validators: Sequence[EmbeddedValidator]) -> None:
        self.validators = list(validators)
        self._writers = {v.name: ThreadPoolExecutor(1, f"commit-{v.name}") for v in self.validators}

    def close(self) -> None:
        """Wait for commits under way and stop."""
        for writer in self._writers.values():
            writer.shutdown(wait=True)

    def voting(self) -> list[EmbeddedValidator]:
        """Return the validators that have not stopped voting."""
        return [validator for validator in self.validators if validator.halted is None]

    def decide(self, raws: Sequence[bytes], time: int) -> Decision:
        """Decide one block on these transactions; refused ones are left out and answered.

        Every validator decodes and checks them itself. Raises `ConsensusError` without a quorum;
        no state changed then.
        """
        decoded = {v.name: [v.application.decode(raw) for raw in raws] for v in self.voting()}
        return self.decide_decoded(decoded, time)

    def decide_decoded(
        self, decoded: Mapping[str, Decoded], time: int, beside: Beside | None = None
    ) -> Decision:
        """As `decide`, on transactions that each validator has decoded (and may have checked ahead).

        `beside` writes what belongs to the block outside the truth, before it is committed.
        """
        voting = self.voting()
        if not voting:
            raise ConsensusError("no validator is voting")
        turn = self.validators.index(voting[0])
        height = voting[0].application.height + 1
        proposer = voting[(height + turn) % len(voting)]
        time = max(time, proposer.application.time + 1)
        try:
            proposal = proposer.application.prepare(decoded[proposer.name], time, proposer.node)
        except StorageError as error:
            proposer.halted = str(error)
            return self.decide_decoded(decoded, time, beside)
        executions, votes = self._vote(proposer, proposal, decoded)
        try:
            note = self._quorum(proposal, executions)
        except CheckpointError as error:
            for validator in voting:
                validator.application.abandon()
            reasons = "; ".join(f"{vote.validator}: {vote.refusal}" for vote in votes if vote.refusal)
            raise ConsensusError(f"block {height} has no quorum ({reasons or error})") from error
        return self._append(proposal, executions, note, tuple(votes), beside)

    def _vote(
        self, proposer: EmbeddedValidator, proposal: Execution, decoded: Mapping[str, Decoded]
    ) -> tuple[dict[str, Execution], list[Vote]]:
        accepted = {receipt.id for receipt in proposal.receipts if receipt.error is None}
        everything = len(accepted) == len(proposal.receipts)
        executions = {proposer.name: proposal}
        votes = [Vote(proposer.name, "")]
        for validator in self.voting():
            if validator is proposer:
                continue
            own = decoded.get(validator.name, ())
            known = own if everything else self._proposed(validator, proposal, own)
            try:
                execution = validator.application.process(proposal.header, proposal.body, known)
            except ConsensusError as error:
                votes.append(Vote(validator.name, str(error)))
                continue
            except (StorageError, MerkleError) as error:
                validator.halted = str(error)
                votes.append(Vote(validator.name, f"stopped voting: {error}"))
                continue
            executions[validator.name] = execution
            differs = execution.checkpoint != proposal.checkpoint
            votes.append(Vote(validator.name, "computes another state" if differs else ""))
        return executions, votes

    def _proposed(self, validator: EmbeddedValidator, proposal: Execution, own: Decoded) -> Decoded:
        """Return the proposal's transactions as this validator decoded them, decoding what it has not."""
        known = {transaction.raw: transaction for transaction in own if isinstance(transaction, Transaction)}
        return [known.get(raw) or validator.application.decode(raw) for raw in decode_body(proposal.body)]

    def _quorum(self, proposal: Execution, executions: dict[str, Execution]) -> bytes:
        """Return the note signed by those who computed the same checkpoint; raises `CheckpointError`."""
        signatures = [
            (validator.name, validator_key(validator), validator.vote(executions[validator.name].checkpoint))
            for validator in self.validators
            if validator.name in executions and executions[validator.name].checkpoint == proposal.checkpoint
        ]
        note = encode_note(proposal.checkpoint, signatures)
        verify_quorum(
            note, validator_triples(self.voting()[0].application.validators().validators), verify_signature
        )
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
        for validator in self.voting():
            execution = executions.get(validator.name)
            if execution is None or execution.checkpoint != proposal.checkpoint:
                validator.application.abandon()
                validator.halted = validator.halted or "was outvoted and must be healed"
                continue
            commit = validator.application.finalize(note)
            write = partial(_write, validator, commit, proposal.receipts, beside)
            written = self._writers[validator.name].submit(write)
            saves.append(Save(validator, execution, commit, written))
        durable = _Saved(saves).future
        return Decision(
            proposal.header.height,
            proposal.checkpoint,
            note,
            proposal.receipts,
            votes,
            tuple(proposal.rows),
            durable,
        )


class Save(Struct, frozen=True):
    """One validator's write of one block, under way."""

    validator: EmbeddedValidator
    """Who writes."""
    execution: Execution
    """What it executed."""
    commit: Commit
    """What it writes."""
    written: Future[None]
    """Done when it is on disk."""


def _write(
    validator: EmbeddedValidator, commit: Commit, receipts: Sequence[Receipt], beside: Beside | None
) -> None:
    if beside is not None:
        beside(validator.name, receipts)
    validator.application.truth.commit(commit)


class _Saved:
    """Waits for every validator's commit of one block."""

    def __init__(self, saves: list[Save]) -> None:
        self.future: Future[None] = Future()
        self._left = len(saves)
        for save in saves:
            save.written.add_done_callback(partial(self._done, save))

    def _done(self, save: Save, done: Future[None]) -> None:
        error = done.exception()
        if error is not None:
            save.validator.halted = f"cannot write: {error}"
            if not self.future.done():
                self.future.set_exception(error)
            return
        save.validator.application.saved(save.execution.rows, save.commit.tiles)
        self._left -= 1
        if self._left == 0 and not self.future.done():
            self.future.set_result(None)


def validator_key(validator: EmbeddedValidator) -> bytes:
    """Return the public key of a validator as the state has it."""
    for known in validator.application.validators().validators:
        if known.name == validator.name:
            return known.key
    raise ConsensusError(f"{validator.name} is not in the validator set")


def validator_triples(validators: Sequence[Validator]) -> list[tuple[str, bytes, int]]:
    """Return (name, key, power) of a validator set, as checkpoints are verified against."""
    return [(validator.name, validator.key, validator.power) for validator in validators]
