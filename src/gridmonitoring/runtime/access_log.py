"""The owner's view of who may read and who asked: grants, requests, erasures of one meter (paper II-B, IV-C).

Data owners have "full control over their data shared with third parties" (Table 1, data manageability) only
if they see what was shared. Every request is in the owner's thread, whatever it came to; this reads them,
page by page, through whichever node there is.

Left out: how it is shown (`user_layer`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from gridmonitoring.blockchain.state_rows import ErasureRow, GrantRow, ReadRow, Table
from gridmonitoring.contracts.consent import Verdict
from gridmonitoring.runtime.grid_port import PAGE, Grid


class AccessLog(Struct, frozen=True):
    """Everything about access to one meter's data."""

    grants: Sequence[tuple[int, GrantRow]]
    """(number, grant), in order."""
    reads: Sequence[tuple[int, ReadRow]]
    """(number, request), in order."""
    erasures: Sequence[tuple[int, ErasureRow]]
    """(number, erasure), in order."""

    def of_grant(self, number: int) -> tuple[Sequence[ReadRow], Sequence[ReadRow]]:
        """Return the requests that relied on a grant and on being its reader: allowed, and refused."""
        (grant,) = (row for n, row in self.grants if n == number)
        own = [row for _, row in self.reads if (row.grant, row.reader) == (number, grant.reader)]
        allowed = [row for row in own if row.verdict == Verdict.ALLOWED]
        return allowed, [row for row in own if row.verdict != Verdict.ALLOWED]


def read_access_log(grid: Grid, mid: bytes) -> AccessLog:
    """Return the access log of a meter as the ledger has it now."""
    return AccessLog(*(_rows(grid, table, mid) for table in (Table.GRANT, Table.READ, Table.ERASURE)))


def _rows(grid: Grid, table: Table, mid: bytes) -> list[tuple[int, Any]]:
    """Return (number, row) of every row of a meter's table, in order."""
    found: list[tuple[int, Any]] = []
    page = grid.rows(table, mid)
    while page:
        found += [(int.from_bytes(key[len(mid) :], "big"), row) for key, row in page]
        page = grid.rows(table, mid, after=page[-1][0]) if len(page) == PAGE else []
    return found
