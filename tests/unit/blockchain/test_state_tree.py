from __future__ import annotations

import hashlib

import pytest

from gridmonitoring.blockchain import merkle
from gridmonitoring.blockchain.state_tree import (
    MAX_BITS,
    RowProof,
    StateTree,
    bucket_rows,
    row_key_hash,
    row_value_hash,
    verify_row,
)
from gridmonitoring.encoding.cbor import decode, encode
from gridmonitoring.encoding.hashes import sha256
from gridmonitoring.errors import EncodingError, MerkleError

BITS = 4
ROWS = {(table, bytes([i])): b"value %d" % i for table in (1, 2) for i in range(40)}
HASHED = [(row_key_hash(*row), row_value_hash(value)) for row, value in ROWS.items()]


def tree() -> StateTree:
    return StateTree(BITS, HASHED)


def test_key_hash_is_of_the_encoding() -> None:
    for table, key in [(0, b""), (6, bytes(16)), (23, bytes(23)), (24, bytes(24)), (300, bytes(300))]:
        assert row_key_hash(table, key) == hashlib.sha256(encode([table, key])).digest()
    assert row_value_hash(b"x") == hashlib.sha256(b"x").digest()


def test_empty_tree_is_all_empty_buckets() -> None:
    leaves = [merkle.leaf_hash(b"", sha256)] * 16
    assert StateTree(BITS).root == merkle.root(leaves, sha256)


def test_root_is_the_definition_whatever_the_order_of_rows() -> None:
    contents = [b""] * 16
    for key, value in sorted(HASHED):
        contents[key[0] >> 4] += key + value
    expected = merkle.root([merkle.leaf_hash(content, sha256) for content in contents], sha256)
    grown = StateTree(BITS)
    grown.update(reversed(HASHED))
    assert tree().root == StateTree(BITS, reversed(HASHED)).root == grown.root == expected
    assert [tree().bucket(index) for index in range(16)] == contents
    assert bucket_rows(contents[3]) == sorted(row for row in HASHED if row[0][0] >> 4 == 3)


def test_lookup() -> None:
    state = tree()
    assert all(state.value_hash(key) == value for key, value in HASHED)
    assert state.value_hash(row_key_hash(3, b"absent")) is None


def test_a_key_hash_that_lies_across_rows_is_not_found() -> None:
    # A row whose value is the encoding of another key has that key's hash as its value hash.
    key, other = row_key_hash(1, b"\x00"), row_key_hash(1, b"\x01")
    state = StateTree(1)
    state.update([(bytes([other[0] & 0x80]) + key[1:], other)])
    assert state.value_hash(other) is None
    state.update([(other, key)])
    assert state.value_hash(other) == key


@pytest.mark.parametrize("offset", [1, 2, 16, 31, 32, 33, 63])
def test_a_key_hash_that_lies_across_rows_is_a_row_of_its_own(offset: int) -> None:
    rows = [
        (bytes([number]) + bytes(range(1, 32)), bytes(range(32 + number, 64 + number))) for number in (1, 2)
    ]
    across = b"".join(key + value for key, value in rows)[offset : offset + 32]
    state = StateTree(1, rows)
    state.update([(across, bytes(32))])
    assert state.root == StateTree(1, [*rows, (across, bytes(32))]).root
    assert state.value_hash(across) == bytes(32)
    assert [state.value_hash(key) for key, _ in rows] == [value for _, value in rows]


def test_update_undo_leaves_the_tree_as_it_was() -> None:
    state, untouched = tree(), tree()
    first = state.update([(HASHED[0][0], None), (HASHED[1][0], bytes(32)), (sha256(b"new"), bytes(32))])
    second = state.update([(HASHED[1][0], None)])
    assert first.root_before == untouched.root
    assert (first.root_after, second.root_after) == (second.root_before, state.root)
    with pytest.raises(MerkleError, match="has changed"):
        state.undo(first)
    state.undo(second)
    state.undo(first)
    assert state.root == untouched.root
    assert state.differing_buckets(untouched.get_node) == []
    assert [state.bucket(index) for index in range(16)] == [untouched.bucket(index) for index in range(16)]


def test_the_later_change_of_one_update_wins() -> None:
    state, key = StateTree(BITS), HASHED[0][0]
    state.update([(key, bytes(32)), (key, None), (key, b"\x01" * 32)])
    assert state.root == StateTree(BITS, [(key, b"\x01" * 32)]).root
    state.update([(key, None), (key, None)])
    assert state.root == StateTree(BITS).root


