"""How nodes do their duties, counted in the state: blocks locked for others, copies that differed (II-A).

A block is its form's node's to lock at once, the next node's two seconds later. Who took over, and for whom,
is in the log anyway; here it is counted, so that a node that is down when its block is due is noticed.

Left out: penalties. A signed time can be wrong by as much as the chain allows, so a count proves no guilt.
"""

from __future__ import annotations

from msgspec.structs import replace

from gridmonitoring.blockchain.ledger import Ledger
from gridmonitoring.blockchain.state_rows import ConductRow, DueRow, Table, party_key
from gridmonitoring.encoding.bounds import Role

TAKEOVER_MS = 2000
"""Wait before the next node takes over a duty, ms."""


def conduct_of(ledger: Ledger, node: bytes) -> ConductRow:
    """Return a node's counts so far."""
    row: ConductRow | None = ledger.view.get(Table.CONDUCT, node)
    return row or ConductRow(0, 0, 0, 0, 0, 0)


def note_takeover(ledger: Ledger, due: DueRow | None, signer: bytes, time: int) -> None:
    """Count a lock by another node than the one whose block it is; as missed only after the wait."""
    known = due is not None and ledger.view.get(Table.PARTY, party_key(Role.NODE, due.node))
    if due is None or due.node == signer or known is None:
        return
    taker = conduct_of(ledger, signer)
    ledger.view.put(Table.CONDUCT, signer, replace(taker, taken=taker.taken + 1, time=time))
    if time >= due.time + TAKEOVER_MS:
        late = conduct_of(ledger, due.node)
        ledger.view.put(Table.CONDUCT, due.node, replace(late, missed=late.missed + 1, time=time))
