"""Which validator set signs which block: a change is in force two blocks after the one that made it.

Each change leaves a handover behind: the note of its block with a minimal quorum of the set before,
and the new set with its proof under that note. Whoever knows genesis follows the sets along them
without executing anything (paper IV-D: the majority).
"""

from __future__ import annotations

from collections.abc import Iterable

from gridmonitoring.blockchain.checkpoint import (
    Checkpoint,
    decode_note,
    minimal_quorum,
    require_minimal_quorum,
    verify_quorum,
)
from gridmonitoring.blockchain.evidence_bundle import Handover
from gridmonitoring.blockchain.genesis import Genesis, Validator, ValidatorSet
from gridmonitoring.blockchain.state_rows import Table
from gridmonitoring.blockchain.state_tree import RowProof, StateTree, row_key_hash, verify_row
from gridmonitoring.encoding.cbor import PACKAGE_LIMIT, decode, encode
from gridmonitoring.errors import CheckpointError, EncodingError, MerkleError, Tampered
from gridmonitoring.keys.signatures import CheckSignature, verify_signature


class ValidatorHistory:
    """The validator sets of a chain so far."""

    def __init__(self, genesis: Genesis) -> None:
        self._genesis = genesis
        self._changes: list[tuple[int, ValidatorSet]] = []

    def signing(self, height: int) -> ValidatorSet:
        """Return the set that signs the block at a height, which at most the next two are known of."""
        for changed_at, changed in reversed(self._changes):
            if changed_at <= height - 2:
                return changed
        return ValidatorSet(self._genesis.validators)

    def known(self) -> list[Validator]:
        """Return every validator there ever was, the latest last."""
        sets = [self._genesis.validators, *(changed.validators for _, changed in self._changes)]
        return [validator for validators in sets for validator in validators]

    def latest(self) -> ValidatorSet:
        """Return the set of the last change, in force or not: what the state has."""
        return self._changes[-1][1] if self._changes else ValidatorSet(self._genesis.validators)

    def change(self, height: int, changed: ValidatorSet, note: bytes, tree: StateTree) -> bytes:
        """Note the set that the block at a height made; return the handover that vouches for it.

        `note` is the block's, `tree` the state after it.
        """
        minimal = minimal_quorum(note, self.signing(height).powers())
        self.note_change(height, changed)
        return self.handover(changed, minimal, tree)

    def note_change(self, height: int, changed: ValidatorSet) -> None:
        """Note the set that the block at a height made."""
        self._changes.append((height, changed))

    def changed_at(self) -> int:
        """Return the height of the block that changed the set last, 0 for none."""
        return self._changes[-1][0] if self._changes else 0

    @staticmethod
    def handover(changed: ValidatorSet, note: bytes, tree: StateTree) -> bytes:
        """Return the handover to a set under a note of the state that `tree` is."""
        proof = tree.prove(row_key_hash(Table.VALIDATORS, b""))
        return encode(Handover(note, encode(changed), proof.bucket, proof.path))

    def require_quorum(
        self, height: int, note: bytes, check: CheckSignature = verify_signature, *, empty: bool = False
    ) -> None:
        """Require the note of a height, signed by the set that signs it; raises `CheckpointError`.

        Of an `empty` block it may be the light block of the one before.
        """
        decoded = decode_note(note)
        before = empty and decoded.light is not None and decoded.checkpoint.height == height - 1
        if decoded.checkpoint.height != height and not before:
            raise CheckpointError(f"the note is of height {decoded.checkpoint.height}, not {height}")
        verify_quorum(note, self.signing(decoded.signed_at).powers(), check)

    def follow(self, handovers: Iterable[tuple[int, bytes]], *, last_unsigned: bool = False) -> None:
        """Take stored (height, handover) in, each verified by the set before; raises `Tampered`.

        With `last_unsigned` a quorum need not have signed the last one yet.
        """
        stored_ones = list(handovers)
        for place, (height, stored) in enumerate(stored_ones, 1):
            signed = place < len(stored_ones) or not last_unsigned
            try:
                self._changes.append((height, self._read(height, stored, None, signed=signed)))
            except (EncodingError, CheckpointError, MerkleError) as error:
                raise Tampered("handover", str(height), str(error)) from error

    def accept(self, height: int, stored: bytes, signed: Checkpoint) -> bool:
        """Take a stored handover in if it leads to the checkpoint of its block; tell whether it does."""
        try:
            self._changes.append((height, self._read(height, stored, signed)))
        except (EncodingError, CheckpointError, MerkleError):
            return False
        return True

    def _read(
        self, height: int, stored: bytes, expected: Checkpoint | None, *, signed: bool = True
    ) -> ValidatorSet:
        handover = decode(stored, Handover, PACKAGE_LIMIT)
        note = decode_note(handover.note)
        if signed:
            self.require_quorum(height, handover.note)
            require_minimal_quorum(handover.note, self.signing(note.signed_at).powers())
        checkpoint = note.checkpoint
        if (checkpoint.height, checkpoint.origin) != (height, self._genesis.origin()):
            raise CheckpointError("the note is of another block")
        if expected is not None and checkpoint != expected:
            raise CheckpointError("the note is not of the block at its height")
        proof = RowProof(handover.bucket, handover.path)
        bits = self._genesis.parameters.bucket_bits
        verify_row(Table.VALIDATORS, b"", handover.validators, proof, checkpoint.state_root, bits)
        return decode(handover.validators, ValidatorSet, PACKAGE_LIMIT)
