"""One validator's files held against what they should be: blocks, log, index, state (docs/spec/storage.md).

What they should be comes from a replay, or from blocks and rows under a quorum's signature; whoever
checks gives it block by block, and the state at the end. Nothing in the files is believed.

Left out: details, which are checked over all nodes together (`details_check`).
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Protocol

from gridmonitoring.blockchain.state_tree import StateTree, bucket_rows, row_key_hash
from gridmonitoring.encoding.cbor import encode
from gridmonitoring.errors import EncodingError, StorageError
from gridmonitoring.processing.rows import decode_row
from gridmonitoring.runtime.findings import MISSING, SHOWN, Finding, Report, Stream, TableCheck, show
from gridmonitoring.runtime.storage.tables import (
    BLOCK,
    CHANNEL,
    DETAIL,
    HANDOVER,
    LAST_BLOCK,
    META,
    ROW,
    SEGMENT,
    START,
    TILE,
    TILE_LEVELS,
    TILES_OF_LEVEL,
    WRAPPED,
    StoredFile,
    TableShape,
    Values,
    stored_details,
    stored_truth,
)
from gridmonitoring.runtime.storage.truth import Commit, StoredBlock, row_name


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


class FileCheck:
    """One validator's files under check."""

    def __init__(self, node: str, truth: Path, details: Path | None, report: Report) -> None:
        """Open both files for reading; one that cannot be opened is a finding.

        `details` is None where the detail store is not part of what is checked.
        """
        self.node = node
        self._report = report
        self.matching_rows = 0
        """Rows of the state that are as they should be."""
        self._files: list[StoredFile] = []
        self._truth = self._open(truth, stored_truth)
        self._details = None if details is None else self._open(details, stored_details)
        self.last = self._last_height()
        """Height of its last block, 0 without any."""
        self.done = self._truth is None
        """Whether everything in it has been checked, or nothing can be."""
        self.blocks = self._stream(self._truth, BLOCK)
        """Blocks as stored, in order of height."""
        self.details = self._stream(self._details, DETAIL)
        self.channels = self._stream(self._details, CHANNEL)
        self.wrapped = self._stream(self._details, WRAPPED)
        self._starts = TableCheck(self._stream(self._truth, START))
        self._segments = TableCheck(self._stream(self._truth, SEGMENT))
        self._handovers = TableCheck(self._stream(self._truth, HANDOVER))
        self._tiles: dict[int, TableCheck] = {}

    def close(self) -> None:
        """Close the files."""
        for file in self._files:
            file.close()

    def _open(self, path: Path, opener: OpenFile) -> StoredFile | None:
        try:
            file = opener(path)
            self._files.append(file)
            for name in file.surplus():
                self._report(Finding(self.node, path.name, name, "not as in the schema", "the schema"))
        except StorageError as error:
            self._report(Finding(self.node, path.name, "", f"unreadable ({error})", "a validator's file"))
            return None
        return file

    def _last_height(self) -> int:
        if self._truth is None:
            return 0
        try:
            return max(next(self._truth.scan(LAST_BLOCK))[0] or 0, 0)
        except StorageError as error:
            unreadable = f"unreadable ({error})"
            self._report(Finding(self.node, self._truth.path.name, "", unreadable, "a validator's file"))
            self._truth = None
            return 0

    def _stream(
        self, file: StoredFile | None, shape: TableShape, sql: str = "", *arguments: object
    ) -> Stream:
        if file is None:
            stream = Stream(iter(()), shape.key, self.node, shape.name, self._report)
            stream.partial = True
            return stream
        rows = file.scan(sql or shape.select, *arguments)
        return Stream(rows, shape.key, self.node, shape.name, self._report)

    # block by block

    def block(self, stored: Values | None, block: StoredBlock) -> None:
        """Require the stored block at its height, as read from `blocks`, to be this one."""
        height = block.header.height
        content = (height, encode(block.header), block.body, block.note)
        if stored == content or (stored is None and self.blocks.partial):
            return
        self._report(
            Finding(
                self.node,
                "block",
                str(height),
                MISSING if stored is None else _block_fault(stored, content),
                "the block that a quorum signed",
                (height,),
                content,
                mendable=True,
            )
        )

    def derived(self, commit: Commit) -> None:
        """Require what follows from a block: its place, the tiles, segments and handovers it completed."""
        header = commit.block.header
        if header.count:
            self._starts.expect((header.first,), (header.first, header.height))
        for level, number, hashes in commit.tiles:
            if level not in self._tiles:
                stream = self._stream(self._truth, TILE, TILES_OF_LEVEL, level)
                self._tiles[level] = TableCheck(stream)
            self._tiles[level].expect((level, number), (level, number, hashes))
        for number, ids in commit.segments:
            self._segments.expect((number,), (number, ids))
        for height, value in commit.handovers:
            self._handovers.expect((height,), (height, value))

    # at the end

    def finish(self, document: bytes) -> None:
        """Require nothing more in any table, and the genesis document; the state is left to `rows`."""
        self.done = True
        for check in (self._starts, self._segments, self._handovers, *self._tiles.values()):
            check.finish()
        meta = TableCheck(self._stream(self._truth, META))
        meta.expect(("genesis",), ("genesis", document))
        meta.finish()
        if self._truth is None:
            return
        levels = self._stream(self._truth, TILE, TILE_LEVELS)
        known = set(self._tiles)
        while levels.head is not None:
            (level,) = levels.head
            levels.next()
            if level not in known:
                TableCheck(self._stream(self._truth, TILE, TILES_OF_LEVEL, level)).finish()

    def rows(self, reference: Reference) -> None:
        """Require the state to be the reference's, tree against tree, and name every row that is not."""
        if self._truth is None:
            return
        odd: list[Values] = []
        tree = StateTree(reference.tree.bits, self._hashed(odd))
        for row in odd:
            self._row(row[:2], row, None)
        wrong = differing_rows(tree, reference.tree)
        if not wrong:
            return
        named: set[bytes] = set()
        for row in self._stored_rows():
            key_hash = _key_hash(row)
            if key_hash in wrong:
                named.add(key_hash)
                self._row(row[:2], row, reference.value(row[0], row[1]))
        for table, key, value in reference.rows():
            key_hash = row_key_hash(table, key)
            if key_hash in wrong and key_hash not in named:
                self._row((table, key), None, value)

    def _stored_rows(self) -> Iterator[Values]:
        stream = self._stream(self._truth, ROW)
        while (row := stream.head) is not None:
            yield row
            stream.next()

    def _hashed(self, odd: list[Values]) -> Iterator[tuple[bytes, bytes]]:
        """Yield (key hash, value hash) of the stored rows; what is no row at all goes to `odd`."""
        for row in self._stored_rows():
            key_hash = _key_hash(row)
            if key_hash:
                self.matching_rows += 1
                yield key_hash, sha256(row[2]).digest()
            else:
                odd.append(row)

    def _row(self, place: Values, stored: Values | None, value: bytes | None) -> None:
        table, key = place
        if stored is not None:
            self.matching_rows -= 1
        found, expected = _describe(table, None if stored is None else stored[2], value)
        self._report(
            Finding(
                self.node,
                row_name(table) if isinstance(table, int) else f"row.{table}",
                show((key,)),
                found,
                expected,
                place,
                None if value is None else (table, key, value),
                mendable=True,
            )
        )


