"""`gridmon bench monitor`: what a pass of the monitor costs, beside what taking the same chain in cost.

The chain is one that `bench ingest` makes, with the same code. The first pass after opening follows every
block; the following ones compare. All are whole passes without pauses; costs are per transaction.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import tempfile
import time
from itertools import islice
from pathlib import Path

from msgspec import Struct

from gridmonitoring.errors import StorageError
from gridmonitoring.runtime.bench.setting import BATCH, Feed, Say, Setting, apart, prepare, read_batches
from gridmonitoring.runtime.monitoring import Monitor
from gridmonitoring.runtime.signature_checker import VerifierPool

PASSES = 3
"""Passes after the first."""
WARM_UP = 4
"""Of so many parts of the reports, at least, the first is not measured."""


class MonitorResult(Struct, frozen=True):
    """What one run measured."""

    meters: int
    validators: int
    transactions: int
    """Transactions of the chain, those that brought the meters in included."""
    rows: int
    """Rows of the state, over all validators."""
    ingest_us: float
    """CPU time of taking a report in, that of the workers included, microseconds."""
    ingest_own_us: float
    """That of the process that executes alone, microseconds."""
    first_us: float
    """CPU time of the first pass, microseconds per transaction."""
    pass_us: float
    """The same of a later one, the median."""
    first_share: float
    """First pass over ingest: below 0.05."""
    share: float
    """Later pass over ingest: below 0.05."""


def bench_monitor(
    meters: int, rounds: int, validators: int, say: Say, directory: Path | None = None
) -> MonitorResult:
    """Measure passes over a chain with `rounds` reports from each of `meters` meters."""
    root = directory or Path(tempfile.mkdtemp(prefix="gridmon-bench-"))
    try:
        setting = prepare(root, meters, rounds, validators, say)
        say("ingesting")
        ingest = apart(ingest_cost, setting, meters * rounds)
        say("watching")
        return apart(measure_passes, setting, meters, validators, ingest)
    finally:
        if directory is None:
            shutil.rmtree(root, ignore_errors=True)


def ingest_cost(setting: Setting, reports: int) -> tuple[float, float]:
    """Take in the reports of a setting; return CPU time per report, with that of workers and without, us.

    The first quarter, or batch, is not measured: the workers start in it.
    """
    pool = VerifierPool()
    size = max(1, min(BATCH, reports // WARM_UP))
    try:
        with setting.open(pool) as network, setting.wires.open("rb") as stream:
            batches = read_batches(stream, size)
            Feed(network, islice(batches, 1)).run()
            own, workers = time.process_time(), _workers_s()
            taken = Feed(network, batches).run().accepted
            own, workers = time.process_time() - own, _workers_s() - workers
    finally:
        pool.close()
    return 1e6 * (own + workers) / taken, 1e6 * own / taken


def _workers_s() -> float:
    """Return the CPU time that the worker processes took so far, seconds."""
    ticks = 0
    for process in multiprocessing.active_children():
        fields = Path(f"/proc/{process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])  # user and system, proc(5)
    return ticks / os.sysconf("SC_CLK_TCK")


def measure_passes(
    setting: Setting, meters: int, validators: int, ingest: tuple[float, float]
) -> MonitorResult:
    """Watch a setting's directory and measure it; raises `StorageError` where something is suspected."""
    costs: list[float] = []
    with setting.open(None) as network:
        monitor = Monitor(network)
        transactions = network.application.log.log.size
        for _ in range(1 + PASSES):
            start = time.process_time()
            if found := monitor.whole_pass():
                raise StorageError(f"{found[0].node}: {found[0].text}")
            costs.append(1e6 * (time.process_time() - start) / transactions)
        rows = monitor.status().passes[-1].rows
    later = sorted(costs[1:])[PASSES // 2]
    return MonitorResult(
        meters=meters,
        validators=validators,
        transactions=transactions,
        rows=rows,
        ingest_us=ingest[0],
        ingest_own_us=ingest[1],
        first_us=costs[0],
        pass_us=later,
        first_share=costs[0] / ingest[0],
        share=later / ingest[0],
    )
