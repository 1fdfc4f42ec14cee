"""Clocks: the system's, and one that a replay of recorded readings drives."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Tells the time."""

    def now_ms(self) -> int:
        """Return milliseconds since 1970 UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now_ms(self) -> int:
        """Return milliseconds since 1970 UTC."""
        return time.time_ns() // 1_000_000


class SimulatedClock:
    """A clock that only its owner moves."""

    def __init__(self, now_ms: int) -> None:
        self._now_ms = now_ms

    def now_ms(self) -> int:
        """Return the simulated milliseconds since 1970 UTC."""
        return self._now_ms

    def move_to(self, now_ms: int) -> None:
        """Move forward; a time before the current one changes nothing."""
        self._now_ms = max(self._now_ms, now_ms)


def time_text(milliseconds: int | None) -> str:
    """Return a time as ISO 8601 in UTC, `-` for none."""
    if not milliseconds:
        return "-"
    return datetime.fromtimestamp(milliseconds // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
