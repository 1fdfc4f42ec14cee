"""One validator's files held against what they should be: blocks, log, index, state (docs/spec/storage.md).

What they should be comes from a replay, or from blocks and rows under a quorum's signature; whoever
checks gives it block by block, and the state at the end. Nothing in the files is believed.

Left out: details, which are checked over all nodes together (`details_check`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from gridmonitoring.encoding.cbor import encode
from gridmonitoring.errors import StorageError
from gridmonitoring.runtime.findings import (
    MISSING,
    Finding,
    Report,
    Stream,
    TableCheck,
    show,
)
from gridmonitoring.runtime.state_check import Reference, StoredState, check_state
from gridmonitoring.runtime.storage.tables import (
    BLOCK,
    BLOCKS_PAST,
    CHANNEL,
    DETAIL,
    HANDOVER,
    LAST_BLOCK,
    META,
    ROW,
    ROW_VALUE,
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
from gridmonitoring.runtime.storage.truth import Commit, StoredBlock


class OpenFile(Protocol):
    """Opens a file for checking."""

    def __call__(self, path: Path) -> StoredFile:
        """Raises `StorageError`."""
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

    def ends_at(self, height: int) -> bool:
        """Tell whether the file was read to its end, which is at this height."""
        return self.done and self.last == height and not self.blocks.partial

    def notes_past(self, height: int) -> Iterator[tuple[int, object]]:
        """Yield (height, note as stored) of blocks past a height."""
        stream = self._stream(self._truth, BLOCK, BLOCKS_PAST, height)
        while stream.head is not None:
            yield stream.head[0], stream.head[1]
            stream.next()

    def surplus_blocks(self, height: int) -> None:
        """Require no block past a height."""
        for above, _ in self.notes_past(height):
            name = "a block that follows no other"
            self._report(Finding(self.node, "block", str(above), name, MISSING, (above,), mendable=True))

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

    def state(self, bits: int) -> StoredState:
        """Return the stored state; raises `StorageError` where it cannot be read."""
        return StoredState(bits, self._stored_rows, self._stored_value)

    def rows(self, reference: Reference) -> None:
        """Require the state to be the reference's, and name every row that is not."""
        if self._truth is None:
            return
        try:
            stored = self.state(reference.tree.bits)
            self.matching_rows = check_state(self.node, stored, reference, self._report)
        except StorageError as error:
            self._report(Finding(self.node, "row", "", f"unreadable ({error})", "readable"))

    def _stored_rows(self) -> Iterator[Values]:
        return iter(()) if self._truth is None else self._truth.scan(ROW.select)

    def _stored_value(self, table: int, key: bytes) -> bytes | None:
        found = iter(()) if self._truth is None else self._truth.scan(ROW_VALUE, table, key)
        return next((value for (value,) in found if isinstance(value, bytes)), None)


def _block_fault(stored: Values, content: Values) -> str:
    """Return which parts of a block differ."""
    names = ("header", "transactions", "note")
    parts = [
        name for name, ours, theirs in zip(names, stored[1:], content[1:], strict=True) if ours != theirs
    ]
    return f"another {' and '.join(parts)} ({show(stored[1:])})"
