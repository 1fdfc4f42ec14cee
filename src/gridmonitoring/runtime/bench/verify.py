"""`gridmon bench verify`: full offline verification, transactions per second beside the machine's ceiling.

The chain is one that `bench ingest` makes. Every block is replayed from genesis with every signature and
rule, and everything stored is held against it, by the same code as `gridmon verify`.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path

from msgspec import Struct

from gridmonitoring.errors import StorageError
from gridmonitoring.runtime.bench.ceiling import ed25519_ceiling
from gridmonitoring.runtime.bench.setting import (
    Feed,
    Say,
    Setting,
    apart,
    peak_rss_mb,
    prepare,
    read_batches,
    rss_mb,
)
from gridmonitoring.runtime.signature_checker import VerifierPool
from gridmonitoring.runtime.verification import Progress, verify_directory

FIRST_MARK = 100_000
"""Reports after which memory is looked at first."""


class VerifyResult(Struct, frozen=True):
    """What one run measured."""

    meters: int
    transactions: int
    """Transactions verified, those that brought the meters in included."""
    signatures: int
    """Signatures verified."""
    seconds: float
    transactions_per_s: float
    ceiling_per_s: float
    """Ed25519 verifications per second on two threads, before and after."""
    ratio: float
    """Transactions per second over the ceiling."""
    peak_rss_mb: float
    first_rss_mb: float
    """Memory once `FIRST_MARK` reports, or a tenth of them where there are fewer, were verified, MB."""
    last_rss_mb: float
    """Memory at the end of the chain, MB."""
    growth_mb: float
    """The difference."""


def bench_verify(meters: int, rounds: int, say: Say, directory: Path | None = None) -> VerifyResult:
    """Measure the verification of a chain with `rounds` reports from each of `meters` meters."""
    root = directory or Path(tempfile.mkdtemp(prefix="gridmon-bench-"))
    try:
        setting = prepare(root, meters, rounds, 1, say)
        say("ingesting")
        apart(ingest_all, setting)
        say("verifying")
        return apart(measure_verify, setting, meters, meters * rounds)
    finally:
        if directory is None:
            shutil.rmtree(root, ignore_errors=True)


def ingest_all(setting: Setting) -> int:
    """Take in the reports of a setting; return how many."""
    pool = VerifierPool()
    try:
        with setting.open(pool) as network, setting.wires.open("rb") as stream:
            return Feed(network, read_batches(stream)).run().accepted
    finally:
        pool.close()


def measure_verify(setting: Setting, meters: int, reports: int) -> VerifyResult:
    """Verify a setting's directory and measure it; raises `StorageError` where it does not verify."""
    before = ed25519_ceiling()
    marks: list[tuple[int, float]] = []

    def look(progress: Progress) -> None:
        marks.append((progress.transactions, rss_mb()))

    pool = VerifierPool()
    try:
        pool.submit([]).result()
        start = time.perf_counter()
        result = verify_directory(setting.directory, pool, look)
        seconds = time.perf_counter() - start
    finally:
        pool.close()
    if not result.verified:
        raise StorageError(f"the chain of the measurement does not verify: {result.findings[0]}")
    ceiling = (before + ed25519_ceiling()) / 2
    first = result.transactions - reports + min(FIRST_MARK, reports // 10)
    first_rss = next(rss for transactions, rss in marks if transactions >= first)
    return VerifyResult(
        meters=meters,
        transactions=result.transactions,
        signatures=result.signatures,
        seconds=seconds,
        transactions_per_s=result.transactions / seconds,
        ceiling_per_s=ceiling,
        ratio=result.transactions / seconds / ceiling,
        peak_rss_mb=peak_rss_mb(),
        first_rss_mb=first_rss,
        last_rss_mb=marks[-1][1],
        growth_mb=marks[-1][1] - first_rss,
    )
