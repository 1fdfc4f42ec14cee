"""`gridmon data`: the data center, for the utility, auditors and research (paper III-A-7, IV-C).

Left out: granting a researcher access to one household's own readings, which is the household's to do.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from gridmonitoring.data_center.aggregates import LENGTHS, Dimension, Period
from gridmonitoring.data_center.exports import AGGREGATE_SCHEMA, SCHEMAS, left_out
from gridmonitoring.data_center.floors import make_floors
from gridmonitoring.data_center.forecasts import FORECASTERS, backtest
from gridmonitoring.encoding.bounds import MAX_INT
from gridmonitoring.errors import UserError
from gridmonitoring.runtime.client import open_grid
from gridmonitoring.runtime.columns.engine import select
from gridmonitoring.runtime.columns.exporting import (
    aggregate_row,
    require_new,
    require_of_chain,
    write_export,
)
from gridmonitoring.runtime.columns.paths import DataCenterPaths
from gridmonitoring.runtime.columns.rebuilding import rebuild_columns
from gridmonitoring.runtime.columns.register import Register
from gridmonitoring.runtime.columns.research import Wanted, demand, export_rows
from gridmonitoring.runtime.columns.research import aggregate as aggregate_copies
from gridmonitoring.runtime.columns.store import data_status, open_copies
from gridmonitoring.runtime.directory import Directory
from gridmonitoring.runtime.entropy import random_bytes
from gridmonitoring.user_layer.cli.data_tables import (
    aggregate_lines,
    forecast_lines,
    plain_value,
    status_rows,
)
from gridmonitoring.user_layer.cli.money import energy_text
from gridmonitoring.user_layer.cli.options import DirectoryPath
from gridmonitoring.user_layer.cli.output import Json, Output, facts, listing, progress
from gridmonitoring.user_layer.cli.times import parse_time, time_text

app = typer.Typer(help="The data center: copies for forecasts and research.", rich_markup_mode=None)

SEASONS = {Period.HOUR: 24, Period.DAY: 7}
"""Periods of a season: a day of hours, a week of days."""
MAX_ROWS = 100_000
"""Most rows of a query's answer."""

From = Annotated[str | None, typer.Option("--from", metavar="TIME", help="From this time on, UTC.")]
To = Annotated[str | None, typer.Option("--to", metavar="TIME", help="Before this time, UTC.")]
Folder = Annotated[
    Path | None, typer.Option("--output", metavar="FOLDER", help="Write file and manifest into a new folder.")
]
Format = Annotated[str, typer.Option("--format", help="csv or parquet.")]
By = Annotated[Period, typer.Option("--period", help="How long a cell is.")]


@app.command()
def status(directory: DirectoryPath, as_json: Json = False) -> None:
    """Show how far the copies go, what they hold, the floors, and what was given.

    Example: gridmon data status my-grid
    """
    paths = DataCenterPaths(Directory(directory))
    with open_grid(directory) as grid:
        stands = data_status(paths)
        height = grid.status().height
        if stands.head.height:
            require_of_chain(grid, stands.head)
    data = {
        "height": stands.head.height,
        "network_height": height,
        "behind": max(height - stands.head.height, 0),
        "time": stands.head.time_ms,
        "parts": stands.parts,
        "bytes": stands.bytes,
        "waiting": stands.waiting,
        "floor_meters": stands.floors.meters,
        "floor_share_permille": stands.floors.share_permille,
        "given": stands.given,
        "atoms": stands.atoms,
        "opened": stands.opened,
    }
    Output(as_json).result(data, lambda out: out.print(facts("Data center", status_rows(data))))


