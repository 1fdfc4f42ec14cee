"""`gridmon bench scale`: cost per report and memory per meter as the population grows.

Each size is prepared and measured in processes of its own. Batches are no larger than the smallest
population, so that no block has two reports of a meter, which would write its rows once for both.

Left out: the growth of one chain, whose tenths `bench ingest` shows.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from gridmonitoring.runtime.bench.ingest import IngestResult, measure_ingest
from gridmonitoring.runtime.bench.setting import BATCH, Say, apart, prepare

SIZES = (1_000, 10_000, 100_000)
"""Meters of each measurement."""
REPORTS = 200_000
"""Reports of each measurement."""


class ScaleResult(Struct, frozen=True):
    """What the sizes measured."""

    runs: tuple[IngestResult, ...]
    """One per size, in order."""
    cost_growth: float
    """CPU time per report at the largest size over that at the smallest, each over its ceiling's."""
    wall_growth: float
    """The same of the wall clock."""
    idle_bytes_per_meter: float
    """Memory per meter before it reports: (RSS at the largest - RSS at the smallest) / meters between."""
    bytes_per_meter: float
    """The same after every meter has reported."""


def bench_scale(say: Say, sizes: Sequence[int] = SIZES, reports: int = REPORTS) -> ScaleResult:
    """Measure ingest of about `reports` reports at each size; the sizes grow."""
    runs: list[IngestResult] = []
    for meters in sizes:
        with tempfile.TemporaryDirectory(prefix="gridmon-bench-") as folder:
            setting = prepare(Path(folder), meters, max(reports // meters, 1), 1, say)
            say("ingesting")
            runs.append(apart(measure_ingest, setting, meters, 1, min(BATCH, sizes[0])))
    few, many = runs[0], runs[-1]
    between = max(many.meters - few.meters, 1)
    return ScaleResult(
        tuple(runs),
        _relative(many.cpu_us_per_report, many) / _relative(few.cpu_us_per_report, few),
        _relative(many.us_per_report, many) / _relative(few.us_per_report, few),
        1e6 * (many.idle_rss_mb - few.idle_rss_mb) / between,
        1e6 * (many.rss_mb - few.rss_mb) / between,
    )


def _relative(cost: float, run: IngestResult) -> float:
    """Return a cost in verifications: the machine may not have been equally fast in each run."""
    return cost * run.ceiling_per_s
