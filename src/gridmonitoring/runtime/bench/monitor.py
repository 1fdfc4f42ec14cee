"""`gridmon bench monitor`: what a pass of the monitor costs, beside what taking the same chain in cost.

The chain is one that `bench ingest` makes, with the same code. The first pass after opening follows every
block; the following ones compare. All are whole passes without pauses; costs are per transaction.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path

from msgspec import Struct

from gridmonitoring.errors import StorageError
from gridmonitoring.runtime.bench.setting import Feed, Say, Setting, apart, prepare, read_batches
from gridmonitoring.runtime.monitoring import Monitor
from gridmonitoring.runtime.signature_checker import VerifierPool

PASSES = 3
"""Passes after the first."""


class MonitorResult(Struct, frozen=True):
    """What one run measured."""

    meters: int
    validators: int
    transactions: int
    """Transactions of the chain, those that brought the meters in included."""
    rows: int
    """Rows of the state, over all validators."""
    ingest_us: float
    """Wall clock of taking a report in, microseconds."""
    ingest_cpu_us: float
    """CPU time of the process that executes, without its workers, microseconds."""
    first_us: float
    """CPU time of the first pass, microseconds per transaction."""
    pass_us: float
    """The same of a later one, the median."""
    first_share: float
    """First pass over ingest (wall clock)."""
    share: float
    """Later pass over ingest (wall clock): at most 0.05."""


def bench_monitor(
    meters: int, rounds: int, validators: int, say: Say, directory: Path | None = None
) -> MonitorResult:
    """Measure passes over a chain with `rounds` reports from each of `meters` meters."""
    root = directory or Path(tempfile.mkdtemp(prefix="gridmon-bench-"))
    try:
        setting = prepare(root, meters, rounds, validators, say)
        say("ingesting")
        wall, cpu = apart(ingest_cost, setting)
        say("watching")
        return apart(measure_passes, setting, meters, validators, (wall, cpu))
    finally:
        if directory is None:
            shutil.rmtree(root, ignore_errors=True)


def ingest_cost(setting: Setting) -> tuple[float, float]:
    """Take in the reports of a setting; return wall clock and CPU time per report, microseconds."""
    pool = VerifierPool()
    try:
        pool.submit([]).result()
        with setting.open(pool) as network, setting.wires.open("rb") as stream:
            marks = Feed(network, read_batches(stream)).run().marks
    finally:
        pool.close()
    (_, begun, cpu), (reports, ended, cpu_end) = marks[0], marks[-1]
    return 1e6 * (ended - begun) / reports, 1e6 * (cpu_end - cpu) / reports


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
        ingest_cpu_us=ingest[1],
        first_us=costs[0],
        pass_us=later,
        first_share=costs[0] / ingest[0],
        share=later / ingest[0],
    )
