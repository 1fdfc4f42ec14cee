from __future__ import annotations

import pytest
from msgspec.structs import replace

from gridmonitoring.blockchain.checkpoint import (
    encode_note,
    minimal_quorum,
    require_minimal_quorum,
    verify_quorum,
)
from gridmonitoring.errors import BadSignature, CheckpointError
from gridmonitoring.keys.signatures import public_key_of, sign_raw, verify_signature
from tests.support.notes import CHECKPOINT, SEEDS, signed, validators

FOUR = validators(1, 1, 1, 1)
NOTE = signed("a", "b", "c")


def test_every_flipped_bit_is_refused_or_breaks_a_signature() -> None:
    verify_quorum(NOTE, FOUR, verify_signature)
    for bit in range(8 * len(NOTE)):
        changed = bytearray(NOTE)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(CheckpointError):
            verify_quorum(bytes(changed), FOUR, verify_signature)


@pytest.mark.parametrize(
    ("powers", "signers", "final"),
    [
        ((1, 1, 1), "ab", False),  # exactly two thirds
        ((1, 1, 1), "abc", True),
        ((1, 1, 1, 1), "ab", False),
        ((1, 1, 1, 1), "abc", True),
        ((2, 2, 1, 1), "ab", False),  # exactly two thirds
        ((2, 2, 1, 1), "abc", True),
        ((3, 1, 1), "a", False),
        ((3, 1, 0x10), "ab", False),
        ((7, 1, 1, 1), "a", True),
        ((6, 1, 1, 1), "a", False),  # exactly two thirds
        ((66, 34), "a", False),
        ((67, 33), "a", True),
        ((2**62, 2**61), "a", False),  # exactly two thirds
        ((2**62 + 1, 2**61), "a", True),
        ((1,), "a", True),
    ],
)
def test_more_than_two_thirds_of_the_power_are_needed(
    powers: tuple[int, ...], signers: str, final: bool
) -> None:
    note, known = signed(*signers), validators(*powers)
    if final:
        assert verify_quorum(note, known, verify_signature) == sorted(signers)
        assert set(minimal_quorum(note, known)) <= set(note)
    else:
        for function in (minimal_quorum, require_minimal_quorum):
            with pytest.raises(CheckpointError, match="more than two thirds are needed"):
                function(note, known)
        with pytest.raises(CheckpointError, match="more than two thirds are needed"):
            verify_quorum(note, known, verify_signature)


def test_too_little_power_is_counted_in_the_message() -> None:
    with pytest.raises(CheckpointError, match=r"^5 of 9 voting power signed"):
        verify_quorum(signed("a", "b"), validators(3, 2, 4), verify_signature)


def test_one_who_is_no_validator_may_not_sign() -> None:
    with pytest.raises(CheckpointError, match="d signed, but is no validator"):
        verify_quorum(signed("a", "b", "c", "d"), validators(1, 1, 1), verify_signature)


def test_a_validator_under_another_key_may_not_sign() -> None:
    body = CHECKPOINT.body()
    own = [(name, public_key_of(SEEDS[name]), sign_raw(SEEDS[name], body)) for name in "abc"]
    forged = ("d", public_key_of(SEEDS["a"]), sign_raw(SEEDS["d"], body))
    with pytest.raises(CheckpointError, match="d signed, but is no validator with that key"):
        verify_quorum(encode_note(CHECKPOINT, [*own, forged]), FOUR, verify_signature)


def test_each_signature_must_verify_those_that_the_quorum_can_spare_too() -> None:
    body = CHECKPOINT.body()
    for liar in "abcd":
        lines = [
            (name, public_key_of(SEEDS[name]), sign_raw(SEEDS["a" if name != "a" else "b"], body))
            if name == liar
            else (name, public_key_of(SEEDS[name]), sign_raw(SEEDS[name], body))
            for name in "abcd"
        ]
        with pytest.raises(CheckpointError, match=f"signature of {liar} does not verify") as caught:
            verify_quorum(encode_note(CHECKPOINT, lines), FOUR, verify_signature)
        assert isinstance(caught.value.__cause__, BadSignature)


def test_a_signature_of_another_checkpoint_does_not_count() -> None:
    other = replace(CHECKPOINT, height=13)
    lines = [(name, public_key_of(SEEDS[name]), sign_raw(SEEDS[name], other.body())) for name in "abc"]
    with pytest.raises(CheckpointError, match="signature of a does not verify"):
        verify_quorum(encode_note(CHECKPOINT, lines), FOUR, verify_signature)


@pytest.mark.parametrize(
    "known",
    [[], [*FOUR, FOUR[0]], validators(1, 1, 1, 0), validators(3, 3, 3, -1)],
    ids=["nobody", "one twice", "no power", "negative power"],
)
def test_impossible_sets_of_validators(known: list[tuple[str, bytes, int]]) -> None:
    with pytest.raises(CheckpointError):
        verify_quorum(NOTE, known, verify_signature)
    with pytest.raises(CheckpointError):
        minimal_quorum(NOTE, known)


@pytest.mark.parametrize(
    ("powers", "signers", "kept"),
    [
        ((1, 1, 1, 1), "abcd", "abc"),
        ((1, 1, 1, 1), "bcd", "bcd"),
        ((1, 1, 1, 7), "abcd", "d"),
        ((1, 2, 2, 1), "abcd", "abc"),
        ((2, 1, 2, 2), "abcd", "acd"),
        ((5, 5, 1, 1), "abcd", "ab"),
    ],
)
def test_the_minimal_quorum_is_of_the_most_powerful_then_by_name(
    powers: tuple[int, ...], signers: str, kept: str
) -> None:
    known, note = validators(*powers), signed(*signers)
    assert minimal_quorum(note, known) == signed(*kept)
    require_minimal_quorum(signed(*kept), known)
    if kept != signers:
        with pytest.raises(CheckpointError, match="more signatures than its quorum needs"):
            require_minimal_quorum(note, known)


def test_strangers_are_dropped_from_a_minimal_quorum() -> None:
    assert minimal_quorum(signed("a", "b", "c", "d"), validators(1, 1, 1)) == signed("a", "b", "c")
