"""`gridmon bench ingest`: sealed reports accepted per second, end to end, beside the machine's ceiling.

Reports arrive as sealed wire bytes made beforehand by another process; caches are cold. Each is
opened, decoded and verified by every validator itself, half of them settle, every block is
committed with `synchronous=FULL`, and a report counts once it is on every validator's disk.
"""

from __future__ import annotations

import multiprocessing
import resource
import shutil
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct
from msgspec.structs import replace

from gridmonitoring.errors import ConsensusError, GridMonitoringError
from gridmonitoring.runtime.bench.ceiling import ed25519_ceiling
from gridmonitoring.runtime.bench.population import (
    START_MS,
    WARM_UP_MS,
    ReportTask,
    bench_plan,
    bring_in,
    write_reports,
)
from gridmonitoring.runtime.clock import SimulatedClock
from gridmonitoring.runtime.consensus.embedded import Decision
from gridmonitoring.runtime.directory import Directory
from gridmonitoring.runtime.founding import found
from gridmonitoring.runtime.ingest import Arriving
from gridmonitoring.runtime.network import Network, outcomes
from gridmonitoring.runtime.signature_checker import VerifierPool

BATCH = 4096
"""Wire messages taken at a time."""
IN_FLIGHT = 2
"""Blocks that may be on their way to disk."""
OPENED_AHEAD = 2
"""Batches that may be on their way through the workers."""

Say = Callable[[str], None]
"""Reports progress."""


class IngestResult(Struct, frozen=True):
    """What one run measured."""

    meters: int
    validators: int
    reports: int
    seconds: float
    reports_per_s: float
    ceiling_per_s: float
    ratio: float
    """Reports per second over the ceiling divided by the number of validators."""
    p50_ms: float
    """Median time from arrival to durable commit."""
    p99_ms: float
    peak_rss_mb: float
    rss_mb: float
    disk_bytes_per_report: float
    """Growth of one validator's truth file."""
    disk_over_signed: float
    """The same over the mean signed bytes."""
    us_per_report: float


def bench_ingest(
    meters: int, rounds: int, validators: int, say: Say, directory: Path | None = None
) -> IngestResult:
    """Measure ingest of `rounds` reports from each of `meters` meters; raises where one is refused."""
    root = directory or Path(tempfile.mkdtemp(prefix="gridmon-bench-"))
    try:
        return _bench(root, meters, rounds, validators, say)
    finally:
        if directory is None:
            shutil.rmtree(root, ignore_errors=True)


def _bench(root: Path, meters: int, rounds: int, validators: int, say: Say) -> IngestResult:
    task = _prepare(root, meters, validators, say)
    say(f"writing {meters * rounds} sealed reports in another process")
    wires = root / "wires"
    writer = multiprocessing.get_context("spawn").Process(
        target=write_file, args=(replace(task, rounds=rounds), str(wires))
    )
    writer.start()
    writer.join()
    if writer.exitcode:
        raise ConsensusError("the process that writes reports failed")
    before = ed25519_ceiling()
    say("ingesting")
    pool = VerifierPool()
    network = Network(
        Directory(root / "network"), SimulatedClock(START_MS + WARM_UP_MS + rounds * 1000), pool
    )
    try:
        warm = pool.submit([])
        warm.result()
        first = _disk(root, network)
        started = time.perf_counter()
        accepted, signed, latencies = _ingest(network, wires)
        seconds = time.perf_counter() - started
        grown = _disk(root, network) - first
        rss = _rss_mb()
    finally:
        network.close()
        pool.close()
    ceiling = (before + ed25519_ceiling()) / 2
    rate = accepted / seconds
    return IngestResult(
        meters=meters,
        validators=validators,
        reports=accepted,
        seconds=seconds,
        reports_per_s=rate,
        ceiling_per_s=ceiling,
        ratio=rate * validators / ceiling,
        p50_ms=_quantile(latencies, 0.50),
        p99_ms=_quantile(latencies, 0.99),
        peak_rss_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        rss_mb=rss,
        disk_bytes_per_report=grown / accepted,
        disk_over_signed=grown / signed,
        us_per_report=1e6 * seconds / accepted,
    )


def _prepare(root: Path, meters: int, validators: int, say: Say) -> ReportTask:
    directory = Directory(root / "network")
    directory.acquire()
    found(directory, bench_plan(validators), START_MS)
    directory.release()
    say(f"bringing in {meters} meters")
    pool = VerifierPool()
    clock = SimulatedClock(START_MS)
    with Network(directory, clock, pool) as network:
        task = bring_in(network, clock, meters)
    pool.close()
    return task


def write_file(task: ReportTask, path: str) -> None:
    """Write sealed reports to a file, each after its length; runs in another process."""
    with Path(path).open("wb") as stream:
        stream.writelines(len(wire).to_bytes(4, "big") + wire for wire in write_reports(task))


def _batches(stream: BinaryIO) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    while head := stream.read(4):
        batch.append(stream.read(int.from_bytes(head, "big")))
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _ingest(network: Network, path: Path) -> tuple[int, int, list[float]]:
    """Take in every batch: the next ones are opened and verified while one is decided, another written."""
    opening: deque[tuple[float, dict[str, Arriving]]] = deque()
    flight: deque[tuple[Decision, float, int]] = deque()
    latencies: list[float] = []
    accepted = signed = 0
    with path.open("rb") as stream:
        batches = _batches(stream)
        while True:
            while len(opening) < OPENED_AHEAD and (wires := next(batches, None)) is not None:
                opening.append((time.perf_counter(), network.begin_opening(wires)))
            if opening:
                arrived, arriving = opening.popleft()
                opened = network.finish_opening(arriving)
                if (wires := next(batches, None)) is not None:
                    opening.append((time.perf_counter(), network.begin_opening(wires)))
                decision = network.decide_opened(opened)
                one = next(iter(opened.values()))
                count = _accepted(outcomes(one, decision))
                signed += sum(len(t.raw) for t in one.transactions if not isinstance(t, GridMonitoringError))
                flight.append((decision, arrived, count))
            elif not flight:
                return accepted, signed, latencies
            while len(flight) >= IN_FLIGHT or (not opening and flight):
                done, since, number = flight.popleft()
                done.durable.result()
                latencies += [1000 * (time.perf_counter() - since)] * number
                accepted += number


def _accepted(results: Sequence[object]) -> int:
    count = 0
    for result in results:
        if isinstance(result, GridMonitoringError):
            raise result
        count += result is not None
    return count


def _quantile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


def _disk(root: Path, network: Network) -> int:
    folder = Directory(root / "network").node(network.engine.validators[0].name)
    return sum(file.stat().st_size for file in folder.glob("truth.db*"))


def _rss_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6
