"""The person at the in-home display: wishes from its keys, carried out on the meter's own thread.

Accepting reconnection is done at the meter (paper V-A; COSEM's manual connection). Switching the own supply
is the consumer's signed wish (Table 1: customer utility control): it goes to the grid, and what the meter
follows is the command that comes back with its proof.

Left out: setting a power limit, which has a command of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from queue import SimpleQueue

from gridmonitoring.blockchain.bodies import Kind, Supply
from gridmonitoring.blockchain.state_rows import SupplyPointRow, SupplyWishRow, Table
from gridmonitoring.contracts.meter_rule import MeterState
from gridmonitoring.encoding.bounds import Role
from gridmonitoring.errors import GridMonitoringError, NodeUnavailable, UserError
from gridmonitoring.runtime.grid_port import Grid, load_signer
from gridmonitoring.runtime.key_files import read_keys
from gridmonitoring.runtime.meter_agent import MeterAgent
from gridmonitoring.runtime.meter_run import Line
from gridmonitoring.runtime.parties import Signer
from gridmonitoring.user_layer.screen.labels import Labels
from gridmonitoring.user_layer.screen.readers import ReadersView


class Wish(Enum):
    """What a key asks for."""

    ACCEPT = "accept"
    """Close the relay, as offered."""
    SWITCH = "switch"
    """The own supply off, or on again."""
    ACCESS = "access"
    """Who may read, and who asked."""


class AtTheScreen:
    """Does at the meter what keys ask for; `tell` says what became of it, `explain` shows a page."""

    def __init__(
        self,
        line: Line,
        mid: bytes,
        labels: Labels,
        tell: Callable[[str], None],
        explain: Callable[[str], None],
    ) -> None:
        self._line = line
        self._mid = mid
        self._labels = labels
        self._tell = tell
        self._explain = explain
        self._wishes: SimpleQueue[Wish] = SimpleQueue()

    def ask(self, wish: Wish) -> None:
        """Have a wish carried out at the next step; from any thread."""
        self._wishes.put(wish)

    def act(self, agent: MeterAgent, now: int) -> int:
        """Carry out what was asked for; return how many reports the meter made of it."""
        reports = 0
        while not self._wishes.empty():
            wish = self._wishes.get()
            try:
                reports += self._carry_out(wish, agent, now)
            except NodeUnavailable:
                raise
            except GridMonitoringError as error:
                self._tell(str(error))
        return reports

    def _carry_out(self, wish: Wish, agent: MeterAgent, now: int) -> int:
        if wish is Wish.ACCEPT:
            return self._accept(agent, now)
        if wish is Wish.SWITCH:
            return self._switch(agent, now)
        calendar = agent.display().calendar
        self._explain(ReadersView(self._line.grid, self._mid, self._labels, calendar).text())
        return 0

    def _accept(self, agent: MeterAgent, now: int) -> int:
        if agent.meter.state is not MeterState.READY_FOR_RECONNECTION:
            self._tell(self._labels.nothing_offered)
        return agent.accept_reconnection(now)

    def _switch(self, agent: MeterAgent, now: int) -> int:
        grid = self._line.grid
        consumer = consumer_of(grid, self._mid)
        if consumer is None:
            self._tell(self._labels.no_key)
            return 0
        before: SupplyWishRow | None = grid.row(Table.SUPPLY_WISH, self._mid)
        limit = before.power_limit if before is not None else 0
        wish = Supply(self._mid, before is not None and not before.on, limit)
        grid.require(consumer.transaction(Kind.SUPPLY, wish, grid.clock.now_ms()))
        self._tell(self._labels.ordered)
        made = agent.meter.contract.sequence
        agent.poll(now)
        return agent.meter.contract.sequence - made


def consumer_of(grid: Grid, mid: bytes) -> Signer | None:
    """Return the signer of a meter's consumer where the key is in the network's directory, else None."""
    point: SupplyPointRow | None = grid.row(Table.SUPPLY_POINT, mid)
    for path in sorted(grid.directory.keys.glob("consumer-*.json")):
        try:
            role, party, _ = read_keys(path)
        except UserError:
            continue
        if point is not None and role is Role.CONSUMER and party == point.consumer:
            return load_signer(grid, path)
    return None
