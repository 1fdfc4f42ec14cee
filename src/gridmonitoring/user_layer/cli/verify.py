"""`gridmon verify`: is it what was signed? A data directory, one file of it, or a bundle (paper III-A-2)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from gridmonitoring.runtime.findings import Finding
from gridmonitoring.runtime.signature_checker import VerifierPool
from gridmonitoring.runtime.verification import Progress, Verification, verify_path
from gridmonitoring.user_layer.cli.output import BadResult, Json, Output, facts, listing, progress

SHOWN = 50
"""Most findings that are listed for people."""


def verify(
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="Data directory, truth.db of a node, or bundle.")
    ],
    genesis: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Genesis document; the one with PATH if not given.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Check everything offline against the genesis document alone; exit code 1 where anything differs.

    Every block is replayed with every signature and rule. No secret key is needed, so a copy will do.

    Example: gridmon verify my-grid
    """
    pool = VerifierPool()
    try:
        with progress() as bar:
            task = bar.add_task("transactions", total=None)

            def step(done: Progress) -> None:
                bar.update(task, completed=done.transactions)

            result = verify_path(path, genesis, pool, step)
    finally:
        pool.close()
    Output(as_json).result(verification_data(path, result), lambda out: _show(out, path, result))
    if not result.verified:
        raise BadResult(_why(result))


def _why(result: Verification) -> str:
    if result.refused:
        return f"the bundle proves nothing: {result.refused}"
    findings = result.findings
    return f"{len(findings)} differences, the first: {findings[0]}"


def verification_data(path: Path, result: Verification) -> dict[str, Any]:
    """Return a verification as plain values."""
    return {
        "path": str(path),
        "kind": result.kind,
        "verified": result.verified,
        "genesis": result.genesis,
        "blocks": result.blocks,
        "transactions": result.transactions,
        "signatures": result.signatures,
        "app_hash": result.app_hash,
        "proves": result.proves or None,
        "refused": result.refused or None,
        "files": [
            {"node": file.node, "verified": file.verified, "rows": file.rows, "findings": len(file.findings)}
            for file in result.files
        ],
        "findings": [finding_data(finding) for finding in result.findings],
    }


def finding_data(finding: Finding) -> dict[str, str]:
    """Return a finding as plain values."""
    return {
        "node": finding.node,
        "table": finding.table,
        "key": finding.key,
        "found": finding.found,
        "expected": finding.expected,
    }


def finding_rows(findings: tuple[Finding, ...]) -> list[tuple[str, str, str, str, str]]:
    """Return findings for people, a bounded number of them."""
    return [(f.node, f.table, f.key, f.found, f.expected) for f in findings[:SHOWN]]


def _show(out: Console, path: Path, result: Verification) -> None:
    rows = [("verified", "yes" if result.verified else "NO"), ("genesis", result.genesis.hex())]
    if result.kind == "bundle":
        rows.append(("proves", result.proves or "nothing"))
    else:
        rows += [("blocks", str(result.blocks)), ("signatures", str(result.signatures))]
    rows += [("transactions", str(result.transactions)), ("app_hash", result.app_hash.hex() or "-")]
    out.print(facts(str(path), rows))
    if result.files:
        lines = [(f.node, str(f.rows), str(len(f.findings)) if f.findings else "none") for f in result.files]
        out.print(listing("Files", ("node", "rows as they should be", "differences"), lines))
    if result.findings:
        columns = ("node", "table", "key", "is", "should be")
        out.print(listing("Differences", columns, finding_rows(result.findings)))
