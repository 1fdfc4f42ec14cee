"""What every measurement starts from: a network with a population, and reports made beforehand.

Each step runs in a process of its own, so that what it leaves in memory is in no measurement.
"""

from __future__ import annotations

import multiprocessing
import resource
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import BinaryIO, ParamSpec, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from gridmonitoring.blockchain.genesis import decode_genesis
from gridmonitoring.errors import GridMonitoringError
from gridmonitoring.runtime.bench.population import (
    START_MS,
    WARM_UP_MS,
    ReportTask,
    Writers,
    bench_plan,
    bring_in,
)
from gridmonitoring.runtime.clock import SimulatedClock
from gridmonitoring.runtime.consensus.engine import Decision
from gridmonitoring.runtime.directory import Directory
from gridmonitoring.runtime.founding import found
from gridmonitoring.runtime.ingest import Arriving
from gridmonitoring.runtime.network import Network, outcomes
from gridmonitoring.runtime.opening import DETAILS, TRUTH
from gridmonitoring.runtime.signature_checker import VerifierPool

BATCH = 4096
"""Wire messages taken at a time."""
IN_FLIGHT = 2
"""Blocks that may be on their way to disk."""
OPENED_AHEAD = 2
"""Batches that may be on their way through the workers."""

READ_AHEAD = 1024 * 1024
"""Bytes read from a file of messages at a time."""

Say = Callable[[str], None]
"""Reports progress."""
P = ParamSpec("P")
R = TypeVar("R")


class Setting(Struct, frozen=True):
    """A directory made for measuring."""

    root: Path
    """Where everything is."""
    rounds: int
    """Reports of each meter that were written."""

    @property
    def directory(self) -> Directory:
        """The network's directory."""
        return Directory(self.root / "network")

    @property
    def wires(self) -> Path:
        """The sealed reports, each after its length."""
        return self.root / "wires"

    @property
    def singles(self) -> Path:
        """The next report of a few meters."""
        return self.root / "singles"

    def open(self, pool: VerifierPool | None) -> Network:
        """Open the network at the time when all reports have been signed."""
        clock = SimulatedClock(START_MS + WARM_UP_MS + (self.rounds + 1) * 1000)
        return Network(self.directory, clock, pool)

    def disk_bytes(self) -> tuple[int, int]:
        """Return the sizes of the first validator's truth and detail store, which nobody has open."""
        first = decode_genesis(self.directory.genesis.read_bytes()).validators[0]
        folder = self.directory.node(first.name)
        return (folder / TRUTH).stat().st_size, (folder / DETAILS).stat().st_size


class Fed(Struct):
    """What became of the reports that were taken in."""

    accepted: int
    """Reports on every validator's disk."""
    latencies: list[float]
    """Time from arrival to durable commit of each, ms."""
    marks: list[tuple[int, float, float]]
    """(reports on disk, wall clock s, CPU time of this process s) after each block."""


def apart(work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run a function of a module in a process of its own and return its result."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as executor:
        return executor.submit(work, *args, **kwargs).result()


def prepare(root: Path, meters: int, rounds: int, validators: int, say: Say) -> Setting:
    """Found a network, bring meters in by real transactions, write their sealed reports."""
    say(f"bringing in {meters} meters")
    task = apart(populate, root, meters, validators)
    say(f"writing {meters * rounds} sealed reports in another process")
    setting = Setting(root, rounds)
    apart(write_files, replace(task, rounds=rounds), setting)
    return setting


def populate(root: Path, meters: int, validators: int) -> ReportTask:
    """Found a network and bring its meters in."""
    directory = Directory(root / "network")
    directory.acquire()
    found(directory, bench_plan(validators, meters), START_MS)
    directory.release()
    pool, clock = VerifierPool(), SimulatedClock(START_MS)
    try:
        with Network(directory, clock, pool) as network:
            return bring_in(network, clock, meters)
    finally:
        pool.close()


def write_files(task: ReportTask, setting: Setting) -> None:
    """Write the sealed reports, and those that follow singly, each after its length."""
    reports = Writers(task)
    for path, wires in ((setting.wires, reports.rounds()), (setting.singles, reports.singles())):
        with path.open("wb") as stream:
            stream.writelines(len(wire).to_bytes(4, "big") + wire for wire in wires)


def read_batches(stream: BinaryIO, size: int = BATCH) -> Iterator[list[bytes]]:
    """Yield the messages of a file in batches."""
    batch: list[bytes] = []
    held = b""
    while chunk := stream.read(READ_AHEAD):
        held += chunk
        at = 0
        while (start := at + 4) <= len(held):
            end = start + int.from_bytes(held[at:start], "big")
            if end > len(held):
                break
            batch.append(held[start:end])
            at = end
            if len(batch) == size:
                yield batch
                batch = []
        held = held[at:]
    if batch:
        yield batch


class Feed:
    """Takes reports in: the next batches are opened and verified while one is decided, another written."""

    def __init__(self, network: Network, batches: Iterator[list[bytes]]) -> None:
        self._network = network
        self._batches = batches
        self._opening: deque[tuple[float, dict[str, Arriving]]] = deque()
        self._flight: deque[tuple[Decision, float, int]] = deque()
        self.fed = Fed(0, [], [(0, time.perf_counter(), time.process_time())])

    def run(self) -> Fed:
        """Take everything in; raises where a report is refused."""
        while len(self._opening) < OPENED_AHEAD and self._begin():
            pass
        while self._opening:
            arrived, arriving = self._opening.popleft()
            opened = self._network.finish_opening(arriving)
            self._begin()
            decision = self._network.decide_opened(opened)
            count = accepted(outcomes(next(iter(opened.values())), decision))
            self._flight.append((decision, arrived, count))
            while len(self._flight) >= IN_FLIGHT:
                self._land()
        while self._flight:
            self._land()
        return self.fed

    def _begin(self) -> bool:
        wires = next(self._batches, None)
        if wires is not None:
            self._opening.append((time.perf_counter(), self._network.begin_opening(wires)))
        return wires is not None

    def _land(self) -> None:
        decision, arrived, count = self._flight.popleft()
        decision.durable.result()
        now, fed = time.perf_counter(), self.fed
        fed.latencies += [1000 * (now - arrived)] * count
        fed.accepted += count
        fed.marks.append((fed.accepted, now, time.process_time()))


def accepted(results: Sequence[object]) -> int:
    """Return how many reports were accepted; raises the first refusal."""
    count = 0
    for result in results:
        if isinstance(result, GridMonitoringError):
            raise result
        count += result is not None
    return count


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value below which this share of the values is."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


def rss_mb() -> float:
    """Return this process's resident memory, MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def peak_rss_mb() -> float:
    """Return the most resident memory that this process had, MB."""
    noted = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    return max(noted, rss_mb())  # the kernel notes its maximum now and then
