"""A data concentrator: one line to the grid for all meters of a street (paper IV-D: packages).

What the meters have to say goes out together and is decided in one consensus block; then each meter's agent
gets the outcomes of its own reports. It cannot read a report and need not be trusted: they are sealed and
signed, and a meter sends again what was not acknowledged.

Left out: collecting over time; it sends what waits when it is told to.
"""

from __future__ import annotations

from collections.abc import Sequence

from gridmonitoring.runtime.meter_agent import MeterAgent
from gridmonitoring.runtime.meter_port import GridPort, Outcome
from gridmonitoring.runtime.storage.details import WrappedKey


class Concentrator:
    """Stands between meters and grid; a `GridPort` itself."""

    def __init__(self, grid: GridPort) -> None:
        self._grid = grid
        self._outcomes: dict[bytes, Outcome] = {}
        self.heard: Sequence[bytes] = ()
        """What went over the line when it last sent: whoever listens has it."""
        self.instead: dict[bytes, Sequence[bytes]] = {}
        """Meter ID -> what reaches it in the place of what the grid says."""
        self.taken = 0
        """Wire messages that the grid has taken."""
        self.refused = 0
        """Reports that it refused for good."""

    def collect(self, agents: Sequence[MeterAgent]) -> None:
        """Send what waits at some meters, all together, and have each note what became of its own."""
        wires = [wire for agent in agents for wire in agent.outgoing()]
        if not wires:
            return
        self.heard = wires
        self._outcomes = dict(zip(wires, self._grid.send(wires), strict=True))
        for agent in agents:
            flushed = agent.flush()
            self.taken += flushed.taken
            self.refused += flushed.refused

    def send(self, wires: Sequence[bytes]) -> Sequence[Outcome]:
        """Return what became of messages that went out, and send those that did not."""
        left = [wire for wire in wires if wire not in self._outcomes]
        if left:
            self._outcomes.update(zip(left, self._grid.send(left), strict=True))
        return [self._outcomes.pop(wire) for wire in wires]

    def commands(self, mid: bytes) -> Sequence[bytes]:
        """Return what the grid has for a meter, or what somebody on the line says in its place."""
        return self._grid.commands(mid) if mid not in self.instead else self.instead[mid]

    def accuse(self, mid: bytes, delivery: bytes) -> Outcome:
        """Hand a delivery over whose proof does not hold."""
        return self._grid.accuse(mid, delivery)

    def wrap(self, keys: Sequence[WrappedKey]) -> None:
        """Hand wrapped keys over."""
        self._grid.wrap(keys)