class OpenFile(Protocol):
    """Opens a file for checking."""

    def __call__(self, path: Path) -> StoredFile:
        """Raises `StorageError`."""
        ...


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
        names = [name for name in theirs if ours[name] != theirs[name]]
        return _named(ours, names), _named(theirs, names)
    return _text(ours), _text(theirs)


def _fields(table: object, value: object) -> dict[str, object] | str:
    if value is None:
        return MISSING
    if isinstance(table, int) and isinstance(value, bytes):
        try:
            row = decode_row(table, value)
        except (EncodingError, ValueError, KeyError):
            return show((value,))
        return {name: getattr(row, name) for name in row.__struct_fields__}
    return show((value,))


def _text(fields: dict[str, object] | str) -> str:
    return fields if isinstance(fields, str) else _named(fields, list(fields))


def _named(fields: dict[str, object], names: list[str]) -> str:
    text = ", ".join(f"{name}={_value(fields[name])}" for name in names)
    return text if len(text) <= 4 * SHOWN else f"{text[: 4 * SHOWN]}..."


def _value(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)


def _block_fault(stored: Values, content: Values) -> str:
    """Return which parts of a block differ."""
    names = ("header", "transactions", "note")
    parts = [
        name for name, ours, theirs in zip(names, stored[1:], content[1:], strict=True) if ours != theirs
    ]
    return f"another {' and '.join(parts)} ({show(stored[1:])})"
