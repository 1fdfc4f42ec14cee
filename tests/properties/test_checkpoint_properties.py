from __future__ import annotations

import hashlib
from fractions import Fraction
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridmonitoring.blockchain.checkpoint import (
    Checkpoint,
    app_hash,
    decode_note,
    encode_note,
    minimal_quorum,
    verify_quorum,
)
from gridmonitoring.encoding.bounds import MAX_INT
from gridmonitoring.errors import CheckpointError
from gridmonitoring.keys.signatures import SecretSeed, public_key_of, sign_raw, verify_signature

HASHES = st.binary(min_size=32, max_size=32)
NUMBERS = st.integers(0, MAX_INT)
NAMES = st.text([chr(code) for code in range(33, 127) if chr(code) != "+"], min_size=1, max_size=128)
CHECKPOINTS = st.builds(
    lambda origin, size, log, state, height, time_ms, block: Checkpoint(
        origin, size, log, app_hash(log, size, state), state, height, time_ms, block
    ),
    NAMES,
    NUMBERS,
    HASHES,
    HASHES,
    NUMBERS,
    NUMBERS,
    HASHES,
)
LINES = st.lists(
    st.tuples(NAMES, HASHES, st.binary(min_size=64, max_size=64)),
    min_size=1,
    max_size=5,
    unique_by=lambda line: line[0],
)
SEEDS = [SecretSeed(hashlib.sha256(bytes([number])).digest()) for number in range(5)]
VALIDATOR_NAMES = ["v2", "v10", "v1", "V", "v"]


CHECKPOINT = Checkpoint("grid", 1, bytes(32), app_hash(bytes(32), 1, bytes(32)), bytes(32), 1, 1, bytes(32))
PIECES = ["— ", " ", "\n", "\n\n", "A", "=", "0", "+", "\x00", "\x85", "é", "block", "app_hash"]


def signed(signers: set[int]) -> bytes:
    """Return the note that these validators sign."""
    body = CHECKPOINT.body()
    lines = [
        (VALIDATOR_NAMES[index], public_key_of(SEEDS[index]), sign_raw(SEEDS[index], body))
        for index in sorted(signers)
    ]
    return encode_note(CHECKPOINT, lines)


@given(CHECKPOINTS, LINES)
def test_a_note_has_one_form_and_comes_back(
    checkpoint: Checkpoint, lines: list[tuple[str, bytes, bytes]]
) -> None:
    note = encode_note(checkpoint, lines)
    assert encode_note(checkpoint, lines[::-1]) == note
    decoded = decode_note(note)
    assert decoded.checkpoint == checkpoint
    assert sorted((name, signature) for name, _, signature in lines) == [
        (line.name, line.signature) for line in decoded.signatures
    ]


@given(CHECKPOINTS, LINES, st.data())
def test_text_put_in_taken_out_or_doubled_makes_another_note_or_none(
    checkpoint: Checkpoint, lines: list[tuple[str, bytes, bytes]], data: st.DataObject
) -> None:
    text = encode_note(checkpoint, lines).decode()
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 3)))
    piece = data.draw(st.sampled_from([*PIECES, text[start:end] * 2, ""]))
    changed = text[:start] + piece + text[end:]
    try:
        decoded = decode_note(changed.encode())
    except CheckpointError:
        return
    parts = [changed.split("\n\n")[0] + "\n", *(line.name for line in decoded.signatures)]
    assert decoded.checkpoint.body().decode() == parts[0]
    assert parts[1:] == sorted(parts[1:])


@given(st.binary(max_size=400))
def test_arbitrary_bytes_are_refused_by_one_error(data: bytes) -> None:
    with pytest.raises(CheckpointError):
        decode_note(data)


@given(
    st.lists(st.integers(1, 6) | st.integers(1, 2**62), min_size=1, max_size=5),
    st.sets(st.integers(0, 4), min_size=1),
)
def test_a_quorum_is_more_than_two_thirds_and_the_minimal_one_the_smallest(
    powers: list[int], chosen: set[int]
) -> None:
    signers = {index % len(powers) for index in chosen}
    known = [
        (VALIDATOR_NAMES[index], public_key_of(SEEDS[index]), power) for index, power in enumerate(powers)
    ]
    note = signed(signers)

    def enough(some: tuple[int, ...]) -> bool:
        return Fraction(sum(powers[index] for index in some), sum(powers)) > Fraction(2, 3)

    if not enough(tuple(signers)):
        with pytest.raises(CheckpointError, match="more than two thirds"):
            verify_quorum(note, known, verify_signature)
        return
    assert verify_quorum(note, known, verify_signature) == sorted(VALIDATOR_NAMES[index] for index in signers)
    kept = decode_note(minimal_quorum(note, known)).signatures
    smallest = next(
        count
        for count in range(1, len(signers) + 1)
        if any(enough(some) for some in combinations(signers, count))
    )
    assert len(kept) == smallest
    verify_quorum(minimal_quorum(note, known), known, verify_signature)
