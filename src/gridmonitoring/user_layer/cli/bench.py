"""`gridmon bench`: measurements beside the machine's own ceiling."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer

from gridmonitoring.runtime.bench.ingest import bench_ingest
from gridmonitoring.user_layer.cli.output import Json, Output, facts, note

app = typer.Typer(help="Measure, beside the machine's own ceiling.", rich_markup_mode=None)


@app.command()
def ingest(
    meters: Annotated[int, typer.Option(min=1, max=1_000_000, help="Meters that report.")] = 10_000,
    reports: Annotated[int, typer.Option(min=1, max=100_000, help="Reports of each meter.")] = 4,
    validators: Annotated[int, typer.Option(min=1, max=64, help="Validators in this process.")] = 1,
    as_json: Json = False,
) -> None:
    """Measure signed and sealed reports accepted per second, from wire bytes to disk.

    Example: gridmon bench ingest --meters 10000 --reports 4 --validators 1
    """
    result = bench_ingest(meters, reports, validators, note)
    data = msgspec.structs.asdict(result)
    rows = [
        ("reports", f"{result.reports} of {meters} meters, {validators} validators"),
        ("reports per second", f"{result.reports_per_s:,.0f}"),
        ("Ed25519 ceiling per second", f"{result.ceiling_per_s:,.0f}"),
        ("ratio", f"{result.ratio:.3f}"),
        ("latency to disk, p50 and p99", f"{result.p50_ms:,.0f} ms, {result.p99_ms:,.0f} ms"),
        ("peak memory", f"{result.peak_rss_mb:,.0f} MB"),
        ("disk per report", f"{result.disk_bytes_per_report:,.0f} bytes"),
        ("disk over signed bytes", f"{result.disk_over_signed:.2f}"),
    ]
    Output(as_json).result(data, lambda out: out.print(facts("Ingest", rows)))
