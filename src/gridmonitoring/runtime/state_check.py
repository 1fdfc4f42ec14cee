"""A stored state held against another, tree against tree; every row that differs is named (spec: state).

The trees are compared from the roots down to the buckets that differ, and only rows in those are
looked at one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Protocol

from msgspec import Struct

from gridmonitoring.blockchain.state_tree import StateTree, bucket_rows, row_key_hash
from gridmonitoring.errors import EncodingError
from gridmonitoring.processing.rows import decode_row
from gridmonitoring.runtime.findings import MISSING, SHOWN, Finding, Report, show, show_key
from gridmonitoring.runtime.storage.tables import Values
from gridmonitoring.runtime.storage.truth import row_name


class Reference(Protocol):
    """The state as it should be."""

    @property
    def tree(self) -> StateTree:
        """Its tree."""
        ...

    def rows(self) -> Iterator[tuple[int, bytes, bytes]]:
        """Yield (table, key, encoded value) of every row."""
        ...

    def value(self, table: int, key: bytes) -> bytes | None:
        """Return the encoded value of a row, or None."""
        ...


StoredRows = Callable[[], Iterator[Values]]
"""Yields (table, key, value) as they are stored, each time from the start."""
FindRow = Callable[[int, bytes], bytes | None]
"""(table, key) -> value of a stored row, or None."""


class StoredState:
    """The state as a file has it, with its tree."""

    def __init__(self, bits: int, stored_rows: StoredRows, find: FindRow) -> None:
        self._stored_rows = stored_rows
        self._find = find
        self.count = 0
        """Rows in the tree."""
        self.odd: list[Values] = []
        """Stored rows that are no rows of a state: columns of other types."""
        self.tree = StateTree(bits, self._hashed())
        """Tree of all others."""

    def _hashed(self) -> Iterator[tuple[bytes, bytes]]:
        for row in self._stored_rows():
            key_hash = _key_hash(row)
            if key_hash:
                self.count += 1
                yield key_hash, sha256(row[2]).digest()
            else:
                self.odd.append(row)

    def rows(self) -> Iterator[tuple[int, bytes, bytes]]:
        """Yield (table, key, encoded value) of every row."""
        yield from self._stored_rows()

    def value(self, table: int, key: bytes) -> bytes | None:
        """Return the encoded value of a row, or None."""
        return self._find(table, key)


def check_state(node: str, stored: StoredState, reference: Reference, report: Report) -> int:
    """Report every stored row that is not the reference's; return how many are.

    Raises `StorageError` where rows cannot be read.
    """
    for row in stored.odd:
        report(_finding(node, row[:2], row, None))
    wrong = differing_rows(stored.tree, reference.tree)
    if not wrong:
        return stored.count
    named: set[bytes] = set()
    for row in stored.rows():
        key_hash = _key_hash(row)
        if key_hash in wrong:
            named.add(key_hash)
            report(_finding(node, row[:2], row, reference.value(row[0], row[1])))
    for table, key, value in reference.rows():
        key_hash = row_key_hash(table, key)
        if key_hash in wrong and key_hash not in named:
            report(_finding(node, (table, key), None, value))
    return stored.count - len(named)


def _finding(node: str, place: Values, stored: Values | None, value: bytes | None) -> Finding:
    table, key = place
    found, expected = _describe(table, None if stored is None else stored[2], value)
    name = row_name(table) if isinstance(table, int) else f"row.{table}"
    content = None if value is None else (table, key, value)
    return Finding(node, name, show_key((key,)), found, expected, place, content, mendable=True)


def differing_rows(tree: StateTree, reference: StateTree) -> set[bytes]:
    """Return the key hashes of rows that differ, from the roots down to the differing buckets alone."""
    wrong: set[bytes] = set()
    for index in tree.differing_buckets(reference.get_node):
        ours, theirs = dict(bucket_rows(tree.bucket(index))), dict(bucket_rows(reference.bucket(index)))
        wrong |= {key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key)}
    return wrong


def _key_hash(row: Values) -> bytes:
    """Return the key hash of a stored row, or nothing where its columns are not of a row's types."""
    table, key, value = row
    if not isinstance(table, int) or not isinstance(key, bytes) or not isinstance(value, bytes):
        return b""
    return row_key_hash(table, key) if table >= 0 else b""


def _describe(table: object, stored: object, value: bytes | None) -> tuple[str, str]:
    """Return what a row is and what it should be: the fields that differ, where both can be read."""
    ours, theirs = _fields(table, stored), _fields(table, value)
    if isinstance(ours, dict) and isinstance(theirs, dict):
        names = [name for name in {**theirs, **ours} if ours.get(name) != theirs.get(name)]
        return _named(ours, names), _named(theirs, names)
    return _text(ours), _text(theirs)


def _fields(table: object, value: object) -> dict[str, str] | str:
    """Return the fields of a stored value, nested ones by their path; or what is there instead."""
    if value is None:
        return MISSING
    if not isinstance(table, int) or not isinstance(value, bytes):
        return show((value,))
    try:
        return dict(leaves("", decode_row(table, value)))
    except (EncodingError, ValueError, KeyError):
        return show((value,))


def leaves(path: str, value: object) -> Iterator[tuple[str, str]]:
    """Yield the fields of a structure by their path, nested ones too, printable."""
    if isinstance(value, Struct):
        for name in value.__struct_fields__:
            yield from leaves(f"{path}.{name}" if path else name, getattr(value, name))
    elif isinstance(value, tuple) and value:
        for number, item in enumerate(value):
            yield from leaves(f"{path}[{number}]", item)
    else:
        yield path, show((value,))


def _text(fields: dict[str, str] | str) -> str:
    return fields if isinstance(fields, str) else _named(fields, list(fields))


def _named(fields: dict[str, str], names: list[str]) -> str:
    text = ", ".join(f"{name}={fields.get(name, MISSING)}" for name in names)
    return text if len(text) <= 4 * SHOWN else f"{text[: 4 * SHOWN]}..."
