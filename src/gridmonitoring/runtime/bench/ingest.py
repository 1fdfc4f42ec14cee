"""`gridmon bench ingest`: sealed reports accepted per second, end to end, beside the machine's ceiling.

Reports arrive as sealed wire bytes made beforehand by another process; caches are cold. Each is
opened, decoded and verified by every validator itself, half of them settle, every block is
committed with `synchronous=FULL`, and a report counts once it is on every validator's disk.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from itertools import pairwise
from pathlib import Path

from msgspec import Struct

from gridmonitoring.runtime.bench.ceiling import ed25519_ceiling
from gridmonitoring.runtime.bench.setting import (
    BATCH,
    Fed,
    Feed,
    Say,
    Setting,
    accepted,
    peak_rss_mb,
    prepare,
    quantile,
    read_batches,
    rss_mb,
)
from gridmonitoring.runtime.network import Network
from gridmonitoring.runtime.signature_checker import VerifierPool
from gridmonitoring.runtime.storage.truth import decode_body


class Part(Struct, frozen=True):
    """A stretch of the chain."""

    to_report: int
    """Reports on the chain at its end."""
    us_per_report: float
    """Wall clock, microseconds."""
    cpu_us_per_report: float
    """CPU time of the process that executes, without its workers, microseconds."""


class IngestResult(Struct, frozen=True):
    """What one run measured."""

    meters: int
    validators: int
    reports: int
    seconds: float
    reports_per_s: float
    ceiling_per_s: float
    """Ed25519 verifications per second on two threads, before and after."""
    ratio: float
    """Reports per second over the ceiling divided by the number of validators."""
    p50_ms: float
    """Median time from arrival to durable commit at full load."""
    p99_ms: float
    idle_p50_ms: float
    """The same of single reports with nothing else to do."""
    idle_p99_ms: float
    peak_rss_mb: float
    """Most memory of the process that executes, MB."""
    idle_rss_mb: float
    """Memory after opening, before the first report, MB."""
    rss_mb: float
    """Memory after the last report, MB."""
    disk_bytes_per_report: float
    """Growth of one validator's truth, closed."""
    disk_over_signed: float
    """The same over the signed bytes."""
    detail_bytes_per_report: float
    """Growth of its detail store."""
    us_per_report: float
    """Wall clock, microseconds."""
    cpu_us_per_report: float
    """CPU time of the process that executes, without its workers, microseconds."""
    parts: tuple[Part, ...]
    """Tenths of the chain, in order."""


def bench_ingest(
    meters: int, rounds: int, validators: int, say: Say, directory: Path | None = None
) -> IngestResult:
    """Measure ingest of `rounds` reports from each of `meters` meters; raises where one is refused."""
    root = directory or Path(tempfile.mkdtemp(prefix="gridmon-bench-"))
    try:
        setting = prepare(root, meters, rounds, validators, say)
        say("ingesting")
        return measure_ingest(setting, meters, validators)
    finally:
        if directory is None:
            shutil.rmtree(root, ignore_errors=True)


def measure_ingest(setting: Setting, meters: int, validators: int, batch: int = BATCH) -> IngestResult:
    """Take in the reports of a setting, `batch` messages at a time, and measure it."""
    before = ed25519_ceiling()
    sizes = setting.disk_bytes()
    pool = VerifierPool()
    network = setting.open(pool)
    first = network.application.height + 1
    try:
        pool.submit([]).result()
        idle_rss = rss_mb()
        with setting.wires.open("rb") as stream:
            fed = Feed(network, read_batches(stream, batch)).run()
        rss = rss_mb()
        signed = _signed_bytes(network, first)
    finally:
        network.close()
    grown, details = (now - before for now, before in zip(setting.disk_bytes(), sizes, strict=True))
    try:
        with setting.open(pool) as reopened:
            idle = _single(reopened, setting.singles)
    finally:
        pool.close()
    ceiling = (before + ed25519_ceiling()) / 2
    whole = _part(fed, 0, len(fed.marks) - 1)
    return IngestResult(
        meters=meters,
        validators=validators,
        reports=fed.accepted,
        seconds=whole.us_per_report * fed.accepted / 1e6,
        reports_per_s=1e6 / whole.us_per_report,
        ceiling_per_s=ceiling,
        ratio=1e6 / whole.us_per_report * validators / ceiling,
        p50_ms=quantile(fed.latencies, 0.50),
        p99_ms=quantile(fed.latencies, 0.99),
        idle_p50_ms=quantile(idle, 0.50),
        idle_p99_ms=quantile(idle, 0.99),
        peak_rss_mb=max(peak_rss_mb(), idle_rss, rss),  # the kernel notes its maximum now and then
        idle_rss_mb=idle_rss,
        rss_mb=rss,
        disk_bytes_per_report=grown / fed.accepted,
        disk_over_signed=grown / signed,
        detail_bytes_per_report=details / fed.accepted,
        us_per_report=whole.us_per_report,
        cpu_us_per_report=whole.cpu_us_per_report,
        parts=_tenths(fed),
    )


def _single(network: Network, path: Path) -> list[float]:
    """Deliver reports one by one; return the time that each took to be on disk, ms."""
    times: list[float] = []
    with path.open("rb") as stream:
        for wires in read_batches(stream, 1):
            start = time.perf_counter()
            accepted(network.deliver(wires))
            times.append(1000 * (time.perf_counter() - start))
    return times


def _signed_bytes(network: Network, first: int) -> int:
    """Return the bytes of the transactions in the blocks from a height on."""
    blocks = network.application.truth.blocks(first)
    return sum(len(raw) for block in blocks for raw in decode_body(block.body))


def _part(fed: Fed, first: int, last: int) -> Part:
    (done, wall, cpu), (then, end, cpu_end) = fed.marks[first], fed.marks[last]
    count = (then - done) / 1e6
    return Part(then, (end - wall) / count, (cpu_end - cpu) / count)


def _tenths(fed: Fed) -> tuple[Part, ...]:
    """Return up to ten parts of the chain of about the same number of blocks."""
    last = len(fed.marks) - 1
    ends = sorted({last * tenth // 10 for tenth in range(11)})
    return tuple(_part(fed, first, end) for first, end in pairwise(ends))