@app.command()
def rebuild(directory: DirectoryPath, as_json: Json = False) -> None:
    """Make the copies from the chain, for the first time or anew; a node that starts then keeps them up.

    Example: gridmon data rebuild my-grid
    """
    with progress() as bar:
        task = bar.add_task("blocks", total=None)
        made = rebuild_columns(
            Directory(directory), lambda done, of: bar.update(task, completed=done, total=of)
        )
    data = {"blocks": made.blocks, "copies": made.copies, "parts": made.parts}
    rows = [(name, str(value)) for name, value in data.items()]
    Output(as_json).result(data, lambda out: out.print(facts("Copies made anew", rows)))


@app.command()
def floors(
    directory: DirectoryPath,
    meters: Annotated[int, typer.Option("--meters", help="Fewest meters of an aggregate, 10 to 10,000.")],
    share: Annotated[int, typer.Option("--share", help="Largest share of one meter, 1 to 25 percent.")],
    as_json: Json = False,
) -> None:
    """Set the floors under which no aggregate leaves; 15 meters and 15 percent if nothing was set.

    Example: gridmon data floors my-grid --meters 20 --share 10
    """
    paths = DataCenterPaths(Directory(directory))
    paths.require()
    wanted = make_floors(meters, share * 10)
    register = Register(paths.releases)
    try:
        register.set_floors(wanted)
    finally:
        register.close()
    data = {"floor_meters": wanted.meters, "floor_share_permille": wanted.share_permille}
    rows = [("fewest meters", str(meters)), ("largest share", f"{share} %")]
    Output(as_json).result(data, lambda out: out.print(facts("Floors", rows)))


@app.command()
def query(
    directory: DirectoryPath,
    sql: Annotated[str, typer.Argument(metavar="SQL", help="One SELECT statement, in DuckDB's dialect.")],
    limit: Annotated[int, typer.Option("--limit", min=1, max=MAX_ROWS, help="Most rows to show.")] = 1000,
    as_json: Json = False,
) -> None:
    """Ask the copies: forms, settlements, lines, readings, events, messages. For operator and auditors.

    Example: gridmon data query my-grid "SELECT tariff_name, sum(energy) FROM settlements GROUP BY ALL"
    """
    with open_copies(DataCenterPaths(Directory(directory))) as (connection, head):
        columns, rows = select(connection, sql, limit + 1)
    shown = [[plain_value(value) for value in row] for row in rows[:limit]]
    data = {"height": head.height, "columns": columns, "rows": shown, "more": len(rows) > limit}
    more = f" (the first {limit})" if len(rows) > limit else ""
    table = listing("", columns, [[str(v) for v in r] for r in shown])
    Output(as_json).result(data, lambda out: out.print(f"Copies up to block {head.height}{more}", table))


@app.command()
def aggregate(
    directory: DirectoryPath,
    period: By = Period.DAY,
    group: Annotated[
        list[Dimension] | None, typer.Option("--group", help="Tell cells apart by this too; can be repeated.")
    ] = None,
    start: From = None,
    end: To = None,
    totals: Annotated[bool, typer.Option("--totals", help="Also a total of each period.")] = False,
    folder: Folder = None,
    form: Format = "csv",
    as_json: Json = False,
) -> None:
    """Give sums of energy and money above the floors; what would uncover fewer meters is withheld.

    Example: gridmon data aggregate my-grid --period day --group tariff --totals
    """
    paths = DataCenterPaths(Directory(directory))
    by = tuple(dimension for dimension in Dimension if dimension in (group or ()))
    with open_grid(directory) as grid:
        require_of_chain(grid, data_status(paths).head)
        if folder is not None:
            require_new(folder, form)
        given = aggregate_copies(paths, period, by, _wanted(start, end), totals=totals)
        if folder is not None:
            rows = [aggregate_row(one) for one in given.aggregates]
            withheld = {"cells withheld": len(given.withheld)}
            content = " ".join(["aggregate by", period.value, *by])
            write_export(
                grid, folder, form, given.head, content, AGGREGATE_SCHEMA, rows, given.floors, withheld, ()
            )
        digits = grid.genesis.minor_digits
    columns, lines = aggregate_lines(given, by, digits)
    names = [column.name for column in AGGREGATE_SCHEMA]
    data = {
        "height": given.head.height,
        "aggregates": [dict(zip(names, aggregate_row(one), strict=True)) for one in given.aggregates],
        "withheld": [{"start_ms": cell.start_ms, **dict(cell.by)} for cell in given.withheld],
        "folder": str(folder) if folder else None,
    }
    table = listing(f"Sums up to block {given.head.height}", columns, lines)
    Output(as_json).result(data, lambda out: out.print(table))


