"""The state tree: the one root over all rows of the state (docs/spec/state.md).

A row (table, key, value) has the key hash SHA-256(encode([table, key])) and the value hash
SHA-256(value). It sits in the bucket that the first `bits` bits of its key hash number. A bucket's
content is key hash || value hash of its rows, sorted by key hash; the state root is the RFC 9162
SHA-256 root over the contents of all 2^bits buckets, empty ones included. So a proof shows neither
keys nor values of other rows, absence is proved by the same proof as presence, and a block rehashes
the buckets it touches and their ancestors alone.

The paper asks only that a change is noticed (V-B); this is how a node notices one in its own file.

Left out: the rows themselves, which storage keeps; several versions at once: the tree is the latest
state and steps back by undo records, newest first.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from hashlib import sha256
from itertools import pairwise

from msgspec import Struct

from gridmonitoring.blockchain import merkle
from gridmonitoring.encoding import hashes
from gridmonitoring.encoding.bounds import Bytes32
from gridmonitoring.encoding.cbor import encode
from gridmonitoring.errors import MerkleError

MAX_BITS = 24
"""Most bits of a key hash that number a bucket."""
ROW_SIZE = 64
"""Bytes of a row in a bucket: key hash || value hash."""


class RowProof(Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Proves that the state has a row, or that it has none of that key."""

    bucket: bytes
    """Content of the row's bucket: key hash || value hash of each row, sorted."""
    path: tuple[Bytes32, ...]
    """Hashes of the siblings from the bucket up to the root, one for each bit."""


class UndoRecord(Struct, frozen=True):
    """What an update replaced; given back to `StateTree.undo`, it did not happen."""

    contents: dict[int, bytes]
    """Contents before, by bucket."""
    root_before: bytes
    """State root before the update."""
    root_after: bytes
    """State root that the update led to."""


def row_key_hash(table: int, key: bytes) -> bytes:
    """Return SHA-256(encode([table, key])), which places the row."""
    return sha256(_key_head(table, len(key)) + key).digest()


def row_value_hash(value: bytes) -> bytes:
    """Return SHA-256(value)."""
    return sha256(value).digest()


def verify_row(
    table: int, key: bytes, value: bytes | None, proof: RowProof, state_root: bytes, bits: int
) -> None:
    """Check that the state under `state_root` holds `value` in this row, or no such row for None.

    `bits` is the chain's parameter. Raises `MerkleError`.
    """
    verify_row_hash(table, key, None if value is None else row_value_hash(value), proof, state_root, bits)


def verify_row_hash(
    table: int, key: bytes, value_hash: bytes | None, proof: RowProof, state_root: bytes, bits: int
) -> None:
    """As `verify_row`, for a value of which only the hash is known.

    1. The bucket is whole rows, strictly sorted, all of the bucket of this key.
    2. The bucket leads to the state root by exactly `bits` siblings.
    3. The bucket has the row with this value, or does not have it.
    """
    key_hash = row_key_hash(table, key)
    index = _bucket_of(key_hash, bits)
    # 1
    _check_content(proof.bucket, index, bits)
    # 2
    leaf = merkle.leaf_hash(proof.bucket, hashes.sha256)
    merkle.verify_inclusion(leaf, index, 1 << bits, proof.path, state_root, hashes.sha256)
    # 3
    found = _value_in(proof.bucket, key_hash)
    if found != value_hash:
        shown = "no such row" if found is None else "another value" if value_hash is not None else "a row"
        raise MerkleError(f"the state has {shown} at table {table}, key {key.hex()}")


