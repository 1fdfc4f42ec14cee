"""The background monitor: every node's copy re-checked without end, in small slices (paper II-A, V-B).

A pass goes through all nodes of this process, one after the other; `work` does as much of it as a given time
allows, so that whoever calls decides how much of a processor watching may take. What the last passes saw is
kept in a file beside the nodes', for whoever asks since when a copy has been wrong.

Left out: what becomes of a suspicion (`incidents`), and when to work (`service`).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator, Iterator
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from gridmonitoring.blockchain.bodies import Part
from gridmonitoring.blockchain.state_rows import MeterRow
from gridmonitoring.encoding.bounds import Millis, Unsigned
from gridmonitoring.errors import StorageError
from gridmonitoring.processing.monitoring import silent_after
from gridmonitoring.runtime.audit import offered_handovers
from gridmonitoring.runtime.consensus.validator import EmbeddedValidator
from gridmonitoring.runtime.opening import DETAILS, TRUTH
from gridmonitoring.runtime.reference import Reference
from gridmonitoring.runtime.storage.tables import StoredFile, stored_details, stored_truth
from gridmonitoring.runtime.under_watch import NodeUnderWatch, Suspicion
from gridmonitoring.runtime.verification import node_files
from gridmonitoring.runtime.watching import extend, watch

if TYPE_CHECKING:
    from gridmonitoring.runtime.network import Network

REMEMBERED_PASSES = 64
"""Passes whose times are kept."""
SHORTEST_INTERVAL_MS = 60_000
"""Shortest reporting interval of an agreement, ms; before three of them no meter is silent."""
MOST_WAITING = 256
"""Most meters that wait to be looked at for their silence."""


class PassRecord(Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """One pass that went through."""

    number: Unsigned
    """Number, from 1, over all runs of the node."""
    began: Millis
    """When it began, by the network's clock, ms."""
    ended: Millis
    """When it ended, ms."""
    height: Unsigned
    """Block up to which blocks were looked at."""
    rows: Unsigned
    """Rows of the state that were looked at, over all nodes."""
    work_us: Unsigned
    """Time that it took without its pauses, microseconds."""
    faulty: tuple[str, ...]
    """Nodes of which something was suspected in it."""


