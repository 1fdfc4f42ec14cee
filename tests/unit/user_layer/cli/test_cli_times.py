"""Times: ISO 8601 in, UTC out."""

from __future__ import annotations

import pytest

from gridmonitoring.errors import UserError
from gridmonitoring.user_layer.cli.times import parse_time, time_text


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("2007-06-01", 1_180_656_000_000),
        ("2007-06-01T00:00Z", 1_180_656_000_000),
        ("2007-06-01T01:00:00+01:00", 1_180_656_000_000),
        ("1970-01-01", 0),
    ],
)
def test_a_time_is_utc_where_it_names_no_offset(text: str, milliseconds: int) -> None:
    assert parse_time(text, "--start") == milliseconds


@pytest.mark.parametrize("text", ["", "yesterday", "2007-13-01", "1969-12-31", "12:00"])
def test_what_is_no_time_is_refused_with_its_option(text: str) -> None:
    with pytest.raises(UserError, match=r"^--start: "):
        parse_time(text, "--start")


def test_no_time_is_a_dash() -> None:
    assert time_text(None) == "-"
    assert time_text(1_180_656_000_999) == "2007-06-01T00:00:00Z"