class StateTree:
    """The buckets of all rows and every node above them, in memory.

    Takes about 64 bytes a row and 105 bytes a bucket. Levels count from the buckets' hashes
    (level 0) to the root (level `bits`).
    """

    __slots__ = ("_buckets", "_levels", "bits")

    def __init__(self, bits: int, rows: Iterable[tuple[bytes, bytes]] = ()) -> None:
        """Build the tree of 2^bits buckets over rows (key hash, value hash), in any order.

        Raises `MerkleError` where a key occurs twice or a hash has not 32 bytes.
        """
        if not 1 <= bits <= MAX_BITS:
            raise MerkleError(f"{bits} bits of buckets, 1 to {MAX_BITS} are possible")
        self.bits = bits
        """log2 of the number of buckets."""
        self._buckets = _filled_buckets(bits, rows)
        leaves = b"".join([sha256(b"\x00" + content).digest() for content in self._buckets])
        self._levels = [bytearray(leaves)]
        for _ in range(bits):
            below = bytes(self._levels[-1])
            nodes = [sha256(b"\x01" + below[at : at + 64]).digest() for at in range(0, len(below), 64)]
            self._levels.append(bytearray(b"".join(nodes)))

    @property
    def root(self) -> bytes:
        """The state root."""
        return bytes(self._levels[-1])

    def update(self, changes: Iterable[tuple[bytes, bytes | None]]) -> UndoRecord:
        """Set or, with None, delete rows given as (key hash, value hash), the later change winning.

        Returns the record that takes it back and has the new root. Raises `MerkleError`, the tree
        unchanged, where a hash has not 32 bytes.
        """
        fresh: dict[int, bytes] = {}
        buckets, shift = self._buckets, 32 - self.bits
        for key, value in changes:
            index = int.from_bytes(key[:4], "big") >> shift
            content = fresh.get(index)
            if content is None:
                content = buckets[index]
            at = content.find(key)
            # the usual case, a new value of a row:
            if value is not None and len(value) == 32 == len(key) and not at & 63:
                fresh[index] = content[: at + 32] + value + content[at + 64 :]
            else:
                fresh[index] = _changed(content, key, value)
        before = self.root
        replaced = self._replace(fresh)
        return UndoRecord(replaced, before, self.root)

    def undo(self, record: UndoRecord) -> UndoRecord:
        """Take an update back; of several, the newest first. Return the record that makes it again.

        Raises `MerkleError`, the tree unchanged, where the tree is not as the update left it.
        """
        if self.root != record.root_after:
            raise MerkleError("the state has changed since the update that is to be undone")
        return UndoRecord(self._replace(record.contents), record.root_after, record.root_before)

    def value_hash(self, key_hash: bytes) -> bytes | None:
        """Return the value hash of a row, or None where there is none."""
        return _value_in(self._buckets[_bucket_of(key_hash, self.bits)], key_hash)

    def prove(self, key_hash: bytes) -> RowProof:
        """Return the proof of the row, or of its absence, under the present root."""
        index = _bucket_of(key_hash, self.bits)
        path = [self.get_node(level, (index >> level) ^ 1) for level in range(self.bits)]
        return RowProof(self._buckets[index], tuple(path))

    def get_node(self, level: int, index: int) -> bytes:
        """Return the node at `index` of `level` (`merkle.GetNode`)."""
        nodes = self._levels[level]
        return bytes(nodes[32 * index : 32 * index + 32])

    def bucket(self, index: int) -> bytes:
        """Return the content of a bucket."""
        return self._buckets[index]

    def contents(self) -> list[bytes]:
        """Return the contents of all buckets as of now."""
        return list(self._buckets)

    def differing_buckets(self, get_node: merkle.GetNode) -> list[int]:
        """Return the buckets whose hashes are not those of another tree of the same size.

        It is asked for the nodes above differing buckets only, from its root down.
        """
        differing = [0]
        for level in range(self.bits, -1, -1):
            differing = [
                index for index in differing if get_node(level, index) != self.get_node(level, index)
            ]
            if level:
                differing = [child for index in differing for child in (2 * index, 2 * index + 1)]
        return differing

    def _replace(self, contents: dict[int, bytes]) -> dict[int, bytes]:
        """Put contents into buckets, rehash what is above them once, and return what was there.

        The busiest loop of a node: no calls but to the hash.
        """
        buckets, hash_ = self._buckets, sha256
        replaced = {}
        above = self._levels[0]
        for index, content in contents.items():
            replaced[index] = buckets[index]
            buckets[index] = content
            at = index << 5
            above[at : at + 32] = hash_(b"\x00" + content).digest()
        touched: Iterable[int] = contents
        for level in range(1, self.bits + 1):
            below, above = above, self._levels[level]
            touched = {index >> 1 for index in touched}
            for index in touched:
                at = index << 5
                above[at : at + 32] = hash_(b"\x01" + below[2 * at : 2 * at + 64]).digest()
        return replaced


