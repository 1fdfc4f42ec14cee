"""Replay of recorded readings into a meter's agent, at full speed (paper IV-B: readings from a user's home).

The recording is what the house would draw. The meter's relay gates it: while it is open the house uses
nothing, and what it would have used is gone, not postponed.

Left out: waiting for the clock; and sending, which the caller does as often as it likes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from gridmonitoring.runtime.meter_agent import MeterAgent

MINUTE_MS = 60_000
"""Length of a minute, ms."""


class Minutes(Protocol):
    """Readings of consecutive minutes; item i of each channel is minute i."""

    @property
    def start_ms(self) -> int:
        """Start of the first minute, ms since 1970 UTC."""
        ...

    @property
    def watts(self) -> Sequence[int]:
        """Mean power, W."""
        ...

    @property
    def kitchen(self) -> Sequence[int]:
        """Watt-minutes."""
        ...

    @property
    def laundry(self) -> Sequence[int]:
        """Watt-minutes."""
        ...

    @property
    def climate(self) -> Sequence[int]:
        """Watt-minutes."""
        ...

    @property
    def rest(self) -> Sequence[int]:
        """Watt-minutes."""
        ...


class Replay:
    """One house's recording on its way into one meter."""

    def __init__(self, agent: MeterAgent, minutes: Minutes) -> None:
        self._agent = agent
        self._minutes = minutes
        self.end_ms = minutes.start_ms + len(minutes.watts) * MINUTE_MS
        """End of the recording, ms."""

    def advance(self, until_ms: int) -> int:
        """Measure every whole minute from where the meter is up to a time; return how many reports it made.

        An agent that was started again goes on after the last minute that it had stored.
        """
        minutes, measure = self._minutes, self._agent.minute
        start_ms = minutes.start_ms
        first = max(-((start_ms - self._agent.time) // MINUTE_MS), 0)
        last = (min(until_ms, self.end_ms) - start_ms) // MINUTE_MS
        span = slice(first, max(last, first))
        rows = zip(
            *(minutes.watts[span], minutes.kitchen[span], minutes.laundry[span]),
            *(minutes.climate[span], minutes.rest[span]),
            strict=True,
        )
        reports = 0
        start = start_ms + first * MINUTE_MS
        for watts, kitchen, laundry, climate, rest in rows:
            reports += measure(start, watts, kitchen, laundry, climate, rest)
            start += MINUTE_MS
        return reports
