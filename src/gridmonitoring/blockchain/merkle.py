"""Merkle trees of the shape of RFC 9162 section 2.1, the hash function being a parameter (paper V-B).

A leaf is H(0x00 || data), a node H(0x01 || left || right), and a tree of n leaves splits at the
largest power of two below n, so no leaf is ever duplicated (CVE-2012-2459). Blocks pass sha256d,
the log and the state SHA-256.

Proofs are made from a function that returns the hash of a complete subtree, not from a store; and
an append-only tree needs its peaks alone: the roots of the complete subtrees that its leaves make
up, largest first, one for each bit set in its size.

Left out: storage (`log` lays nodes out in tiles), sparse and ordered trees, proofs of several leaves
at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct

from gridmonitoring.errors import MerkleError

HashFunction = Callable[[bytes], bytes]
"""Bytes to 32 bytes."""
GetNode = Callable[[int, int], bytes]
"""(level, index) to the 32-byte root of leaves index * 2^level to (index + 1) * 2^level, which all exist."""

HASH_SIZE = 32
"""Bytes of a hash."""


def leaf_hash(data: bytes, hash_function: HashFunction) -> bytes:
    """Return H(0x00 || data), 32 bytes."""
    return hash_function(b"\x00" + data)


def node_hash(left: bytes, right: bytes, hash_function: HashFunction) -> bytes:
    """Return H(0x01 || left || right), 32 bytes."""
    return hash_function(b"\x01" + left + right)


def empty_root(hash_function: HashFunction) -> bytes:
    """Return H(""), the root of a tree without leaves."""
    return hash_function(b"")


def root(leaf_hashes: Sequence[bytes], hash_function: HashFunction) -> bytes:
    """Return the root of the tree over `leaf_hashes` (32 bytes each)."""
    level = list(leaf_hashes)
    if not level:
        return empty_root(hash_function)
    while len(level) > 1:
        pairs = zip(level[::2], level[1::2], strict=False)
        above = [hash_function(b"\x01" + left + right) for left, right in pairs]
        if len(level) % 2:
            above.append(level[-1])  # moves up unpaired: the shape of RFC 9162, nothing is duplicated
        level = above
    return level[0]


def append_leaf(size: int, peaks: bytes, leaf: bytes, hash_function: HashFunction) -> bytes:
    """Return the peaks of size + 1 leaves, given those of `size` leaves and the next leaf's hash."""
    node, end = leaf, len(peaks)
    while size & 1:
        node = hash_function(b"\x01" + peaks[end - 32 : end] + node)
        end -= 32
        size >>= 1
    return peaks[:end] + node


def range_root(size: int, peaks: bytes, hash_function: HashFunction) -> bytes:
    """Return the root of the tree of `size` leaves with these peaks.

    Raises `MerkleError` where the number of peaks is not the one of `size`.
    """
    if size < 0 or len(peaks) != HASH_SIZE * size.bit_count():
        raise MerkleError(f"{len(peaks)} bytes of peaks do not belong to {size} leaves")
    if not size:
        return empty_root(hash_function)
    node = peaks[-HASH_SIZE:]
    for end in range(len(peaks) - HASH_SIZE, 0, -HASH_SIZE):
        node = hash_function(b"\x01" + peaks[end - HASH_SIZE : end] + node)
    return node