def bucket_rows(content: bytes) -> list[tuple[bytes, bytes]]:
    """Return the rows of a bucket as (key hash, value hash)."""
    return [(content[at : at + 32], content[at + 32 : at + 64]) for at in range(0, len(content), ROW_SIZE)]


@lru_cache(maxsize=1024)
def _key_head(table: int, length: int) -> bytes:
    """Return what stands before the key in the encoding of [table, key of this length]."""
    whole = encode([table, bytes(length)])
    return whole[: len(whole) - length]


def _bucket_of(key_hash: bytes, bits: int) -> int:
    return int.from_bytes(key_hash[:4], "big") >> 32 - bits


def _value_in(content: bytes, key_hash: bytes) -> bytes | None:
    """Return the value hash of a key hash in a bucket; matches across rows do not count."""
    at = content.find(key_hash)
    while at & 63:
        if at < 0:
            return None
        at = content.find(key_hash, at + 1)
    return content[at + 32 : at + 64]


def _changed(content: bytes, key_hash: bytes, value_hash: bytes | None) -> bytes:
    """Return the content of a bucket with a row set, or without it for None."""
    if len(key_hash) != 32 or (value_hash is not None and len(value_hash) != 32):
        raise MerkleError("a row of the state tree is two hashes of 32 bytes")
    low, high = 0, len(content) // ROW_SIZE
    while low < high:
        middle = (low + high) // 2
        if content[middle * ROW_SIZE : middle * ROW_SIZE + 32] < key_hash:
            low = middle + 1
        else:
            high = middle
    at = low * ROW_SIZE
    after = at + ROW_SIZE if content[at : at + 32] == key_hash else at
    row = b"" if value_hash is None else key_hash + value_hash
    return content[:at] + row + content[after:]


def _filled_buckets(bits: int, rows: Iterable[tuple[bytes, bytes]]) -> list[bytes]:
    """Return the contents of all buckets; raises `MerkleError` on a double key or a wrong length."""
    buckets = [b""] * (1 << bits)
    for key_hash, value_hash in rows:
        if len(key_hash) != 32 or len(value_hash) != 32:
            raise MerkleError("a row of the state tree is two hashes of 32 bytes")
        buckets[_bucket_of(key_hash, bits)] += key_hash + value_hash
    for index, unsorted in enumerate(buckets):
        if len(unsorted) > ROW_SIZE:
            content = b"".join(
                sorted(unsorted[at : at + ROW_SIZE] for at in range(0, len(unsorted), ROW_SIZE))
            )
            _check_content(content, index, bits)
            buckets[index] = content
    return buckets


def _check_content(content: bytes, index: int, bits: int) -> None:
    """Raise `MerkleError` unless this is whole rows of this bucket, strictly sorted."""
    keys = [content[at : at + 32] for at in range(0, len(content), ROW_SIZE)]
    if len(content) % ROW_SIZE:
        raise MerkleError(f"a bucket of {len(content)} bytes is not made of whole rows")
    if any(left >= right for left, right in pairwise(keys)):
        raise MerkleError(f"bucket {index} is not strictly sorted by key hash")
    if any(_bucket_of(key, bits) != index for key in keys):
        raise MerkleError(f"a row in bucket {index} belongs to another bucket")
