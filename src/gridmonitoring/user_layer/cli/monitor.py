"""`gridmon monitor`: how the re-checking of the nodes' files stands, and what it found (paper II-A, V-B)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console

from gridmonitoring.blockchain.state_rows import ConductRow, Table
from gridmonitoring.errors import EvidenceError, UserError
from gridmonitoring.runtime.client import open_grid
from gridmonitoring.runtime.directory import Directory
from gridmonitoring.runtime.forensics import ForensicReport, report_lines, verify_report
from gridmonitoring.runtime.grid_port import Grid
from gridmonitoring.runtime.incidents import read_report, stored_reports
from gridmonitoring.runtime.monitoring import MonitorStatus
from gridmonitoring.runtime.verification import read_genesis
from gridmonitoring.user_layer.cli.options import DirectoryPath
from gridmonitoring.user_layer.cli.output import BadResult, Json, Output, facts, listing
from gridmonitoring.user_layer.cli.times import time_text


def monitor(
    directory: DirectoryPath,
    now: Annotated[
        bool, typer.Option("--pass", help="Make a whole pass now, and heal what differs.")
    ] = False,
    report: Annotated[
        int | None,
        typer.Option("--report", min=1, help="Show and verify the forensic report of this number."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show how far the monitor of the nodes' files is, what it found, and how the nodes do their duties.

    A running node re-checks its files in the background; --pass does it at once. Exit code 1 where --pass
    found something, or the report proves nothing.

    Example: gridmon monitor my-grid --pass
    """
    if report is not None:
        _one_report(Directory(directory), report, as_json)
        return
    with open_grid(directory) as grid:
        status = grid.watch() if now else grid.monitor()
        conduct = _conduct(grid)
        reports = [read_report(path) for path in stored_reports(grid.directory.root / "forensics")]
    data = {
        **_plain(status),
        "passes": [_plain(one) for one in status.passes],
        "conduct": conduct,
        "reports": [_short(number, found) for number, found in enumerate(reports, 1)],
    }
    Output(as_json).result(data, lambda out: _show(out, status, conduct, reports))
    if now and status.suspicions:
        raise BadResult(f"{status.suspicions} suspicions in this pass; see the reports")


def _plain(structure: msgspec.Struct) -> dict[str, Any]:
    """Return the fields of a structure by name."""
    return {name: getattr(structure, name) for name in structure.__struct_fields__}


def _conduct(grid: Grid) -> dict[str, dict[str, int]]:
    """Return each node's counts by its name."""
    names = {validator.node: validator.name for validator in grid.genesis.validators}
    rows: list[tuple[bytes, ConductRow]] = grid.rows(Table.CONDUCT)
    return {names.get(node, node.hex()): _plain(row) for node, row in rows}


def _short(number: int, report: ForensicReport) -> dict[str, Any]:
    return {
        "number": number,
        "node": report.node,
        "part": report.part,
        "table": report.table,
        "key": report.key,
        "found_height": report.since.found_height,
        "healed": list(report.healed),
    }


def _one_report(directory: Directory, number: int, as_json: bool) -> None:
    directory.require()
    paths: list[Path] = stored_reports(directory.root / "forensics")
    if number > len(paths):
        raise UserError(f"there is no forensic report {number}; the last is {len(paths)}")
    report = read_report(paths[number - 1])
    refused = ""
    if report.proof is not None:
        try:
            verify_report(report, read_genesis(directory.genesis))
        except EvidenceError as error:
            refused = str(error)
    proves = (
        "nothing: " + refused if refused else "what it says" if report.proof else "is no evidence by itself"
    )
    since = report.since
    lines = report_lines(report, (time_text(since.good_time), time_text(since.found_time)))
    data = {**msgspec.to_builtins(report), "proves": proves}
    title = f"Forensic report {number}"
    Output(as_json).result(data, lambda out: out.print(facts(title, [*lines, ("proves", proves)])))
    if refused:
        raise BadResult(refused)


def _show(
    out: Console,
    status: MonitorStatus,
    conduct: dict[str, dict[str, int]],
    reports: list[ForensicReport],
) -> None:
    last = status.passes[-1] if status.passes else None
    rows = [
        ("pass", f"{status.number}, {'under way: ' + status.position if status.running else 'ended'}"),
        ("suspicions in it", str(status.suspicions)),
        ("parent and side blocks followed", f"{status.threads[0]}, {status.threads[1]}"),
    ]
    rows += [("THREAD FAULT", fault) for fault in status.thread_faults]
    if last is not None:
        seen = f"{last.height} blocks, {last.rows} rows, {last.work_us / 1e6:.2f} s of work"
        rows.append(("last whole pass", f"{last.number}, ended {time_text(last.ended)}: {seen}"))
    out.print(facts("Monitor", rows))
    if conduct:
        columns = ("node", "differed", "healed", "not healed", "blocks missed", "blocks taken over")
        names = ("differing", "healed", "unhealed", "missed", "taken")
        lines = [(node, *(str(counts[name]) for name in names)) for node, counts in conduct.items()]
        out.print(listing("Conduct of the nodes", columns, lines))
    if reports:
        found = [
            (str(number), one.node, one.part, f"{one.table} {one.key}".strip(), "; ".join(one.healed) or "no")
            for number, one in enumerate(reports, 1)
        ]
        out.print(listing("Forensic reports", ("number", "node", "part", "where", "healed"), found))