@app.command()
def export(
    directory: DirectoryPath,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="New folder for rows and manifest.")],
    table: Annotated[str, typer.Option("--table", help=f"One of {', '.join(SCHEMAS)}.")] = "settlements",
    start: From = None,
    end: To = None,
    form: Format = "parquet",
    as_json: Json = False,
) -> None:
    """Write rows with pseudonyms for research, and a manifest: checkpoint, schema, what was withheld.

    Example: gridmon data export my-grid research-1 --table settlements --format csv
    """
    paths = DataCenterPaths(Directory(directory))
    with open_grid(directory) as grid:
        require_of_chain(grid, data_status(paths).head)
        require_new(folder, form)
        found = export_rows(paths, table, _wanted(start, end), random_bytes(32))
        manifest = write_export(
            grid,
            folder,
            form,
            found.head,
            table,
            SCHEMAS[table],
            found.rows,
            found.floors,
            found.suppressed,
            left_out(table),
        )
    data = {
        "folder": str(folder),
        "files": manifest.files,
        "height": manifest.height,
        "rows": manifest.rows,
        "suppressed": manifest.suppressed,
        "app_hash": manifest.app_hash,
    }
    rows = [(name, str(value)) for name, value in data.items()]
    Output(as_json).result(data, lambda out: out.print(facts("Export", rows)))


@app.command()
def forecast(
    directory: DirectoryPath,
    period: By = Period.DAY,
    horizon: Annotated[int, typer.Option("--horizon", min=1, max=366, help="Periods to forecast.")] = 7,
    as_json: Json = False,
) -> None:
    """Forecast the demand of all meters, and score each baseline on what is known: for the utility itself.

    Example: gridmon data forecast my-grid --period day --horizon 7
    """
    first, series = demand(DataCenterPaths(Directory(directory)), period)
    season = SEASONS[period]
    if len(series) < season + horizon:
        raise UserError(
            f"the copies hold {len(series)} whole periods; a forecast needs {season + horizon} to be scored"
        )
    scores = {name: backtest(series, season, horizon, make) for name, make in FORECASTERS.items()}
    best = min(scores, key=lambda name: scores[name].mae)
    after = first + len(series) * LENGTHS[period]
    values = FORECASTERS[best](series, season, horizon)
    data = {
        "period": period.value,
        "season": season,
        "known": len(series),
        "best": best,
        "scores": {name: score._asdict() for name, score in scores.items()},
        "forecast": [
            {"start_ms": after + step * LENGTHS[period], "energy": value} for step, value in enumerate(values)
        ],
    }
    columns, lines = forecast_lines(scores)
    scored = listing(f"Forecasts of {horizon} {period.value}s, scored on {len(series)}", columns, lines)
    starts = range(after, after + horizon * LENGTHS[period], LENGTHS[period])
    coming = [
        (time_text(start), energy_text(round(value))) for start, value in zip(starts, values, strict=True)
    ]

    def show(out: Console) -> None:
        out.print(scored)
        out.print(listing(f"Forecast by {best}", ("from", "energy"), coming))

    Output(as_json).result(data, show)


def _wanted(start: str | None, end: str | None) -> Wanted:
    first = parse_time(start, "--from") if start else 0
    last = parse_time(end, "--to") if end else MAX_INT
    if first >= last:
        raise UserError("--from is not before --to")
    return Wanted(first, last)
