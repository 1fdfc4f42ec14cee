"""The chain that some validators' files hold, followed once, and every file held against it.

At each height the first block that verifies counts, whichever file has it; a file without it, or with
another one, is named. Where no file has one, the check ends there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

from msgspec import Struct

from gridmonitoring.blockchain.bodies import Erase
from gridmonitoring.blockchain.checkpoint import decode_note
from gridmonitoring.blockchain.log import TransactionLog
from gridmonitoring.encoding.cbor import decode
from gridmonitoring.errors import CheckpointError, EncodingError, Tampered
from gridmonitoring.runtime.consensus.validator_history import ValidatorHistory
from gridmonitoring.runtime.detail_check import Claim
from gridmonitoring.runtime.details_check import DetailsCheck
from gridmonitoring.runtime.file_check import FileCheck
from gridmonitoring.runtime.findings import BEHIND, MISSING, Finding, Report, merged
from gridmonitoring.runtime.signature_checker import Ahead
from gridmonitoring.runtime.storage.tables import Values
from gridmonitoring.runtime.storage.truth import BlockHeader, Commit, StoredBlock

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
    decoded: Any
    """Transactions of the first of `blocks`."""


class Chain(Protocol):
    """What follows the blocks: `replay.Replay` or `signed_chain.SignedChain`."""

    height: int
    log: TransactionLog
    history: ValidatorHistory

    def decode(self, body: bytes) -> Any:
        """Decode a block's transactions, or return an `EncodingError`."""
        ...

    def begin(self, blocks: Iterable[tuple[StoredBlock, Any]]) -> Ahead:
        """Start checking the signatures of blocks that come soon."""
        ...

    def apply(self, block: StoredBlock, decoded: Any) -> Commit:
        """Append a block that holds; raises `Tampered`, nothing having changed."""
        ...

    def claim(self, entry: Any) -> Claim | None:
        """Return what a decoded log entry says of its detail, or None where it is no report."""
        ...

    def erasure(self, entry: Any) -> Erase | None:
        """Return what a decoded log entry has erased, or None where it is no such order."""
        ...


Step = Callable[[Commit], None]
"""Takes each block that holds, with all that follows from it."""
AtEnd = Callable[[FileCheck], None]
"""Checks the state of a file whose last block is the chain's present one."""


class ChainCheck:
    """Files of validators of one chain, checked along it once."""

    def __init__(self, chain: Chain, checks: Sequence[FileCheck], report: Report, at_end: AtEnd) -> None:
        self._chain = chain
        self._at_end = at_end
        self._checks = checks
        self._report = report
        self._details = DetailsCheck(checks, report)
        self.ended = False
        """Whether every block that any file has was verified."""

    def run(self, document: bytes, step: Step) -> None:
        """Follow the blocks, compare as it goes, and each file's state at its end."""
        self._finish_those_at_end(document)
        for at in self._checked_ahead(self._heights()):
            appended = self._append(at)
            if appended is None:
                break
            commit, entries = appended
            for check, record in zip(self._checks, at.records, strict=True):
                if not check.done:
                    check.block(record, commit.block)
                    check.derived(commit)
            first = commit.block.header.first
            self._details.entries(first, entries, self._chain.claim, self._chain.erasure)
            step(commit)
            self._finish_those_at_end(document)
        self._end(document)

    def _end(self, document: bytes) -> None:
        """Finish what can be: past a block that does not verify, only what another file vouches for."""
        height = self._chain.height
        if not self._ends_here():
            return
        self.ended = True
        for check in self._checks:
            if not check.done:
                check.surplus_blocks(height)
                check.finish(document)
                self._at_end(check)
        self._details.finish()
        self._name_those_behind()

    def _finish_those_at_end(self, document: bytes) -> None:
        """Check the state of files that hold no block past this one: also one that is behind is whole."""
        for check in self._checks:
            if not check.done and check.last <= self._chain.height:
                check.finish(document)
                self._at_end(check)
                check.details.partial = True

    def _name_those_behind(self) -> None:
        height = self._chain.height
        for check in self._checks:
            if check.last < height and not check.blocks.partial:
                key = str(height) if check.last == height - 1 else f"{check.last + 1}..{height}"
                self._report(Finding(check.node, "block", key, MISSING, BEHIND))

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
        decoded = self._chain.decode(blocks[0].body) if blocks else []
        return AtHeight(height, records, blocks, fault, decoded)

    def _checked_ahead(self, heights: Iterator[AtHeight]) -> Iterator[AtHeight]:
        """Yield the same, the signatures of what comes next being checked meanwhile."""
        queue: deque[tuple[list[AtHeight], Ahead]] = deque()
        for window in _windows(heights):
            first = ((at.blocks[0], at.decoded) for at in window if at.blocks)
            queue.append((window, self._chain.begin(first)))
            if len(queue) > WINDOWS_AHEAD:
                yield from _ready(queue.popleft())
        while queue:
            yield from _ready(queue.popleft())

    def _append(self, at: AtHeight) -> tuple[Commit, Any] | None:
        """Append the first block that verifies and return it with its entries; where none does return None.

        Files whose last block was before are whole without it; the others are told why they are not.
        """
        fault = at.fault or MISSING
        for number, block in enumerate(at.blocks):
            decoded = self._chain.decode(block.body) if number else at.decoded
            try:
                return self._chain.apply(block, decoded), decoded
            except Tampered as error:
                fault = str(error)
        if self._ends_here():
            return None
        for check, record in zip(self._checks, at.records, strict=True):
            if not check.done:
                found = MISSING if record is None else fault
                self._report(Finding(check.node, "block", str(at.height), found, "a block that verifies"))
        return None

    def _ends_here(self) -> bool:
        """Tell whether a file ends here, and no other has a block past here that a quorum signed."""
        height = self._chain.height
        if not any(check.ends_at(height) for check in self._checks):
            return False
        past = (note for check in self._checks if not check.done for note in check.notes_past(height))
        return not any(self._is_signed(*note) for note in past)

    def _is_signed(self, height: int, note: object) -> bool:
        try:
            if not isinstance(note, bytes) or decode_note(note).checkpoint.height != height:
                return False
            self._chain.history.require_quorum(height, note)
        except CheckpointError:
            return False
        return True


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
