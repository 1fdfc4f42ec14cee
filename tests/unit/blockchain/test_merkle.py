from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from gridmonitoring.blockchain.merkle import (
    CompactRange,
    append_leaf,
    consistency_proof,
    empty_root,
    inclusion_proof,
    leaf_hash,
    node_hash,
    range_root,
    root,
    verify_consistency,
    verify_inclusion,
)
from gridmonitoring.encoding.hashes import sha256, sha256d
from gridmonitoring.errors import MerkleError

VECTORS: dict[str, dict[str, dict[str, Any]]] = json.loads(
    (Path(__file__).parents[2] / "vectors" / "rfc9162_proofs.json").read_text()
)
LEAVES = [leaf_hash(bytes([i]), sha256) for i in range(7)]


def node_of(level: int, index: int) -> bytes:
    width = 1 << level
    leaves = LEAVES[index * width : (index + 1) * width]
    assert len(leaves) == width
    return root(leaves, sha256)


def bytes_of(text: str | None) -> bytes:
    return base64.b64decode(text or "", validate=True)


def decide(kind: str, case: dict[str, Any]) -> None:
    proof = [bytes_of(item) for item in case["proof"] or []]
    if kind == "inclusion":
        verify_inclusion(
            bytes_of(case["leafHash"]),
            case["leafIdx"],
            case["treeSize"],
            proof,
            bytes_of(case["root"]),
            sha256,
        )
    else:
        verify_consistency(
            case["size1"], case["size2"], bytes_of(case["root1"]), bytes_of(case["root2"]), proof, sha256
        )


def test_there_are_196_published_proofs() -> None:
    assert [len(VECTORS[kind]) for kind in ("inclusion", "consistency")] == [98, 98]
    assert sum(case["wantErr"] for cases in VECTORS.values() for case in cases.values()) == 184


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind, cases in VECTORS.items() for name in cases]
)
def test_published_proof_is_decided_right(kind: str, name: str) -> None:
    case = VECTORS[kind][name]
    if case["wantErr"]:
        with pytest.raises(MerkleError):
            decide(kind, case)
    else:
        decide(kind, case)


def test_domains_of_leaf_node_and_empty_tree() -> None:
    assert leaf_hash(b"x", sha256) == hashlib.sha256(b"\x00x").digest()
    assert node_hash(b"l" * 32, b"r" * 32, sha256) == hashlib.sha256(b"\x01" + b"l" * 32 + b"r" * 32).digest()
    assert leaf_hash(b"x", sha256d) == hashlib.sha256(leaf_hash(b"x", sha256)).digest()
    assert root([], sha256) == empty_root(sha256) == range_root(0, b"", sha256) == hashlib.sha256().digest()


def test_shape_of_seven_leaves() -> None:
    def pair(left: bytes, right: bytes) -> bytes:
        return node_hash(left, right, sha256)

    a, b, c, d, e, f, g = LEAVES
    abcd, ef = pair(pair(a, b), pair(c, d)), pair(e, f)
    assert root(LEAVES, sha256) == pair(abcd, pair(ef, g))
    assert inclusion_proof(6, 7, node_of, sha256) == [ef, abcd]
    assert inclusion_proof(4, 7, node_of, sha256) == [f, g, abcd]
    assert consistency_proof(3, 7, node_of, sha256) == [c, d, pair(a, b), pair(ef, g)]
    assert consistency_proof(4, 7, node_of, sha256) == [pair(ef, g)]


def test_a_last_leaf_is_never_doubled() -> None:
    assert root(LEAVES[:3], sha256) != root([*LEAVES[:3], LEAVES[2]], sha256)


def test_range_appends_without_changing_the_old_one() -> None:
    empty = CompactRange()
    one = empty.append(LEAVES[0], sha256)
    two = one.append(LEAVES[1], sha256)
    assert (empty, one.size, two.size) == (CompactRange(0, b""), 1, 2)
    assert one.peaks == LEAVES[0]
    assert two.peaks == two.root(sha256) == node_hash(LEAVES[0], LEAVES[1], sha256)
    assert append_leaf(2, two.peaks, LEAVES[2], sha256) == two.peaks + LEAVES[2]


@pytest.mark.parametrize(
    ("size", "peaks"), [(-1, b""), (-1, bytes(32)), (0, bytes(32)), (1, b""), (3, bytes(32)), (2, bytes(31))]
)
def test_peaks_of_another_size_are_refused(size: int, peaks: bytes) -> None:
    with pytest.raises(MerkleError, match="peaks"):
        range_root(size, peaks, sha256)


@pytest.mark.parametrize(("index", "size"), [(0, 0), (-1, 7), (7, 7), (8, 7), (0, -1)])
def test_no_inclusion_outside_the_tree(index: int, size: int) -> None:
    with pytest.raises(MerkleError, match="no leaf"):
        inclusion_proof(index, size, node_of, sha256)
    with pytest.raises(MerkleError, match="no leaf"):
        verify_inclusion(LEAVES[0], index, size, [], LEAVES[0], sha256)


@pytest.mark.parametrize(("size1", "size2"), [(0, 0), (0, 7), (-1, 7), (7, 6), (-2, -1)])
def test_no_consistency_of_impossible_sizes(size1: int, size2: int) -> None:
    with pytest.raises(MerkleError, match="does not grow"):
        consistency_proof(size1, size2, node_of, sha256)
    with pytest.raises(MerkleError, match="does not grow"):
        verify_consistency(size1, size2, LEAVES[0], LEAVES[0], [], sha256)


def test_hashes_of_another_length_are_refused() -> None:
    # The two halves of what is hashed can be cut elsewhere without changing the hash.
    left, right = LEAVES[0], LEAVES[1]
    joined = node_hash(left, right, sha256)
    with pytest.raises(MerkleError, match="a hash of 33 bytes"):
        verify_inclusion(left + right[:1], 0, 2, [right[1:]], joined, sha256)
    with pytest.raises(MerkleError, match="bytes in a proof"):
        verify_consistency(1, 2, left + right[:1], joined, [right[1:]], sha256)


def test_equal_sizes_take_equal_roots_and_no_proof() -> None:
    whole = root(LEAVES, sha256)
    verify_consistency(7, 7, whole, whole, [], sha256)
    assert consistency_proof(7, 7, node_of, sha256) == []
    with pytest.raises(MerkleError, match="two roots"):
        verify_consistency(7, 7, whole, LEAVES[0], [], sha256)
    with pytest.raises(MerkleError, match="two roots"):
        verify_consistency(7, 7, whole, whole, [whole], sha256)


def test_a_proof_under_another_hash_function_is_refused() -> None:
    proof = inclusion_proof(2, 7, node_of, sha256)
    verify_inclusion(LEAVES[2], 2, 7, proof, root(LEAVES, sha256), sha256)
    with pytest.raises(MerkleError, match="does not lead"):
        verify_inclusion(LEAVES[2], 2, 7, proof, root(LEAVES, sha256), sha256d)
