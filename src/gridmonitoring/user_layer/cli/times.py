"""Times as people read and write them: UTC, to the second."""

from __future__ import annotations

from datetime import UTC, datetime

from gridmonitoring.errors import UserError


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


def time_text(milliseconds: int | None) -> str:
    """Return a time as ISO 8601 in UTC, `-` for none."""
    if not milliseconds:
        return "-"
    return datetime.fromtimestamp(milliseconds // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
