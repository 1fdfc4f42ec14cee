"""Against the recursive definitions of RFC 9162 sections 2.1.1, 2.1.3.1 and 2.1.4.1."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridmonitoring.blockchain.merkle import (
    CompactRange,
    HashFunction,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root,
    verify_consistency,
    verify_inclusion,
)
from gridmonitoring.encoding.hashes import sha256, sha256d
from gridmonitoring.errors import MerkleError

HASHES = st.sampled_from([sha256, sha256d])
SIZES = st.integers(min_value=1, max_value=70)


def leaves_of(size: int, function: HashFunction) -> list[bytes]:
    return [leaf_hash(i.to_bytes(2), function) for i in range(size)]


def split(size: int) -> int:
    k = 1
    while 2 * k < size:
        k *= 2
    return k


def naive_root(leaves: list[bytes], function: HashFunction) -> bytes:
    if not leaves:
        return function(b"")
    if len(leaves) == 1:
        return leaves[0]
    k = split(len(leaves))
    return node_hash(naive_root(leaves[:k], function), naive_root(leaves[k:], function), function)


def naive_path(index: int, leaves: list[bytes], function: HashFunction) -> list[bytes]:
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if index < k:
        return [*naive_path(index, leaves[:k], function), naive_root(leaves[k:], function)]
    return [*naive_path(index - k, leaves[k:], function), naive_root(leaves[:k], function)]


def naive_subproof(size: int, leaves: list[bytes], known: bool, function: HashFunction) -> list[bytes]:
    if size == len(leaves):
        return [] if known else [naive_root(leaves, function)]
    k = split(len(leaves))
    if size <= k:
        return [*naive_subproof(size, leaves[:k], known, function), naive_root(leaves[k:], function)]
    return [*naive_subproof(size - k, leaves[k:], False, function), naive_root(leaves[:k], function)]


class CompleteSubtrees:
    """Answers for complete subtrees only, as tiles do."""

    def __init__(self, leaves: list[bytes], function: HashFunction) -> None:
        self.leaves, self.function = leaves, function

    def __call__(self, level: int, index: int) -> bytes:
        leaves = self.leaves[index << level : index + 1 << level]
        assert len(leaves) == 1 << level
        return naive_root(leaves, self.function)


@given(st.integers(min_value=0, max_value=70), HASHES)
def test_root_and_frontier_are_the_definition(size: int, function: HashFunction) -> None:
    leaves = leaves_of(size, function)
    frontier = CompactRange()
    for leaf in leaves:
        frontier = frontier.append(leaf, function)
    assert root(leaves, function) == frontier.root(function) == naive_root(leaves, function)
    assert frontier.size == size


@given(SIZES, st.data(), HASHES)
def test_inclusion_is_the_definition(size: int, data: st.DataObject, function: HashFunction) -> None:
    leaves = leaves_of(size, function)
    index = data.draw(st.integers(0, size - 1))
    proof = inclusion_proof(index, size, CompleteSubtrees(leaves, function), function)
    assert proof == naive_path(index, leaves, function)
    verify_inclusion(leaves[index], index, size, proof, naive_root(leaves, function), function)


@given(SIZES, st.data(), HASHES)
def test_consistency_is_the_definition(size: int, data: st.DataObject, function: HashFunction) -> None:
    leaves = leaves_of(size, function)
    old = data.draw(st.integers(1, size))
    proof = consistency_proof(old, size, CompleteSubtrees(leaves, function), function)
    assert proof == naive_subproof(old, leaves, True, function)
    old_root, new_root = naive_root(leaves[:old], function), naive_root(leaves, function)
    verify_consistency(old, size, old_root, new_root, proof, function)


@given(SIZES, st.data())
def test_inclusion_elsewhere_or_altered_is_refused(size: int, data: st.DataObject) -> None:
    leaves = leaves_of(size, sha256)
    index = data.draw(st.integers(0, size - 1))
    whole = naive_root(leaves, sha256)
    proof = naive_path(index, leaves, sha256)
    place = data.draw(st.integers(0, size + 70))
    other = data.draw(st.integers(0, len(proof)))
    altered = bytes([whole[0] ^ 1]) + whole[1:]
    if place != index:
        with pytest.raises(MerkleError):
            verify_inclusion(leaves[index], place, size, proof, whole, sha256)
    with pytest.raises(MerkleError):
        verify_inclusion(
            leaves[index], index, size, [*proof[:other], altered, *proof[other + 1 :]], altered, sha256
        )
    with pytest.raises(MerkleError):
        verify_inclusion(leaves[index], index, size, [*proof[:other], whole, *proof[other:]], whole, sha256)
    if proof:
        with pytest.raises(MerkleError):
            verify_inclusion(leaves[index], index, size, proof[:-1], whole, sha256)


@given(st.integers(min_value=2, max_value=70), st.data())
def test_consistency_altered_is_refused(size: int, data: st.DataObject) -> None:
    leaves = leaves_of(size, sha256)
    old = data.draw(st.integers(1, size - 1))
    roots = naive_root(leaves[:old], sha256), naive_root(leaves, sha256)
    proof = naive_subproof(old, leaves, True, sha256)
    at, bit = data.draw(st.integers(0, len(proof) - 1)), data.draw(st.integers(0, 255))
    altered = (int.from_bytes(proof[at]) ^ 1 << bit).to_bytes(32)
    refused = [
        (old, size, *roots, [*proof[:at], altered, *proof[at + 1 :]]),
        (old, size, *roots, proof[:-1]),
        (old, size, *roots, [*proof, roots[1]]),
        (old, size, roots[1], roots[1], proof),
        (old, size, roots[0], roots[0], proof),
        (size, old, *roots, proof),
    ]
    for case in refused:
        with pytest.raises(MerkleError):
            verify_consistency(*case, sha256)
