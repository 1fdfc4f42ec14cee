"""Each measurement on a handful of meters: it does the real thing and counts it. Speed is not asserted."""

from __future__ import annotations

from pathlib import Path

import pytest

from gridmonitoring.errors import StorageError
from gridmonitoring.runtime.bench.ceiling import ed25519_ceiling
from gridmonitoring.runtime.bench.ingest import bench_ingest
from gridmonitoring.runtime.bench.monitor import bench_monitor
from gridmonitoring.runtime.bench.population import SINGLES
from gridmonitoring.runtime.bench.scale import bench_scale
from gridmonitoring.runtime.bench.setting import Setting, prepare, quantile, read_batches
from gridmonitoring.runtime.bench.verify import bench_verify, ingest_all, measure_verify

METERS, ROUNDS = 3, 4


def quiet(_: str) -> None:
    """Say nothing."""


def test_ingest_counts_every_report_and_fills_every_figure(tmp_path: Path) -> None:
    said: list[str] = []
    result = bench_ingest(METERS, ROUNDS, 2, said.append, tmp_path)
    assert (result.meters, result.validators, result.reports) == (METERS, 2, METERS * ROUNDS)
    assert result.ratio == pytest.approx(result.reports_per_s * 2 / result.ceiling_per_s)
    assert result.seconds == pytest.approx(result.reports / result.reports_per_s)
    assert 0 < result.p50_ms <= result.p99_ms
    assert 0 < result.idle_p50_ms <= result.idle_p99_ms
    assert 0 < result.idle_rss_mb <= result.peak_rss_mb
    assert result.detail_bytes_per_report >= 0
    assert result.disk_over_signed > 0
    assert result.parts[-1].to_report == result.reports
    assert said
    # every report and every single one is on each validator's ledger
    setting = Setting(tmp_path, ROUNDS)
    with setting.open(None) as network:
        singles = min(METERS, SINGLES)
        bench = network.application.log.log.size
        assert bench > METERS * ROUNDS + singles
        sizes = {validator.application.log.log.size for validator in network.engine.voting()}
        assert sizes == {bench}


def test_the_reports_are_those_of_every_meter_in_every_round(tmp_path: Path) -> None:
    setting = prepare(tmp_path, METERS, ROUNDS, 1, quiet)
    with setting.wires.open("rb") as stream:
        batches = list(read_batches(stream, 4))
    assert [len(batch) for batch in batches] == [4, 4, 4, 3]  # an offer for each meter, and the reports
    assert len({wire for batch in batches for wire in batch}) == METERS * (ROUNDS + 1)


def test_verify_counts_the_transactions_of_the_chain(tmp_path: Path) -> None:
    result = bench_verify(METERS, ROUNDS, quiet, tmp_path)
    assert result.transactions > METERS * ROUNDS
    assert result.signatures > result.transactions
    assert result.ratio == pytest.approx(result.transactions_per_s / result.ceiling_per_s)
    assert result.growth_mb == pytest.approx(result.last_rss_mb - result.first_rss_mb)


def test_a_chain_that_does_not_verify_is_not_measured(tmp_path: Path) -> None:
    setting = prepare(tmp_path, METERS, ROUNDS, 1, quiet)
    ingest_all(setting)
    (folder,) = {path.parent for path in setting.directory.node("").parent.rglob("truth.db")}
    (folder / "truth.db").write_bytes(b"")
    with pytest.raises(StorageError, match="does not verify"):
        measure_verify(setting, METERS, METERS * ROUNDS)


def test_scale_compares_the_sizes() -> None:
    result = bench_scale(quiet, (2, 4), 8)
    assert [(run.meters, run.reports) for run in result.runs] == [(2, 8), (4, 8)]
    assert result.cost_growth > 0
    assert result.wall_growth > 0


def test_the_ceiling_is_measured() -> None:
    assert ed25519_ceiling(0.05) > 0


def test_quantiles_are_of_the_sorted_values() -> None:
    assert quantile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert quantile([3.0, 1.0, 2.0], 0.99) == 3.0


def test_monitor_sets_a_pass_beside_ingest(tmp_path: Path) -> None:
    result = bench_monitor(METERS, ROUNDS, 2, quiet, tmp_path)
    assert (result.meters, result.validators) == (METERS, 2)
    assert result.transactions > METERS * ROUNDS
    assert result.rows > 2 * 8 * METERS
    assert result.share == pytest.approx(result.pass_us / result.ingest_us)
    assert result.first_share == pytest.approx(result.first_us / result.ingest_us)
    assert min(result.first_us, result.pass_us, result.ingest_own_us) > 0
