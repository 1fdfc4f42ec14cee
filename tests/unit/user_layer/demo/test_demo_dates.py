"""Marks of time axes: midnights of the recording's clock, and never more dates than have room."""

from __future__ import annotations

from itertools import pairwise

import pytest

from gridmonitoring.contracts.agreement import DAY_MS
from gridmonitoring.user_layer.demo.dates import ROOM, day_marks, day_text, hour_marks
from gridmonitoring.user_layer.demo.plan import START_MS
from gridmonitoring.user_layer.svg import Scale, text_width


@pytest.mark.parametrize("days", [1, 2, 7, 30, 60, 366])
@pytest.mark.parametrize("width", [230, 400, 840])
def test_dates_have_room(days: int, width: int) -> None:
    marks = day_marks(Scale(START_MS, START_MS + days * DAY_MS, 40, 40 + width))
    assert marks[0] == (40, "25 Feb")
    assert all(after - before >= ROOM for (before, _), (after, _) in pairwise(marks))
    assert all(text_width(text, 11) < ROOM for _, text in marks)
    assert len(marks) >= min(days + 1, 2)


def test_hours_are_those_of_the_recordings_clock() -> None:
    texts = [text for _, text in hour_marks(Scale(START_MS, START_MS + DAY_MS, 0, 800))]
    assert texts == ["25 Feb", "03:00", "06:00", "09:00", "12:00", "15:00", "18:00", "21:00", "26 Feb"]
    assert day_text(START_MS + 90 * 60_000) == "25 Feb 01:30"
