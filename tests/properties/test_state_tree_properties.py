"""The state tree against a naive model that builds every bucket and the whole tree anew."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gridmonitoring.blockchain import merkle
from gridmonitoring.blockchain.state_tree import RowProof, StateTree, row_key_hash, row_value_hash, verify_row
from gridmonitoring.encoding.hashes import sha256
from gridmonitoring.errors import MerkleError

BITS = st.integers(min_value=1, max_value=6)
# Few keys, so that they are met again; small integers give crowded buckets, too.
KEYS = st.tuples(st.integers(0, 3), st.integers(0, 20).map(lambda n: bytes([n])))
VALUES = st.binary(max_size=3)
BATCHES = st.lists(st.lists(st.tuples(KEYS, st.none() | VALUES), max_size=12), max_size=8)
Row = tuple[int, bytes]
Model = dict[Row, bytes]


def naive_root(model: Model, bits: int) -> bytes:
    contents = [b""] * (1 << bits)
    for key, value in sorted((row_key_hash(*row), row_value_hash(value)) for row, value in model.items()):
        contents[int.from_bytes(key) >> 256 - bits] += key + value
    return merkle.root([merkle.leaf_hash(content, sha256) for content in contents], sha256)


def hashed(changes: list[tuple[Row, bytes | None]]) -> list[tuple[bytes, bytes | None]]:
    return [(row_key_hash(*row), None if value is None else row_value_hash(value)) for row, value in changes]


def applied(model: Model, changes: list[tuple[Row, bytes | None]]) -> Model:
    rows = {**model, **dict(changes)}
    return {row: value for row, value in rows.items() if value is not None}


def built(model: Model, bits: int) -> StateTree:
    return StateTree(bits, [(row_key_hash(*row), row_value_hash(value)) for row, value in model.items()])


@given(BITS, BATCHES)
def test_updates_and_undo_follow_the_model(bits: int, batches: list[list[tuple[Row, bytes | None]]]) -> None:
    tree, models, records = StateTree(bits), [Model()], []
    for changes in batches:
        models.append(applied(models[-1], changes))
        records.append(tree.update(hashed(changes)))
        assert tree.root == records[-1].root_after == naive_root(models[-1], bits)
        assert tree.differing_buckets(built(models[-1], bits).get_node) == []
    while records:
        tree.undo(records.pop())
        models.pop()
        assert tree.root == naive_root(models[-1], bits)
        assert tree.differing_buckets(built(models[-1], bits).get_node) == []


@given(BITS, st.dictionaries(KEYS, VALUES), KEYS)
def test_every_row_is_proved_present_or_absent(bits: int, model: Model, row: Row) -> None:
    tree = built(model, bits)
    value = model.get(row)
    proof = tree.prove(row_key_hash(*row))
    assert tree.value_hash(row_key_hash(*row)) == (None if value is None else row_value_hash(value))
    verify_row(*row, value, proof, tree.root, bits)
    for other in (None, b"other"):
        if other != value:
            with pytest.raises(MerkleError):
                verify_row(*row, other, proof, tree.root, bits)


@given(BITS, st.dictionaries(KEYS, VALUES, min_size=1), st.data())
def test_a_proof_with_any_bit_changed_is_refused(bits: int, model: Model, data: st.DataObject) -> None:
    tree = built(model, bits)
    row = data.draw(st.sampled_from(sorted(model)) | KEYS)
    value = model.get(row)
    proof = tree.prove(row_key_hash(*row))
    flat = proof.bucket + b"".join(proof.path)
    flipped = int.from_bytes(flat) ^ 1 << data.draw(st.integers(0, 8 * len(flat) - 1))
    changed = flipped.to_bytes(len(flat))
    cut = len(proof.bucket)
    path = tuple(changed[at : at + 32] for at in range(cut, len(changed), 32))
    altered = [
        RowProof(changed[:cut], path),
        replace(proof, path=proof.path[:-1]),
        replace(proof, path=(*proof.path, tree.root)),
        replace(proof, bucket=proof.bucket + bytes(64)),
        replace(proof, bucket=proof.bucket[:-64] if proof.bucket else bytes(64)),
    ]
    for wrong in altered:
        for claim in (value, None):
            with pytest.raises(MerkleError):
                verify_row(*row, claim, wrong, tree.root, bits)
    with pytest.raises(MerkleError):
        verify_row(*row, value, proof, sha256(tree.root), bits)
