"""Which validators a checkpoint must be signed by, from genesis on (docs/spec/evidence.md, steps 3 and 4).

A governance transaction changes the validator set in one block; the new set signs from the second
block after it. A handover is the checkpoint of that block, signed by the set then in force, with the
VALIDATORS row under it. So whoever trusts genesis follows the sets without executing anything.

Left out: the blocks between; a set that more than a third of conspires can deceive, as everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gridmonitoring.blockchain.checkpoint import (
    Checkpoint,
    Validators,
    decode_note,
    require_minimal_quorum,
    verify_quorum,
)
from gridmonitoring.blockchain.evidence_bundle import Handover
from gridmonitoring.blockchain.genesis import Genesis, Validator, ValidatorSet, check_validators
from gridmonitoring.blockchain.state_rows import Table
from gridmonitoring.blockchain.state_tree import RowProof, verify_row
from gridmonitoring.encoding.cbor import PACKAGE_LIMIT, decode
from gridmonitoring.errors import CheckpointError
from gridmonitoring.keys.signatures import verify_signature

DELAY = 2
"""Blocks from the one that changes the validators to the first that the new set signs."""


class ValidatorSets:
    """The validator sets that a bundle's handovers lead to, and which of the handovers were needed."""

    def __init__(self, genesis: Genesis) -> None:
        """Begin with the set of genesis."""
        self._genesis = genesis
        self._sets: list[tuple[int, ValidatorSet]] = [(0, ValidatorSet(genesis.validators))]
        self._last: Checkpoint | None = None
        self.surplus: list[int] = []
        """Positions of the handovers without which every note so far is as good."""

    def add(self, handover: Handover) -> None:
        """Follow a handover.

        Raises an `EncodingError`, `CheckpointError`, `MerkleError` or `BadPublicKey`.
        """
        checkpoint = self.check(handover.note)
        last = self._last
        if last is not None and (checkpoint.size <= last.size or checkpoint.height <= last.height):
            raise CheckpointError("the log does not grow from one change of validators to the next")
        proof = RowProof(handover.bucket, handover.path)
        bits = self._genesis.parameters.bucket_bits
        verify_row(Table.VALIDATORS, b"", handover.validators, proof, checkpoint.state_root, bits)
        changed = decode(handover.validators, ValidatorSet, PACKAGE_LIMIT)
        check_validators(changed.validators, {validator.node for validator in changed.validators})
        self._last = checkpoint
        self.surplus.append(len(self._sets) - 1)
        self._sets.append((checkpoint.height + DELAY, changed))

    def check(self, note: bytes) -> Checkpoint:
        """Return the checkpoint of a note that exactly a minimal quorum of the set in force signed.

        Raises `CheckpointError`.
        """
        checkpoint, _ = self._signed(note, _check_signed)
        if self._last is not None and checkpoint.size < self._last.size:
            raise CheckpointError("the log was longer when the validators changed")
        return checkpoint

    def decided(self, note: bytes) -> tuple[Checkpoint, Sequence[Validator]]:
        """Return the checkpoint of a note of any height that is carried inside evidence, and whose set it is.

        A quorum of the set in force must have signed it, and more may have. Raises `CheckpointError`.
        """
        return self._signed(note, _check_quorum)

    def _signed(
        self, note: bytes, check: Callable[[bytes, Validators], None]
    ) -> tuple[Checkpoint, Sequence[Validator]]:
        decoded = decode_note(note)
        checkpoint = decoded.checkpoint
        if checkpoint.origin != self._genesis.origin():
            raise CheckpointError(
                f"the checkpoint is of {checkpoint.origin}, not of {self._genesis.origin()}"
            )
        at = max(n for n, (height, _) in enumerate(self._sets) if height <= decoded.signed_at)
        check(note, self._sets[at][1].powers())
        if at - 1 in self.surplus and not _accepted(note, self._sets[at - 1][1].powers(), check):
            self.surplus.remove(at - 1)
        return checkpoint, self._sets[at][1].validators


def needed(
    genesis: Genesis, history: list[Handover], note: bytes, carried: Sequence[bytes] = ()
) -> tuple[Handover, ...]:
    """Return the handovers without which a note, and those carried inside, cannot be checked.

    Raises as `ValidatorSets.add` does.
    """
    while True:
        sets = ValidatorSets(genesis)
        for handover in history:
            sets.add(handover)
        sets.check(note)
        for inside in carried:
            sets.decided(inside)
        if not sets.surplus:
            return tuple(history)
        history = [handover for at, handover in enumerate(history) if at != sets.surplus[0]]


def _check_signed(note: bytes, validators: Validators) -> None:
    require_minimal_quorum(note, validators)
    _check_quorum(note, validators)


def _check_quorum(note: bytes, validators: Validators) -> None:
    verify_quorum(note, validators, verify_signature)


def _accepted(note: bytes, validators: Validators, check: Callable[[bytes, Validators], None]) -> bool:
    try:
        check(note, validators)
    except CheckpointError:
        return False
    return True