class MonitorStatus(Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """How far the monitor is."""

    running: bool
    """Whether a pass is under way."""
    number: Unsigned
    """Number of the pass under way, or of the last."""
    position: str
    """Which node is being looked at, and how many blocks and rows of it there are; empty between passes."""
    suspicions: Unsigned
    """Suspicions of the pass under way, or of the last."""
    passes: tuple[PassRecord, ...]
    """The last passes, oldest first."""
    thread_faults: tuple[str, ...]
    """Threads of blocks that do not hang together although a quorum signed them."""
    threads: tuple[Unsigned, Unsigned]
    """Parent and side blocks whose links, roots and counters were followed."""


class Monitor:
    """Watches the files of a network's validators."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._journal = network.directory.root / "monitor.json"
        self._passes = deque(_read_journal(self._journal), REMEMBERED_PASSES)
        self._number = self._passes[-1].number if self._passes else 0
        self._reference = Reference(network.document)
        self._running: Generator[Suspicion | None, None, None] | None = None
        self._lock = Lock()
        self._began = 0
        self._work = 0.0
        self._rows = 0
        self._faulty: dict[str, int] = {}
        self._position = ""
        self._silent: dict[bytes, None] = {}

    # working

    def work(self, seconds: float) -> list[Suspicion]:
        """Go on with the pass for about this long, or to its end; return what is suspected.

        Begins a pass where none is under way.
        """
        with self._lock:
            if self._running is None:
                self._begin()
            assert self._running is not None
            start = time.perf_counter()
            found: list[Suspicion] = []
            for suspicion in self._running:
                if suspicion is not None:
                    found.append(suspicion)
                    self._faulty[suspicion.node] = self._faulty.get(suspicion.node, 0) + 1
                if found or time.perf_counter() - start >= seconds:
                    self._work += time.perf_counter() - start
                    return found
            self._work += time.perf_counter() - start
            self._end()
            return found

    def whole_pass(self) -> list[Suspicion]:
        """Give up the pass under way, make a whole new one, and return everything suspected."""
        self.give_up_pass()
        found = self.work(float("inf"))
        while self.busy:
            found += self.work(float("inf"))
        return found

    def give_up_pass(self) -> None:
        """Begin anew with the next work: files are being put right, and what was read of them is old."""
        with self._lock:
            if self._running is not None:
                self._running.close()
            self._running, self._position = None, ""

    @property
    def busy(self) -> bool:
        """Whether a pass is under way."""
        return self._running is not None

    def _begin(self) -> None:
        self._number += 1
        self._began = self._network.clock.now_ms()
        self._work, self._rows, self._faulty = 0.0, 0, {}
        self._running = self._pass()

    def _end(self) -> None:
        self._running, self._position = None, ""
        now = max(self._began, self._network.clock.now_ms())
        self._passes.append(
            PassRecord(
                self._number,
                self._began,
                now,
                self._reference.height,
                self._rows,
                int(1e6 * self._work),
                tuple(sorted(self._faulty)),
            )
        )
        _write_journal(self._journal, list(self._passes))

    def _pass(self) -> Generator[Suspicion | None, None, None]:
        """Go through all nodes; the first that has them says which blocks there are."""
        validators = [v for v in self._network.engine.validators if v.halted is None]
        limit = max((self._height_on_disk(validator) for validator in validators), default=0)
        files = node_files(self._network.directory, self._network.document)
        self._reference.offered.update(offered_handovers(files))  # after the heights, so that none is missing
        for validator in validators:
            yield from self._node(validator, validators, limit)

    def _height_on_disk(self, validator: EmbeddedValidator) -> int:
        """Return the height of the last block in a validator's file, 0 where it cannot be told."""
        try:
            file = stored_truth(self._network.directory.node(validator.name) / TRUTH, live=True)
            try:
                (height,) = next(file.scan("SELECT max(height) FROM block"))
                return min(height or 0, validator.application.height)
            finally:
                file.close()
        except StorageError:
            return 0

    def _node(
        self, validator: EmbeddedValidator, validators: list[EmbeddedValidator], limit: int
    ) -> Iterator[Suspicion | None]:
        opened: list[StoredFile] = []
        try:
            node = self._opened(validator, validators, opened)
            self._position = f"{validator.name}, {limit} blocks"
            yield from extend(node, self._reference, min(limit, node.application.height))
            yield from watch(node, self._reference)
            self._rows += node.rows
        except StorageError as error:
            if validator.halted is None:
                yield Suspicion(validator.name, Part.FILE, (), str(error))
        finally:
            for file in opened:
                file.close()

    def _opened(
        self, validator: EmbeddedValidator, validators: list[EmbeddedValidator], opened: list[StoredFile]
    ) -> NodeUnderWatch:
        folder = self._network.directory.node
        opened.append(stored_truth(folder(validator.name) / TRUTH, live=True))
        opened.append(stored_details(folder(validator.name) / DETAILS, live=True))
        peers = [peer for peer in validators if peer is not validator]
        opened += [stored_details(folder(peer.name) / DETAILS, live=True) for peer in peers]
        application = validator.application
        return NodeUnderWatch(
            *(validator.name, application, opened[0], opened[1]),
            *(self._network.document, opened[2:], self._note_silence),
        )

    def _note_silence(self, mid: bytes, meter: MeterRow) -> None:
        """Note a meter that may be silent: its last report is older than the shortest agreement allows."""
        bound = silent_after(SHORTEST_INTERVAL_MS, self._network.genesis.parameters.future_bound)
        late = self._network.clock.now_ms() > meter.time + bound
        if late and len(self._silent) < MOST_WAITING:
            self._silent[mid] = None

    def take_silent(self) -> list[bytes]:
        """Return meters that may be silent, each once."""
        found, self._silent = list(self._silent), {}
        return found

    # what it knows

    def last_good(self, node: str) -> PassRecord | None:
        """Return the last whole pass in which nothing of a node was suspected, or None."""
        return next((one for one in reversed(self._passes) if node not in one.faulty), None)

    def status(self) -> MonitorStatus:
        """Return how far it is."""
        threads = self._reference.threads
        return MonitorStatus(
            *(self.busy, self._number, self._position, sum(self._faulty.values()), tuple(self._passes)),
            tuple(self._reference.thread_faults),
            (threads.parents, threads.side_blocks),
        )


def _read_journal(path: Path) -> list[PassRecord]:
    """Return the passes of a journal; one that cannot be read is begun anew: it vouches for nothing."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[PassRecord])
    except (OSError, msgspec.DecodeError):
        return []


def _write_journal(path: Path, passes: list[PassRecord]) -> None:
    new = path.with_name(f"{path.name}.new")
    new.write_bytes(msgspec.json.encode(passes))
    new.replace(path)