@pytest.mark.parametrize(
    "change",
    [
        (b"k" * 31, bytes(32)),
        (HASHED[0][0][:31], bytes(32)),
        (min(HASHED)[0][:31], bytes(32)),
        (min(HASHED)[0][:31], bytes(31)),
        (b"".join(min(HASHED))[:33], bytes(33)),
        (b"", bytes(32)),
        (HASHED[0][0], bytes(31)),
        (HASHED[0][0], bytes(33)),
        (sha256(b"new"), b""),
        (b"", None),
    ],
)
def test_hashes_of_another_length_leave_the_tree_unchanged(change: tuple[bytes, bytes | None]) -> None:
    state = tree()
    with pytest.raises(MerkleError, match="32 bytes"):
        state.update([(HASHED[3][0], None), change])
    assert state.root == tree().root
    assert state.value_hash(HASHED[3][0]) == HASHED[3][1]


def test_impossible_trees_are_refused() -> None:
    with pytest.raises(MerkleError, match="not strictly sorted"):
        StateTree(BITS, [HASHED[0], (HASHED[0][0], bytes(32))])
    with pytest.raises(MerkleError, match="32 bytes"):
        StateTree(BITS, [(b"k", bytes(32))])
    assert MAX_BITS == 24
    for bits in (0, 25, -1):
        with pytest.raises(MerkleError, match="are possible"):
            StateTree(bits)


def test_two_trees_are_compared_from_the_root_down() -> None:
    state, other = tree(), tree()
    changed = [HASHED[5][0], HASHED[6][0]]
    other.update([(key, bytes(32)) for key in changed])
    asked = []

    def get_node(level: int, index: int) -> bytes:
        asked.append((level, index))
        return other.get_node(level, index)

    assert state.differing_buckets(get_node) == sorted({key[0] >> 4 for key in changed})
    assert asked[0] == (BITS, 0)
    assert len(asked) <= 1 + 2 * 2 * BITS
    assert state.differing_buckets(tree().get_node) == []


def test_presence_and_absence_are_proved() -> None:
    state = tree()
    for (table, key), value in ROWS.items():
        proof = state.prove(row_key_hash(table, key))
        verify_row(table, key, value, proof, state.root, BITS)
        for wrong, message in ((b"other", "another value"), (None, "a row")):
            with pytest.raises(
                MerkleError, match=f"^the state has {message} at table {table}, key {key.hex()}$"
            ):
                verify_row(table, key, wrong, proof, state.root, BITS)
    proof = state.prove(row_key_hash(9, b"absent"))
    verify_row(9, b"absent", None, proof, state.root, BITS)
    with pytest.raises(MerkleError, match=r"^the state has no such row at table 9"):
        verify_row(9, b"absent", b"", proof, state.root, BITS)


def test_a_path_is_an_inclusion_proof() -> None:
    state = tree()
    key = HASHED[7][0]
    path = merkle.inclusion_proof(key[0] >> 4, 16, state.get_node, sha256)
    assert state.prove(key).path == tuple(path)


def test_absence_is_not_proved_by_another_bucket() -> None:
    state = tree()
    (table, key), value = next(iter(ROWS.items()))
    own = row_key_hash(table, key)[0] >> 4
    other = next(hashed for hashed, _ in HASHED if hashed[0] >> 4 != own)
    with pytest.raises(MerkleError, match="belongs to another bucket"):
        verify_row(table, key, None, state.prove(other), state.root, BITS)
    verify_row(table, key, value, state.prove(row_key_hash(table, key)), state.root, BITS)


def test_a_bucket_that_is_not_well_formed_is_refused_even_under_its_root() -> None:
    # Whoever could make a root over unsorted or doubled rows could show one value and another.
    key, other = sorted(row[0] for row in HASHED if row[0][0] >> 4 == 3)[:2]
    table_key = next(row for row in ROWS if row_key_hash(*row) == key)
    for content in (
        key + sha256(b"a") + key + sha256(b"b"),
        other + bytes(32) + key + bytes(32),
        key + sha256(b"a") + other,
    ):
        leaves = [merkle.leaf_hash(content if index == 3 else b"", sha256) for index in range(16)]

        def get_node(level: int, index: int, leaves: list[bytes] = leaves) -> bytes:
            return merkle.root(leaves[index << level : index + 1 << level], sha256)

        path = merkle.inclusion_proof(3, 16, get_node, sha256)
        with pytest.raises(MerkleError, match="bucket"):
            verify_row(*table_key, b"a", RowProof(content, tuple(path)), merkle.root(leaves, sha256), BITS)


def test_a_proof_is_for_one_number_of_buckets() -> None:
    state = tree()
    (table, key), value = next(iter(ROWS.items()))
    proof = state.prove(row_key_hash(table, key))
    for bits in (BITS - 1, BITS + 1):
        with pytest.raises(MerkleError):
            verify_row(table, key, value, proof, state.root, bits)


def test_a_proof_has_one_encoding() -> None:
    proof = tree().prove(HASHED[0][0])
    assert decode(encode(proof), RowProof) == proof
    with pytest.raises(EncodingError):
        decode(encode([proof.bucket, [bytes(31)]]), RowProof)
