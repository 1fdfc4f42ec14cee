"""Rows that come, go and change during a pass are not missed; one that is missing is noticed (V-B)."""

from __future__ import annotations

from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from gridmonitoring.blockchain.state_tree import StateTree, row_key_hash
from gridmonitoring.runtime.watching_rows import short_bucket

BITS = 3
KEYS = st.sets(st.integers(0, 60), max_size=40)


def hash_of(key: int) -> bytes:
    return row_key_hash(6, key.to_bytes(16, "big"))


def value(key: int, version: int) -> bytes:
    return sha256(bytes((key, version))).digest()


def sums(keys: set[int]) -> list[int]:
    seen = [0] * (1 << BITS)
    for key in keys:
        head = hash_of(key)
        seen[head[0] >> 8 - BITS] ^= int.from_bytes(head[:8], "big")
    return seen


@given(KEYS, st.data())
def test_a_missing_row_is_told_from_one_that_came_or_went(present: set[int], data: st.DataObject) -> None:
    tree = StateTree(BITS, [(hash_of(key), value(key, 1)) for key in present])
    before = tree.contents()
    gone = data.draw(st.sets(st.sampled_from(sorted(present)), max_size=3)) if present else set()
    come = data.draw(st.sets(st.integers(61, 90), max_size=3))
    changed = data.draw(st.sets(st.sampled_from(sorted(present)))) if present else set()
    tree.update(
        [
            *((hash_of(key), value(key, 2)) for key in changed - gone),
            *((hash_of(key), None) for key in gone),
            *((hash_of(key), value(key, 1)) for key in come),
        ]
    )
    always = present - gone
    sometimes = gone | come
    seen = always | (data.draw(st.sets(st.sampled_from(sorted(sometimes)))) if sometimes else set())
    assert short_bucket(before, tree, sums(seen)) == 0
    for key in always:
        assert short_bucket(before, tree, sums(seen - {key})) == (hash_of(key)[0] >> 8 - BITS) + 1
