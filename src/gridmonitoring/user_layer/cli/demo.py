"""`gridmon demo`: the whole system at work on real readings, and the proof that it did (paper III to V)."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress, TaskID
from rich.table import Table

from gridmonitoring.user_layer.cli.output import Json, Output, facts, note, progress
from gridmonitoring.user_layer.demo.aftermath import SEVERAL
from gridmonitoring.user_layer.demo.report import (
    COLUMNS,
    EXPLAINED,
    Shown,
    commands,
    house_rows,
    verification_lines,
)
from gridmonitoring.user_layer.demo.run import Result, choose_cast, run_demo
from gridmonitoring.user_layer.demo.town import new_directory


class _Bars:
    """Shows stages as progress bars."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._task: TaskID | None = None
        self._total = 0

    def stage(self, name: str, total: int) -> None:
        """Begin a bar."""
        self._total = total
        self._task = self._bars.add_task(name, total=total)

    def done(self, steps: int) -> None:
        """Move it on."""
        if self._task is not None:
            self._bars.update(self._task, completed=min(steps, self._total))


def demo(
    directory: Annotated[
        Path | None,
        typer.Option(
            "--dir", metavar="DIR", help="An empty or new directory; ./demo-1 and so on if not given."
        ),
    ] = None,
    houses: Annotated[int, typer.Option(min=1, max=500, metavar="N", help="Houses.")] = 6,
    days: Annotated[int, typer.Option(min=1, max=366, metavar="D", help="Days.")] = 7,
    data: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="Readings in the original format; the package's own if not given."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Live through some days of real household readings at full speed, and verify everything.

    Four nodes in one process; houses register, get meters, buy power and use it; credit runs low and out,
    power is cut and restored, a wrong form is refused. At the end a summary, charts, evidence, and a report.

    Example: gridmon demo --houses 20 --days 30
    """
    cast = choose_cast(houses, days, data)
    where = new_directory(directory)
    shown = Shown(where, *_programs(Path(sys.argv[0])))
    note(f"demonstration in {where}: {houses} houses, {days} days of recorded readings")
    with progress() as bars:
        result = run_demo(cast, shown, _Bars(bars))
    Output(as_json).result(_data(result, where), lambda out: _show(out, result, shown))
    if not result.outcome.verified:
        raise typer.Exit(1)


def _data(result: Result, where: Path) -> dict[str, Any]:
    outcome, verification = result.outcome, result.outcome.verification
    root = where.resolve()
    return {
        "verified": outcome.verified,
        "data_dir": str(root),
        "evidence": [str(path) for path in outcome.evidence.values()],
        "incidents": dict(outcome.incidents),
        "report": str(result.report),
        "charts": [str(path) for path in outcome.charts.values()],
        "seconds": {
            "set_up": round(result.seconds[0], 2),
            "days": round(result.seconds[1], 2),
            "books_and_verification": round(result.seconds[2], 2),
            "all": round(sum(result.seconds), 2),
        },
        "reports": outcome.log.reports,
        "transactions": verification.transactions,
        "blocks": verification.blocks,
        "app_hash": verification.app_hash.hex(),
        "genesis": verification.genesis.hex(),
        "violations": sum(house.violations for house in outcome.houses),
        "houses": [
            {
                "name": house.name,
                "meter": house.mid.hex(),
                "recorded_from": house.recorded,
                "tariff": house.tariff,
                "state": house.state,
                "energy_wh": house.energy,
                "charged": house.charged,
                "credit": house.credit,
                "debt": house.debt,
                "lots": house.lots,
                "blocks_locked": house.locked,
                "side_blocks": house.side_blocks,
                "violations": house.violations,
                "meter_equals_ledger": house.equal,
            }
            for house in outcome.houses
        ],
        "source": outcome.source,
    }


def _programs(started: Path) -> tuple[str, str]:
    """Return how this program and its interpreter are called from here."""
    folder, path = started.parent, os.environ.get("PATH", "").split(os.pathsep)
    if str(folder) in path or not (folder / "python").exists():
        return "gridmon", "python"
    here = Path.cwd()
    shown = folder.relative_to(here) if folder.is_relative_to(here) else folder
    return str(shown / "gridmon"), str(shown / "python")


def _show(out: Console, result: Result, shown: Shown) -> None:
    outcome, where = result.outcome, shown.directory
    root = where.resolve()
    incidents = [(name.replace("_", " "), text) for name, text in outcome.incidents.items()]
    table = Table(*COLUMNS, box=None, padding=(0, 1, 0, 0))
    for row in house_rows(outcome):
        table.add_row(*row)
    out.print(table)
    out.print(EXPLAINED)
    out.print(facts("Incidents", incidents))
    set_up, days, after = result.seconds
    verdict = "everything verified" if outcome.verified else "NOT everything could be verified"
    rows = [
        *verification_lines(outcome),
        ("time", f"{set_up:.1f} s to move in, {days:.1f} s for the days, {after:.1f} s for books and proofs"),
    ]
    out.print(facts(f"Verification: {verdict}", rows))
    for finding in outcome.verification.findings[:20]:
        out.print(str(finding))
    for kind, reason in outcome.unproven.items():
        out.print(f"evidence of a {kind} proves nothing: {reason}")
    out.print(f"\nReport with charts: {where / result.report.relative_to(root)}")
    out.print(
        "Evidence: " + ", ".join(str(where / path.relative_to(root)) for path in outcome.evidence.values())
    )
    out.print("\nLook further:")
    for line in commands(outcome, shown):
        out.print(f"  {line}", soft_wrap=True)
    out.print(f"\n{outcome.source}. {SEVERAL}")