class CompactRange(Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """The frontier of an append-only tree: all it takes to append and to know the root."""

    size: int = 0
    """Number of leaves."""
    peaks: bytes = b""
    """Roots of the complete subtrees, 32 bytes each, largest subtree first."""

    def append(self, leaf: bytes, hash_function: HashFunction) -> CompactRange:
        """Return the range with one more leaf hash."""
        return CompactRange(self.size + 1, append_leaf(self.size, self.peaks, leaf, hash_function))

    def root(self, hash_function: HashFunction) -> bytes:
        """Return the root of the tree."""
        return range_root(self.size, self.peaks, hash_function)


def inclusion_proof(index: int, size: int, get_node: GetNode, hash_function: HashFunction) -> list[bytes]:
    """Return the audit path of leaf `index` in the tree of its first `size` leaves, lowest first.

    `hash_function` joins the complete subtrees of the right edge. Raises `MerkleError` unless
    0 <= index < size.
    """
    if not 0 <= index < size:
        raise MerkleError(f"no leaf {index} in a tree of {size} leaves")
    proof = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            proof.append(_subtree(middle, end, get_node, hash_function))
            end = middle
        else:
            proof.append(_subtree(start, middle, get_node, hash_function))
            start = middle
    proof.reverse()
    return proof


def consistency_proof(size1: int, size2: int, get_node: GetNode, hash_function: HashFunction) -> list[bytes]:
    """Return the proof that the first `size1` leaves of the tree of `size2` leaves were not changed.

    Empty where the sizes are equal. Raises `MerkleError` unless 0 < size1 <= size2.
    """
    if not 0 < size1 <= size2:
        raise MerkleError(f"a tree of {size1} leaves does not grow to one of {size2}")
    proof = []
    start, end = 0, size2
    while size1 != end:
        middle = start + _split(end - start)
        if size1 <= middle:
            proof.append(_subtree(middle, end, get_node, hash_function))
            end = middle
        else:
            proof.append(_subtree(start, middle, get_node, hash_function))
            start = middle
    if start:  # else this subtree is the old tree, whose root the verifier has
        proof.append(_subtree(start, end, get_node, hash_function))
    proof.reverse()
    return proof


def verify_inclusion(
    leaf: bytes,
    index: int,
    size: int,
    proof: Sequence[bytes],
    expected_root: bytes,
    hash_function: HashFunction,
) -> None:
    """Check that the leaf hash `leaf` is at `index` in the tree of `size` leaves with `expected_root`.

    Raises `MerkleError`. RFC 9162 section 2.1.3.2; the proof has exactly the length that index and
    size ask for.
    """
    if not 0 <= index < size:
        raise MerkleError(f"no leaf {index} in a tree of {size} leaves")
    # Below the level where this leaf's path joins the tree's right edge each level has a sibling;
    # above it only those where the path is a right child.
    inner = (index ^ (size - 1)).bit_length()
    _check_hashes([leaf, *proof], 1 + inner + (index >> inner).bit_count())
    node = leaf
    for level, sibling in enumerate(proof[:inner]):
        if index >> level & 1:
            node = hash_function(b"\x01" + sibling + node)
        else:
            node = hash_function(b"\x01" + node + sibling)
    for sibling in proof[inner:]:
        node = hash_function(b"\x01" + sibling + node)
    if node != expected_root:
        raise MerkleError(f"leaf {index} of {size} does not lead to the root")


def verify_consistency(
    size1: int, size2: int, root1: bytes, root2: bytes, proof: Sequence[bytes], hash_function: HashFunction
) -> None:
    """Check that the tree of `size2` leaves with `root2` only appends to that of `size1` leaves with `root1`.

    Raises `MerkleError`. RFC 9162 section 2.1.4.2. Nothing can be proved about the empty tree, so
    size1 is at least 1; equal sizes take equal roots and an empty proof.
    """
    if not 0 < size1 <= size2:
        raise MerkleError(f"a tree of {size1} leaves does not grow to one of {size2}")
    if size1 == size2:
        if proof or root1 != root2:
            raise MerkleError(f"two roots, or a proof, for one size of {size1} leaves")
        return
    # The path starts at the last complete subtree of the old tree, at this level:
    level = (size1 & -size1).bit_length() - 1
    index = (size1 - 1) >> level
    inner = (index ^ ((size2 - 1) >> level)).bit_length()
    path = [root1, *proof] if index == 0 else list(proof)
    _check_hashes([root1, root2, *path], 3 + inner + (index >> inner).bit_count())
    old = new = path[0]
    for level, sibling in enumerate(path[1:]):
        if level >= inner or index >> level & 1:
            old = hash_function(b"\x01" + sibling + old)
            new = hash_function(b"\x01" + sibling + new)
        else:
            new = hash_function(b"\x01" + new + sibling)
    if old != root1 or new != root2:
        raise MerkleError(f"the tree of {size2} leaves does not continue that of {size1}")


def _split(size: int) -> int:
    """Return the largest power of two below `size` (at least 2): the leaves of the left subtree."""
    return 1 << (size - 1).bit_length() - 1


def _subtree(start: int, end: int, get_node: GetNode, hash_function: HashFunction) -> bytes:
    """Return the root of leaves start to end of a tree, joining its complete subtrees from the right."""
    width = end - start
    node = b""
    while width:
        level = (width & -width).bit_length() - 1
        width -= 1 << level
        peak = get_node(level, start + width >> level)
        node = hash_function(b"\x01" + peak + node) if node else peak
    return node


def _check_hashes(hashes: Sequence[bytes], count: int) -> None:
    """Raise `MerkleError` unless there are `count` hashes of 32 bytes."""
    if len(hashes) != count:
        raise MerkleError(f"a proof of {len(hashes)} hashes where {count} are needed, ends included")
    for item in hashes:
        if len(item) != HASH_SIZE:
            raise MerkleError(f"a hash of {len(item)} bytes in a proof")
