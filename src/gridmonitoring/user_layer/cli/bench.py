"""`gridmon bench`: measurements beside the machine's own ceiling."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer

from gridmonitoring.runtime.bench.ingest import bench_ingest
from gridmonitoring.runtime.bench.monitor import bench_monitor
from gridmonitoring.runtime.bench.scale import SIZES, bench_scale
from gridmonitoring.runtime.bench.verify import bench_verify
from gridmonitoring.user_layer.cli.output import Json, Output, facts, note

app = typer.Typer(help="Measure, beside the machine's own ceiling.", rich_markup_mode=None)


@app.command()
def ingest(
    meters: Annotated[int, typer.Option(min=1, max=1_000_000, help="Meters that report.")] = 10_000,
    reports: Annotated[int, typer.Option(min=1, max=100_000, help="Reports of each, 96 a day.")] = 96,
    validators: Annotated[int, typer.Option(min=1, max=64, help="Validators in this process.")] = 1,
    as_json: Json = False,
) -> None:
    """Measure signed and sealed reports accepted per second, from wire bytes to disk.

    Example: gridmon bench ingest --meters 10000 --reports 96 --validators 1
    """
    result = bench_ingest(meters, reports, validators, note)
    data = msgspec.to_builtins(result)
    rows = [
        ("reports", f"{result.reports} of {meters} meters, {validators} validators"),
        ("reports per second", f"{result.reports_per_s:,.0f}"),
        ("Ed25519 ceiling per second", f"{result.ceiling_per_s:,.0f}"),
        ("ratio", f"{result.ratio:.3f}"),
        ("latency to disk at full load, p50 and p99", f"{result.p50_ms:,.0f} ms, {result.p99_ms:,.0f} ms"),
        ("of a single report", f"{result.idle_p50_ms:,.1f} ms, {result.idle_p99_ms:,.1f} ms"),
        ("peak memory", f"{result.peak_rss_mb:,.0f} MB"),
        ("disk per report", f"{result.disk_bytes_per_report:,.0f} bytes"),
        ("disk over signed bytes", f"{result.disk_over_signed:.2f}"),
    ]
    Output(as_json).result(data, lambda out: out.print(facts("Ingest", rows)))


@app.command()
def verify(
    meters: Annotated[int, typer.Option(min=1, max=1_000_000, help="Meters that report.")] = 10_000,
    reports: Annotated[int, typer.Option(min=1, max=100_000, help="Reports of each meter.")] = 6,
    as_json: Json = False,
) -> None:
    """Measure full offline verification of a chain, transactions per second.

    Example: gridmon bench verify --meters 10000 --reports 100
    """
    result = bench_verify(meters, reports, note)
    rows = [
        ("transactions", f"{result.transactions} of {meters} meters"),
        ("transactions per second", f"{result.transactions_per_s:,.0f}"),
        ("Ed25519 ceiling per second", f"{result.ceiling_per_s:,.0f}"),
        ("ratio", f"{result.ratio:.3f}"),
        ("peak memory", f"{result.peak_rss_mb:,.0f} MB"),
        ("growth of memory along the chain", f"{result.growth_mb:,.1f} MB"),
    ]
    Output(as_json).result(msgspec.to_builtins(result), lambda out: out.print(facts("Verification", rows)))


@app.command()
def scale(
    sizes: Annotated[list[int] | None, typer.Option("--meters", help="Meters; repeat for each size.")] = None,
    as_json: Json = False,
) -> None:
    """Measure cost per report and memory per meter as the population grows; takes long.

    Example: gridmon bench scale --meters 1000 --meters 10000 --meters 100000
    """
    result = bench_scale(note, sorted(sizes or SIZES))
    rows = [
        (f"{run.meters:,} meters", f"ratio {run.ratio:.3f}, {run.us_per_report:,.0f} us per report")
        for run in result.runs
    ]
    rows += [
        (
            "cost per report, largest over smallest",
            f"{result.cost_growth:.2f} CPU, {result.wall_growth:.2f} wall",
        ),
        ("memory per idle meter", f"{result.idle_bytes_per_meter:,.0f} bytes"),
        ("memory per meter that reported", f"{result.bytes_per_meter:,.0f} bytes"),
    ]
    Output(as_json).result(msgspec.to_builtins(result), lambda out: out.print(facts("Scale", rows)))


@app.command()
def monitor(
    meters: Annotated[int, typer.Option(min=1, max=1_000_000, help="Meters that report.")] = 1_000,
    reports: Annotated[int, typer.Option(min=1, max=100_000, help="Reports of each meter.")] = 100,
    validators: Annotated[int, typer.Option(min=1, max=64, help="Validators in this process.")] = 1,
    as_json: Json = False,
) -> None:
    """Measure a pass of the monitor over what a network stores, beside what taking it in cost.

    Example: gridmon bench monitor --meters 1000 --reports 100
    """
    result = bench_monitor(meters, reports, validators, note)
    rows = [
        ("chain", f"{result.transactions:,} transactions, {result.rows:,} rows, {validators} validators"),
        (
            "ingest per report",
            f"{result.ingest_us:,.1f} us, {result.ingest_own_us:,.1f} without workers",
        ),
        (
            "first pass",
            f"{result.first_us:,.2f} us per transaction, {100 * result.first_share:.1f} % of ingest",
        ),
        ("later pass", f"{result.pass_us:,.2f} us per transaction, {100 * result.share:.1f} % of ingest"),
    ]
    Output(as_json).result(msgspec.to_builtins(result), lambda out: out.print(facts("Monitor", rows)))
