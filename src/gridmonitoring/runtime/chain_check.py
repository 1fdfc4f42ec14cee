"""The chain that some validators' files hold: one replay, and every file held against it.

At each height the first block that verifies counts, whichever file has it; a file without it, or with
another one, is named. Where no file has one, the check ends there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence

from msgspec import Struct

from gridmonitoring.blockchain.state_rows import Table
from gridmonitoring.blockchain.state_tree import StateTree
from gridmonitoring.encoding.cbor import decode
from gridmonitoring.errors import EncodingError, Tampered
from gridmonitoring.runtime.details_check import DetailsCheck
from gridmonitoring.runtime.file_check import FileCheck
from gridmonitoring.runtime.findings import MISSING, Finding, Report, merged
from gridmonitoring.runtime.replay import Decoded, Replay
from gridmonitoring.runtime.signature_checker import Ahead
from gridmonitoring.runtime.storage.tables import Values
from gridmonitoring.runtime.storage.truth import BlockHeader, Commit, StoredBlock, decode_body

WINDOW = 1024
"""Transactions whose signatures are handed over to be checked at once."""
WINDOWS_AHEAD = 2
"""Windows that are being checked while an earlier one is executed."""
REMEMBERED = 16 * WINDOW
"""Signatures that a replay remembers: those checked ahead, and those inside transactions."""


class AtHeight(Struct):
    """What the files have at one height."""

    height: int
    """The height."""
    records: list[Values | None]
    """Stored block of each file, or None."""
    blocks: list[StoredBlock]
    """The different blocks that can be read, in order of the files."""
    fault: str
    """Why one that cannot be read cannot."""
    decoded: Decoded
    """Transactions of the first of `blocks`."""


class ReplayedState:
    """A replay's state as the reference for files."""

    def __init__(self, replay: Replay) -> None:
        self._replay = replay

    @property
    def tree(self) -> StateTree:
        """Its tree."""
        return self._replay.tree

    def rows(self) -> Iterator[tuple[int, bytes, bytes]]:
        """Yield (table, key, encoded value) of every row."""
        for (table, key), value in self._replay.state.encoded.items():
            yield int(table), key, value

    def value(self, table: int, key: bytes) -> bytes | None:
        """Return the encoded value of a row, or None."""
        if table not in _TABLES:
            return None
        return self._replay.state.encoded.get((Table(table), key))


_TABLES = frozenset(int(table) for table in Table)

Step = Callable[[Commit], None]
"""Takes each block that holds, with all that follows from it."""


class ChainCheck:
    """Files of validators of one chain, checked by one replay."""

    def __init__(self, replay: Replay, checks: Sequence[FileCheck], report: Report) -> None:
        self._replay = replay
        self._checks = checks
        self._report = report
        self._details = DetailsCheck(checks, report)
        self.ended = False
        """Whether every block that any file has was verified."""

    def run(self, document: bytes, step: Step) -> None:
        """Replay everything, compare as it goes, and the state at the end."""
        self._finish_those_at_end(document)
        for at in self._checked_ahead(self._heights()):
            commit = self._append(at)
            if commit is None:
                return
            for check, record in zip(self._checks, at.records, strict=True):
                if not check.done:
                    check.block(record, commit.block)
                    check.derived(commit)
            self._details.entries(commit.block.header.first, decode_body(commit.block.body))
            step(commit)
            self._finish_those_at_end(document)
        self.ended = True
        self._details.finish()
        self._name_those_behind()

    def _finish_those_at_end(self, document: bytes) -> None:
        """Check the state of files that hold no block past this one: also one that is behind is whole."""
        for check in self._checks:
            if not check.done and check.last <= self._replay.height:
                check.finish(document)
                check.rows(ReplayedState(self._replay))
                check.details.partial = True

    def _name_those_behind(self) -> None:
        height = self._replay.height
        for check in self._checks:
            if check.last < height and not check.blocks.partial:
                key = str(height) if check.last == height - 1 else f"{check.last + 1}..{height}"
                self._report(Finding(check.node, "block", key, MISSING, "blocks that a quorum signed"))

    def _heights(self) -> Iterator[AtHeight]:
        """Yield what the files have at each height from 1; those below are surplus, a hole is empty."""
        following = 1
        for (height,), records in merged([check.blocks for check in self._checks]):
            if height < 1:
                self._surplus(height, records)
                continue
            if height > following:
                yield AtHeight(following, [None] * len(self._checks), [], MISSING, [])
            following = height + 1
            yield self._read(height, records)

    def _surplus(self, height: int, records: list[Values | None]) -> None:
        for check, record in zip(self._checks, records, strict=True):
            if record is not None:
                finding = Finding(check.node, "block", str(height), "a block", MISSING, (height,), None, True)
                self._report(finding)

    def _read(self, height: int, records: list[Values | None]) -> AtHeight:
        blocks: list[StoredBlock] = []
        fault = ""
        different: list[Values] = []
        for record in records:
            if record is None or record in different:
                continue
            different.append(record)
            try:
                blocks.append(_stored_block(record))
            except EncodingError as error:
                fault = f"unreadable ({error})"
        decoded: Decoded = self._replay.decode(blocks[0].body) if blocks else []
        return AtHeight(height, records, blocks, fault, decoded)

    def _checked_ahead(self, heights: Iterator[AtHeight]) -> Iterator[AtHeight]:
        """Yield the same, the signatures of what comes next being checked meanwhile."""
        queue: deque[tuple[list[AtHeight], Ahead]] = deque()
        for window in _windows(heights):
            first = ((at.blocks[0], at.decoded) for at in window if at.blocks)
            queue.append((window, self._replay.begin(first)))
            if len(queue) > WINDOWS_AHEAD:
                yield from _ready(queue.popleft())
        while queue:
            yield from _ready(queue.popleft())

    def _append(self, at: AtHeight) -> Commit | None:
        """Append the first block that verifies; where none does, say why for each file and return None."""
        fault = at.fault or MISSING
        for number, block in enumerate(at.blocks):
            try:
                return self._replay.apply(block, self._replay.decode(block.body) if number else at.decoded)
            except Tampered as error:
                fault = str(error)
        for check, record in zip(self._checks, at.records, strict=True):
            found = MISSING if record is None else fault
            self._report(Finding(check.node, "block", str(at.height), found, "a block that verifies"))
        return None


def _stored_block(record: Values) -> StoredBlock:
    """Return a block as stored; raises an `EncodingError`."""
    _, header, body, note = record
    if not isinstance(header, bytes) or not isinstance(body, bytes) or not isinstance(note, bytes):
        raise EncodingError("its columns are not bytes")
    return StoredBlock(decode(header, BlockHeader), body, note)


def _windows(heights: Iterator[AtHeight]) -> Iterator[list[AtHeight]]:
    window: list[AtHeight] = []
    count = 0
    for at in heights:
        window.append(at)
        count += 1 if isinstance(at.decoded, EncodingError) else 1 + len(at.decoded)
        if count >= WINDOW:
            yield window
            window, count = [], 0
    if window:
        yield window


def _ready(item: tuple[list[AtHeight], Ahead]) -> Iterator[AtHeight]:
    window, ahead = item
    ahead.wait()
    yield from window
