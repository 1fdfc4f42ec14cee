"""What nodes do about another contract key: go over to it, and have the meters told (paper II-B).

When a key comes in force the nodes seal their own records to it, and tell the meters by transactions, some
after each block, so that a large area is told beside its work. Which meters have not been told is read from
the state, so a restart forgets nothing; what another node was first to tell is left out.

Left out: meters without access to electricity, which are told with it (`processing.installations`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gridmonitoring.blockchain.bodies import Kind, TellContractKey
from gridmonitoring.blockchain.contract_keys import FIRST, in_force, last_announced
from gridmonitoring.blockchain.state_rows import MeterKeyRow, Stage, SupplyPointRow, Table
from gridmonitoring.encoding.cbor import decode

if TYPE_CHECKING:
    from gridmonitoring.runtime.consensus.engine import Decision
    from gridmonitoring.runtime.network import Network

TOLD_AT_ONCE = 256
"""Meters that are told after one block."""


class KeyRotation:
    """Keeps in mind which contract key the nodes work with, and who is to be told of it."""

    def __init__(self, network: Network, at_once: int = TOLD_AT_ONCE) -> None:
        self._network = network
        self._at_once = at_once
        self._number = FIRST
        self._untold: list[bytes] = []

    def after(self, decision: Decision) -> list[bytes]:
        """Return transactions that tell meters of the key in force; after a block."""
        network = self._network
        if last_announced(network.row) == FIRST:
            return []
        number, key = in_force(network.row, network.genesis, network.application.log.log.size)
        if number != self._number:
            decision.durable.result()
            network.go_over(number, key.key)
            self._untold = self._plan(number)
            self._number = number
        self._untold = self._untold[self._told(number) :]
        node = network.nodes[network.engine.first().node]
        now = network.clock.now_ms()
        return [
            node.transaction(Kind.TELL_CONTRACT_KEY, TellContractKey(mid, number), now)
            for mid in self._untold[: self._at_once]
            if self._may_be_told(mid, number)
        ]

    def _plan(self, number: int) -> list[bytes]:
        """Return the meters that were not told of a key, in order."""
        truth = self._network.application.truth
        rows = ((mid, decode(value, MeterKeyRow)) for mid, value in truth.rows_of(Table.METER_KEY))
        told = {mid for mid, row in rows if row.told >= number}
        return sorted(mid for mid, _ in truth.rows_of(Table.METER) if mid not in told)

    def _told(self, number: int) -> int:
        """Return how many of the meters that come first have nothing to be told any more."""
        for count, mid in enumerate(self._untold):
            if self._may_be_told(mid, number):
                return count
        return len(self._untold)

    def _may_be_told(self, mid: bytes, number: int) -> bool:
        point: SupplyPointRow = self._network.row(Table.SUPPLY_POINT, mid)
        row: MeterKeyRow | None = self._network.row(Table.METER_KEY, mid)
        return point.stage == Stage.SUPPLIED and (row is None or row.told < number)
