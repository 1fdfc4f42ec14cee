"""What `gridmon show violation` tells: the contract database, by meter, type and time (III-A-5, II-A)."""

from __future__ import annotations

from typing import Any

from gridmonitoring.blockchain.state_rows import Done, EntryKind, FindingRow, ProposalRow, Table
from gridmonitoring.contracts.messages import Message
from gridmonitoring.contracts.meter_rule import MeterState
from gridmonitoring.contracts.violations import Violation
from gridmonitoring.errors import UserError
from gridmonitoring.runtime.grid_port import Grid
from gridmonitoring.runtime.views.contract_database import Recorded
from gridmonitoring.user_layer.cli.money import money_text
from gridmonitoring.user_layer.cli.times import time_text

COLUMNS = ("meter", "number", "time", "what", "count", "done", "money", "state", "side block")
"""Columns of the list."""


NODE_COLUMNS = ("node", "time", "what", "block", "meter", "shown by")
"""Columns of the nodes that are named for a block which they proposed."""


def wrong_proposals(grid: Grid) -> list[dict[str, Any]]:
    """Return the blocks that nodes proposed with another result than the quorum's, oldest first."""
    found: list[dict[str, Any]] = []
    for key, row in grid.rows(Table.PROPOSAL):
        assert isinstance(row, ProposalRow)
        found.append(
            {
                "node": key[:16].hex(),
                "time": row.time,
                "height": row.height,
                "meter": row.mid.hex() or None,
                "evidence": row.accusation.hex(),
                "reporter": row.reporter.hex(),
            }
        )
    return sorted(found, key=lambda data: (data["time"], data["node"], data["meter"] or ""))


def proposal_row(data: dict[str, Any]) -> tuple[str, ...]:
    """Return the same as a line of the list."""
    meter = data["meter"][:8] if data["meter"] else ""
    what = "wrong result of its block"
    return (
        *(data["node"][:8], time_text(data["time"]), what, str(data["height"])),
        *(meter, data["evidence"][:8]),
    )


def violation_named(name: str) -> Violation:
    """Return a type of violation by its name; raises `UserError`."""
    names = {violation.name.lower().replace("_", "-"): violation for violation in Violation}
    try:
        return names[name.lower().replace("_", "-")]
    except KeyError as error:
        raise UserError(f"no violation is called {name!r}; there are: {', '.join(names)}") from error


def recorded_data(grid: Grid, recorded: Recorded) -> dict[str, Any]:
    """Return an entry of the contract database for programs."""
    message, finding = recorded.message, recorded.finding
    digits = grid.genesis.minor_digits
    data: dict[str, Any] = {
        "meter": recorded.mid.hex(),
        "number": recorded.number,
        "height": message.height,
        "kind": message.kind.name.lower(),
        "message": _name(Message, message.code),
        "violation": _name(Violation, message.violation) if message.violation else None,
        "time": message.tsm,
        "meter_state": _name(MeterState, message.state),
        "evidence": [evidence.hex() for evidence in message.evidence],
        "count": finding.count if finding else message.count,
        "done": done_names(finding.action if finding else message.action),
        "amount": money_text(finding.amount if finding else message.receipt, digits),
        "side_block": recorded.index if recorded.index >= 0 else None,
    }
    if finding is not None:
        data |= _finding_data(finding)
    return data


def _finding_data(finding: FindingRow) -> dict[str, Any]:
    return {
        "state": finding.state.name.lower(),
        "node": finding.node.hex() or None,
        "dispute": finding.dispute.hex() or None,
        "resolution": finding.resolution.hex() or None,
    }


def done_names(action: int) -> list[str]:
    """Return the names of what was done."""
    return [bit.name.lower() for bit in Done if action & bit and bit.name]


def recorded_row(data: dict[str, Any], currency: str) -> tuple[str, ...]:
    """Return the same as a line of the list."""
    what = data["violation"] if data["kind"] == EntryKind.VIOLATION.name.lower() else data["message"]
    side = "waits" if data["side_block"] is None else str(data["side_block"])
    money = "" if data["amount"].strip("0.") == "" else f"{data['amount']} {currency}"
    done = ", ".join(data["done"]).replace("_", " ")
    return (
        *(data["meter"][:8], str(data["number"]), time_text(data["time"]), what.replace("_", " ")),
        *(str(data["count"]), done, money, data.get("state", ""), side),
    )


def _name(codes: Any, code: int) -> str:
    return next((known.name.lower() for known in codes if known == code), str(code))
