"""Copies of each block go to the data center as it is decided (paper IV-C: "copies of the form are sent").

A network that has a data center writes the copies of a block before the block is committed, and turns what
has gathered into Parquet in a thread of its own. Whatever goes wrong here is logged and shown by `gridmon
data status`; it keeps no block from being decided, and `gridmon data rebuild` mends it.
"""

from __future__ import annotations

import logging
from concurrent.futures import Future, ThreadPoolExecutor

from gridmonitoring.data_center.copies import BlockCopies
from gridmonitoring.errors import GridMonitoringError, StorageError
from gridmonitoring.runtime.columns.parquet import PART_ROWS, generation_of, runs, weight, write_part
from gridmonitoring.runtime.columns.paths import DataCenterPaths
from gridmonitoring.runtime.columns.spool import Spool

_LOG = logging.getLogger("gridmonitoring.data")


class Copier:
    """What keeps the copies of a running network."""

    def __init__(self, paths: DataCenterPaths, chain: bytes, height: int, part_rows: int = PART_ROWS) -> None:
        """Go on from where the copies end; `height` is the last block that was committed.

        Raises `StorageError` where the copies are of another chain.
        """
        self._paths = paths
        self._part_rows = part_rows
        self._spool = Spool(paths.copies)
        if self._spool.chain() not in (None, chain):
            self._spool.close()
            raise StorageError(f"{paths.root} has copies of another chain")
        self._spool.trim(height)
        self._gathered = 0
        self._worker = ThreadPoolExecutor(1, "data-center")
        self._packing: Future[None] | None = None

    def close(self) -> None:
        """Finish what is being written."""
        self._worker.shutdown(wait=True)
        self._spool.close()

    def keep(self, copies: BlockCopies) -> None:
        """Keep the copies of a block, durably; several validators may bring the same. Raises nothing."""
        try:
            if self._spool.write(copies):
                self._gathered += weight(copies)
        except GridMonitoringError as error:
            _LOG.error("block %d has no copy at the data center: %s", copies.height, error)
            return
        if self._gathered >= self._part_rows and (self._packing is None or self._packing.done()):
            self._gathered = 0
            self._packing = self._worker.submit(self._pack)

    def _pack(self) -> None:
        try:
            self.pack()
        except GridMonitoringError as error:
            _LOG.error("copies stay out of Parquet: %s", error)

    def pack(self) -> None:
        """Turn whole runs of blocks into parts, but for the newest block, whose commit may be under way."""
        with self._paths.writing(wait=False) as mine:
            if not mine:
                return  # they are being made anew
            parts = self._spool.parts()
            generation = generation_of(parts[-1]) if parts else 1
            for run in runs(list(self._spool.blocks())[:-1], self._part_rows):
                if sum(map(weight, run)) >= self._part_rows:
                    self._spool.add(write_part(self._paths.parts, generation, run))
