"""Times as people read and write them: UTC, to the second."""

from __future__ import annotations

from datetime import UTC, datetime

from gridmonitoring.errors import UserError
from gridmonitoring.runtime.clock import time_text

__all__ = ["parse_time", "time_text"]


def parse_time(text: str, option: str) -> int:
    """Return ms since 1970 of an ISO 8601 date or time, UTC where it names no offset; raises `UserError`."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise UserError(f"{option}: {text!r} is not a time like 2007-06-01 or 2007-06-01T12:00Z") from error
    moment = time if time.tzinfo else time.replace(tzinfo=UTC)
    milliseconds = int(moment.timestamp()) * 1000
    if milliseconds < 0:
        raise UserError(f"{option}: {text} is before 1970")
    return milliseconds
