"""Reading the rows of a node's state again, against the state tree in memory (paper V-B).

Left out: naming the fields that differ, which whoever confirms a suspicion does (`incidents`).
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from itertools import combinations

from gridmonitoring.blockchain.bodies import Part
from gridmonitoring.blockchain.state_rows import Table
from gridmonitoring.blockchain.state_tree import ROW_SIZE, StateTree, row_key_hash
from gridmonitoring.processing.rows import decode_row
from gridmonitoring.runtime.storage.tables import Values
from gridmonitoring.runtime.under_watch import ROWS_AT_ONCE, NodeUnderWatch, Slices, Suspicion

LOOKED_AGAIN = 3
"""How often a row that differs is looked at again, at the end of its table, before it is a suspicion."""
MOST_OPTIONAL = 10
"""Rows of a bucket that came or went during a pass; with more of them a missing one is suspected."""


def watch_rows(node: NodeUnderWatch) -> Slices:
    """Hold every row against the tree, and see that no row of the tree is missing.

    Each bucket sums (by exclusive or) the key hashes of rows seen; at the end they are compared with the rows
    that it had all the time, and any of those that came or went meanwhile.
    """
    before = node.application.tree.contents()
    seen = array("Q", bytes(8 * len(before)))
    doubtful: list[Values] = []
    node.rows = 0
    for rows in _pages(node):
        for row in rows:
            if not _is_good(node, row, seen):
                doubtful.append(row)
            elif row[0] == Table.METER:
                node.silent(row[1], decode_row(row[0], row[2]))
        node.rows += len(rows)
        yield None
    for _ in range(LOOKED_AGAIN):
        yield None
        doubtful = [row for row in doubtful if _differs(node, row)]
    for row in doubtful:
        yield Suspicion(node.name, Part.ROW, row[:2], "is not what the state tree has")
    if index := short_bucket(before, node.application.tree, seen):
        yield Suspicion(node.name, Part.ROW, (), f"a row of bucket {index - 1} is missing")


def _pages(node: NodeUnderWatch) -> Iterator[list[Values]]:
    """Yield the stored rows of the state in order, some at a time, each page as it is then."""
    sql = "SELECT tbl, key, value FROM row {} ORDER BY tbl, key LIMIT ?"
    rows = list(node.truth.scan(sql.format(""), ROWS_AT_ONCE))
    while rows:
        yield rows
        rows = list(node.truth.scan(sql.format("WHERE (tbl, key) > (?, ?)"), *rows[-1][:2], ROWS_AT_ONCE))


def _is_good(node: NodeUnderWatch, row: Values, seen: array[int]) -> bool:
    """Add a row to what was seen of its bucket, and tell whether it is what the tree has now."""
    key_hash = _key_hash(row)
    if not key_hash:
        return False
    tree = node.application.tree
    seen[int.from_bytes(key_hash[:4], "big") >> 32 - tree.bits] ^= int.from_bytes(key_hash[:8], "big")
    return tree.value_hash(key_hash) == sha256(row[2]).digest()


def _key_hash(row: Values) -> bytes:
    """Return the key hash of a stored row, or nothing where its columns are not of a row's types."""
    table, key, value = row
    if not isinstance(table, int) or not isinstance(key, bytes) or not isinstance(value, bytes):
        return b""
    return row_key_hash(table, key) if table >= 0 else b""


def _differs(node: NodeUnderWatch, row: Values) -> bool:
    if not _key_hash(row):
        return True
    found = list(node.truth.scan("SELECT value FROM row WHERE tbl = ? AND key = ?", *row[:2]))
    expected = node.application.tree.value_hash(row_key_hash(*row[:2]))
    now = sha256(found[0][0]).digest() if found and isinstance(found[0][0], bytes) else None
    return now != expected


def short_bucket(before: Sequence[bytes], tree: StateTree, seen: Sequence[int]) -> int:
    """Return one more than the first bucket of which a row was not seen, or 0.

    `before` are the buckets' contents when the pass began, `tree` has those of now, `seen` the sums of the
    key hashes of rows that were seen.
    """
    for index, content in enumerate(before):
        present = tree.bucket(index)
        if present is content:
            if (seen[index] or content) and _sum(_keys(content)) != seen[index]:
                return index + 1
            continue
        had, has = _keys(content), _keys(present)
        left = seen[index] ^ _sum(had & has)
        optional = had ^ has
        if left and (len(optional) > MOST_OPTIONAL or not _sums_to(left, sorted(optional))):
            return index + 1
    return 0


def _sum(keys: Iterable[int]) -> int:
    total = 0
    for key in keys:
        total ^= key
    return total


def _keys(content: bytes) -> set[int]:
    return {int.from_bytes(content[at : at + 8], "big") for at in range(0, len(content), ROW_SIZE)}


def _sums_to(wanted: int, keys: Sequence[int]) -> bool:
    """Tell whether some of the keys sum to a number by exclusive or."""
    return any(
        _sum(some) == wanted for count in range(1, len(keys) + 1) for some in combinations(keys, count)
    )
