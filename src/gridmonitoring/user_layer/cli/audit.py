"""`gridmon audit`: do the nodes hold the same, and what quorums signed? `--heal` mends what differs (V-B)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer
from rich.console import Console

from gridmonitoring.runtime import audit as auditing
from gridmonitoring.runtime.client import connect
from gridmonitoring.runtime.directory import Directory
from gridmonitoring.runtime.healing import Healed, Healing, heal
from gridmonitoring.runtime.signature_checker import VerifierPool
from gridmonitoring.runtime.verification import Progress, Verification
from gridmonitoring.user_layer.cli.options import DirectoryPath
from gridmonitoring.user_layer.cli.output import BadResult, Json, Output, facts, listing, progress
from gridmonitoring.user_layer.cli.verify import finding_data, finding_rows


def audit(
    directory: DirectoryPath,
    mend: Annotated[bool, typer.Option("--heal", help="Mend what differs from the other nodes.")] = False,
    as_json: Json = False,
) -> None:
    """Compare the nodes' files with each other and with what quorums signed; name every difference.

    Exit code 1 where anything differs, or is left after --heal. `verify` also executes everything anew.

    Example: gridmon audit my-grid --heal
    """
    place = Directory(directory)
    pool = VerifierPool()
    healing: Healing | None = None
    try:
        with progress() as bar:
            task = bar.add_task("transactions", total=None)

            def step(done: Progress) -> None:
                bar.update(task, completed=done.transactions)

            if mend:
                healing = _heal(place, pool, step)
                before, after = healing.before, healing.after
            else:
                before = after = auditing.audit(place, pool, step)
    finally:
        pool.close()
    Output(as_json).result(_data(before, after, healing), lambda out: _show(out, before, after, healing))
    if not after.verified:
        raise BadResult(f"{len(after.findings)} differences, the first: {after.findings[0]}")


def _heal(place: Directory, pool: VerifierPool, step: Callable[[Progress], None]) -> Healing:
    """Heal by the running node where there is one, validator by validator, while the others go on."""
    place.require()
    client = connect(place)
    if client is None:
        return heal(place, pool, step)
    with client:
        before = auditing.audit(place, pool, step)
        wrong = sorted({finding.node for finding in before.findings})
        done = [Healed(name, "; ".join(client.heal(name)) or "opened anew") for name in wrong]
    return Healing(before, auditing.audit(place, pool, step) if done else before, tuple(done))


def _data(before: Verification, after: Verification, healing: Healing | None) -> dict[str, Any]:
    return {
        "verified": after.verified,
        "blocks": after.blocks,
        "transactions": after.transactions,
        "app_hash": after.app_hash,
        "findings": [finding_data(finding) for finding in before.findings],
        "healed": None if healing is None else [{"node": h.node, "action": h.action} for h in healing.nodes],
        "left": None if healing is None else [finding_data(finding) for finding in after.findings],
    }


def _show(out: Console, before: Verification, after: Verification, healing: Healing | None) -> None:
    same = "yes" if before.verified else f"NO, {len(before.findings)} differences"
    rows = [
        ("nodes hold what was signed", same),
        ("blocks", str(after.blocks)),
        ("transactions", str(after.transactions)),
        ("app_hash", after.app_hash.hex() or "-"),
    ]
    if healing is not None:
        rows.append(("after healing", "all is well" if after.verified else f"{len(after.findings)} are left"))
    out.print(facts("Audit", rows))
    if before.findings:
        columns = ("node", "table", "key", "is", "should be")
        out.print(listing("Differences", columns, finding_rows(before.findings)))
    if healing is not None and healing.nodes:
        out.print(listing("Healed", ("node", "what was done"), [(h.node, h.action) for h in healing.nodes]))
