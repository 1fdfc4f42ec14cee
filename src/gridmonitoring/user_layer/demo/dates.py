"""Dates and hours on the clock of the recording, as text and as marks of a time axis.

Left out: other clocks; a recording has one offset the whole year round.
"""

from __future__ import annotations

from datetime import UTC, datetime

from gridmonitoring.contracts.agreement import DAY_MS
from gridmonitoring.user_layer.demo.household_format import UTC_OFFSET_MINUTES
from gridmonitoring.user_layer.svg import Scale

OFFSET_MS = UTC_OFFSET_MINUTES * 60_000
"""The recording's clock over UTC, ms."""
ROOM = 58
"""Pixels that a date takes with what keeps it from the next."""
DAY_STEPS = (1, 2, 4, 7, 14, 28, 56, 112, 224)
"""Days from one date to the next."""
HOURS = 3
"""Hours from one mark to the next."""


def local_time(time: int) -> datetime:
    """Return a time on the clock of the recording."""
    return datetime.fromtimestamp((time + OFFSET_MS) / 1000, UTC)


def day_text(time: int) -> str:
    """Return a time on the clock of the recording, to the minute."""
    return local_time(time).strftime("%d %b %H:%M")


def day_marks(across: Scale) -> list[tuple[float, str]]:
    """Return (pixel, date) at local midnights, as many as have room."""
    first = -(-(int(across.low) + OFFSET_MS) // DAY_MS)
    last = (int(across.high) + OFFSET_MS) // DAY_MS
    day_width = abs(across.end - across.start) * DAY_MS / (across.high - across.low)
    step = next((days for days in DAY_STEPS if days * day_width >= ROOM), DAY_STEPS[-1])
    times = [day * DAY_MS - OFFSET_MS for day in range(first, last + 1, step)]
    return [(across.at(time), local_time(time).strftime("%d %b")) for time in times]


def hour_marks(across: Scale) -> list[tuple[float, str]]:
    """Return (pixel, hour) every few hours of the local clock, and the date at midnight."""
    stride = HOURS * 3_600_000
    first = -(-(int(across.low) + OFFSET_MS) // stride)
    last = (int(across.high) + OFFSET_MS) // stride
    times = [place * stride - OFFSET_MS for place in range(first, last + 1)]
    shown = [(across.at(time), local_time(time)) for time in times]
    return [(x, time.strftime("%H:%M" if time.hour else "%d %b")) for x, time in shown]
