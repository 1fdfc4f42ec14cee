"""Running a simulated meter on recorded readings: its timetable, and its line to the grid (paper IV-B).

Where time is the machine's, readings up to now are measured at once and then minute by minute. Where time is
simulated, they are measured as fast as asked for, and move the network's time with them. The meter sends
what it has and asks for commands at every step; what cannot be sent waits in its outbox.

What the people at home do at the meter is asked of a `Person` at each step.

Left out: where the readings come from, and what to show of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Event
from typing import Protocol

from msgspec import Struct

from gridmonitoring.contracts.meter_rule import MeterState
from gridmonitoring.errors import NodeUnavailable
from gridmonitoring.runtime.client import connect
from gridmonitoring.runtime.grid_port import Grid
from gridmonitoring.runtime.meter_agent import MeterAgent
from gridmonitoring.runtime.network import Outcome
from gridmonitoring.runtime.simulators.replay import Minutes, Replay
from gridmonitoring.runtime.storage.details import WrappedKey

MINUTE_MS = 60_000
"""Milliseconds of a minute."""


class Line:
    """A meter's way to the grid, which may be cut and found again: a `GridPort`."""

    def __init__(self, grid: Grid) -> None:
        self.grid = grid

    def again(self) -> bool:
        """Try to reach a node anew; return whether one serves. The directory itself is left to it."""
        found = connect(self.grid.directory)
        if found is None:
            return False
        self.grid.close()
        self.grid = found
        return True

    def send(self, wires: Sequence[bytes]) -> Sequence[Outcome]:
        """Hand sealed reports over."""
        return self.grid.deliver(wires)

    def commands(self, mid: bytes) -> Sequence[bytes]:
        """Return what the meter has not acknowledged."""
        return self.grid.commands(mid)

    def accuse(self, mid: bytes, delivery: bytes) -> Outcome:
        """Hand a delivery over whose proof does not hold."""
        return self.grid.accuse(mid, delivery)

    def wrap(self, keys: Sequence[WrappedKey]) -> None:
        """Hand wrapped keys over."""
        self.grid.wrap(keys)


class Pace(Struct, frozen=True):
    """How fast a recording is played."""

    simulated: bool
    """Whether the readings move the network's time."""
    speed: float
    """Recorded time over the machine's; 0 for as fast as it goes."""


class Person(Protocol):
    """Whoever is at home."""

    def act(self, agent: MeterAgent, now: int) -> int:
        """Do what there is to do at the meter; return how many reports it made of it."""
        ...


class Obliging:
    """Accepts whenever the meter offers to close the relay."""

    def act(self, agent: MeterAgent, now: int) -> int:
        """Accept what is offered."""
        ready = agent.meter.state is MeterState.READY_FOR_RECONNECTION
        return agent.accept_reconnection(now) if ready else 0


class Bell:
    """Wakes a run that waits for its next minute, or ends it; rung from any thread."""

    def __init__(self) -> None:
        self._rung = Event()
        self.stopped = False
        """Whether the run is to end."""

    def ring(self) -> None:
        """Have the meter look at once what the people at home do."""
        self._rung.set()

    def stop(self) -> None:
        """End the run."""
        self.stopped = True
        self._rung.set()

    def wait(self, seconds: float | None) -> bool:
        """Wait so long, or as long as it takes, and return whether it was rung."""
        rung = self._rung.wait(seconds)
        self._rung.clear()
        return rung


class Progress(Struct, frozen=True):
    """How far a run is."""

    time: int
    """End of the last minute measured, ms."""
    reports: int
    """Reports made so far."""
    refused: int
    """Reports that the grid refused for good."""
    waiting: int
    """Wire messages that are still to be sent."""


class MeterRun:
    """One meter on one recording."""

    def __init__(
        self, agent: MeterAgent, line: Line, minutes: Minutes, pace: Pace, person: Person | None = None
    ) -> None:
        """`person` is who is at home; an `Obliging` one if not given."""
        self._agent = agent
        self._person = person or Obliging()
        self._line = line
        self._pace = pace
        self._replay = Replay(agent, minutes)
        self._begin, self._end = max(minutes.start_ms, agent.time), self._replay.end_ms
        self._interval = agent.meter.contract.terms.agreement.reporting_interval_ms
        self.reports = self.refused = 0
        self.cut_off_from_grid = False
        """Whether the line was down at the last step."""

    def run(self, bell: Bell, tell: Callable[[Progress], None]) -> Progress:
        """Play until the recording ends or the bell stops it; return how it ended.

        At full speed a line that breaks ends the run with its error; in its own time the meter goes on and
        tries again. Nothing is lost either way.
        """
        now, pace = self._begin, self._pace
        self._step(now if pace.simulated else min(now, self._line.grid.clock.now_ms()))
        while now < self._end and not bell.stopped:
            limit = self._end if pace.simulated else min(self._line.grid.clock.now_ms(), self._end)
            stride = MINUTE_MS if pace.simulated and pace.speed else self._interval
            following = min(now + stride - now % stride, limit)
            if following > now:
                now = following
                self._step(now)
                tell(self._progress())
            caught_up = not pace.simulated and now >= limit
            if caught_up and not pace.speed:
                break
            waits = pace.speed and now < self._end and (pace.simulated or caught_up)
            if waits and bell.wait(MINUTE_MS / 1000 / pace.speed):
                self._step(now)
                tell(self._progress())
        return self._progress()

    def stay(self, bell: Bell, tell: Callable[[Progress], None]) -> Progress:
        """After the recording, answer the people at home whenever they ring, until the bell stops it."""
        while not bell.stopped:
            if bell.wait(None) and not bell.stopped:
                self._step(self._agent.time)
                tell(self._progress())
        return self._progress()

    def _step(self, now: int) -> None:
        self.reports += self._replay.advance(now)
        try:
            if self.cut_off_from_grid and not self._line.again():
                return
            self._meet(now)
            self.cut_off_from_grid = False
        except NodeUnavailable:
            if not self._pace.speed:
                raise
            self.cut_off_from_grid = True

    def _meet(self, now: int) -> None:
        """Send, hear what there is, and have the person at home answer it."""
        if self._pace.simulated:
            self._line.grid.move_clock(now)
        agent = self._agent
        self.refused += agent.flush().refused
        agent.poll(now)
        self.reports += self._person.act(agent, now)
        self.refused += agent.flush().refused

    def _progress(self) -> Progress:
        return Progress(self._agent.time, self.reports, self.refused, self._agent.waiting)
