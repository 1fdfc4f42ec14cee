"""Writing a decided block to every validator's disk, and knowing when it may be acknowledged.

Left out: the order of writes, which is that of one queue for each validator (`embedded`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from threading import Lock

from msgspec import Struct

from gridmonitoring.data_center.copies import BlockCopies
from gridmonitoring.errors import StorageError
from gridmonitoring.runtime.consensus.application import Execution, Receipt
from gridmonitoring.runtime.consensus.validator import EmbeddedValidator
from gridmonitoring.runtime.storage.truth import Commit

Beside = Callable[[str, Sequence[Receipt]], None]
"""(validator's name, receipts of the block) -> writes the node's details durably."""


KeepCopies = Callable[[BlockCopies], None]
"""Keeps the copies of a block for the data center; does not raise, because no node stops voting for it."""


class Save(Struct, frozen=True):
    """One validator's write of one block, under way."""

    validator: EmbeddedValidator
    """Who writes."""
    execution: Execution
    """What it executed."""
    commit: Commit
    """What it writes."""
    written: Future[None]
    """Done when it is on disk."""


def block_copies(execution: Execution) -> BlockCopies:
    """Return the copies of a block that was executed."""
    header = execution.header
    return BlockCopies(header.height, header.time, execution.checkpoint.block_hash, tuple(execution.copies))


def write_block(
    validator: EmbeddedValidator,
    commit: Commit,
    receipts: Sequence[Receipt],
    beside: Beside | None,
    copy: Callable[[], None] | None,
) -> None:
    """Write one validator's block; after a failure nothing of it is written until it is opened anew."""
    if validator.stuck:
        raise StorageError(f"{validator.name}: an earlier block could not be written")
    try:
        if beside is not None:
            beside(validator.name, receipts)
        if copy is not None:
            copy()
        validator.application.truth.commit(commit)
    except BaseException as error:
        validator.stuck = True
        validator.halt(f"cannot write: {error}")
        raise


class Saved:
    """Waits for every validator's commit of one block."""

    def __init__(self, saves: list[Save], powers: Mapping[str, int]) -> None:
        self.future: Future[None] = Future()
        self._powers = powers
        self._lock = Lock()
        self._left = len(saves)
        self._power = 0
        self._error: BaseException | None = None
        for save in saves:
            save.written.add_done_callback(partial(self._done, save))

    def _done(self, save: Save, done: Future[None]) -> None:
        error = done.exception()
        if error is None:
            save.validator.application.saved(save.execution.rows, save.commit.tiles)
        with self._lock:
            self._left -= 1
            self._error = self._error or error
            self._power += 0 if error else self._powers.get(save.validator.name, 0)
            if self._left:
                return
        if 3 * self._power > 2 * sum(self._powers.values()):
            self.future.set_result(None)
        else:
            self.future.set_exception(self._error or StorageError("written by less than a quorum"))
