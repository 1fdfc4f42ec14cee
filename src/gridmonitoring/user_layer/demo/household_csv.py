"""Reads the recorded household from its original CSV, `.csv` or `.csv.xz`.

The format is that of the file named in `data/manifest.json`: a header, then one row a minute without a
gap, in local time, with power in kW and the three sub-meters in whole Wh. It is judged strictly, and a
fault is named by line and column: readings that are quietly wrong would become bills that are.

Left out: the columns that no report carries (reactive power, voltage, current) are counted but not read.
"""

from __future__ import annotations

import lzma
import re
from array import array
from collections.abc import Callable, Iterator
from datetime import date, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from itertools import chain
from pathlib import Path
from typing import TextIO

from gridmonitoring.errors import DataFileError
from gridmonitoring.user_layer.demo.household_format import (
    LOCAL_ZONE,
    MAX_WATT_HOURS,
    MAX_WATTS,
    UTC_OFFSET_MINUTES,
    Minute,
    MonthMinutes,
)

COLUMNS = (
    "date_time",
    "Global_active_power",
    "Global_reactive_power",
    "Voltage",
    "Global_intensity",
    "Sub_metering_1",
    "Sub_metering_2",
    "Sub_metering_3",
)
"""The header, in order."""

_HEADER = ",".join(COLUMNS)
_POWER, _KITCHEN, _LAUNDRY, _CLIMATE = 1, 5, 6, 7
_YEARS = range(1971, 3000)
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_MINUTES_PER_DAY = 1440
_CLOCK = tuple(f"{minute // 60:02}:{minute % 60:02}:00" for minute in range(_MINUTES_PER_DAY))
_KILOWATTS = re.compile(r"[0-9]{1,3}(\.[0-9]{1,9})?")
_WATT_HOURS = re.compile(r"([0-9]{1,3})(\.0{1,9})?")


class _Cells(dict[str, int]):
    """What each distinct text of a column means; two million rows have a few thousand of them."""

    def __init__(self, read: Callable[[str], int]) -> None:
        super().__init__()
        self._read = read

    def __missing__(self, text: str) -> int:
        value = self[text] = self._read(text)
        return value


def read_months(path: Path) -> list[MonthMinutes]:
    """All readings of a CSV, cut by calendar month of the recording's clock.

    Raises DataFileError, with line and column where there is one, when the file is missing, unreadable,
    not `.csv` or `.csv.xz`, or not in the format.
    """
    file = str(path)
    if not path.name.endswith((".csv", ".csv.xz")):
        raise DataFileError(file, "a readings file must end in .csv or .csv.xz")
    try:
        with _open_text(path) as lines:
            return _parse(file, lines)
    except OSError as error:
        raise DataFileError(file, error.strerror or "cannot be read") from error
    except (lzma.LZMAError, EOFError) as error:
        raise DataFileError(file, f"not a whole xz file ({error})") from error


def _open_text(path: Path) -> TextIO:
    # bytes that are no text become visible escapes, and so an error of the cell they are in
    if path.name.endswith(".xz"):
        return lzma.open(path, "rt", encoding="utf-8-sig", errors="backslashreplace")
    return path.open(encoding="utf-8-sig", errors="backslashreplace")


def _parse(file: str, lines: TextIO) -> list[MonthMinutes]:
    if next(lines, "").rstrip("\n") != _HEADER:
        raise DataFileError(file, f"the header must be {_HEADER}", line=1)
    row = next(lines, None)
    if row is None:
        raise DataFileError(file, "there is no row after the header", line=2)
    first = _first_minute(file, row.partition(",")[0])
    kilowatts, watt_hours = _Cells(_watts_of), _Cells(_watt_hours_of)
    watts, kitchen, laundry, climate = array("H"), bytearray(), bytearray(), bytearray()
    sub_meters = ((_KITCHEN, kitchen), (_LAUNDRY, laundry), (_CLIMATE, climate))
    rows = enumerate(chain((row,), lines), start=2)
    for (line, text), stamp in zip(rows, _stamps(first), strict=False):
        cells = text.rstrip("\n").split(",")
        if len(cells) != len(COLUMNS):
            raise DataFileError(file, f"{len(cells)} columns instead of {len(COLUMNS)}", line=line)
        if cells[0] != stamp:
            reason = f"{cells[0][:40]!r} where {stamp!r} was due (one row a minute, no gap)"
            raise DataFileError(file, reason, line=line, column=COLUMNS[0])
        column = _POWER
        try:
            watts.append(kilowatts[cells[column]])
            for column, series in sub_meters:
                series.append(watt_hours[cells[column]])
        except ValueError as error:
            raise DataFileError(file, str(error), line=line, column=COLUMNS[column]) from error
    return _cut_by_month(MonthMinutes(first, watts, bytes(kitchen), bytes(laundry), bytes(climate)))


def _first_minute(file: str, stamp: str) -> Minute:
    try:
        local = datetime.strptime(stamp, "%Y-%m-%d %H:%M:00").replace(tzinfo=LOCAL_ZONE)
    except ValueError as error:
        reason = f"{stamp[:40]!r} is not a whole minute written YYYY-MM-DD HH:MM:00"
        raise DataFileError(file, reason, line=2, column=COLUMNS[0]) from error
    if local.year not in _YEARS:
        reason = f"the year {local.year} is not from {_YEARS[0]} to {_YEARS[-1]}"
        raise DataFileError(file, reason, line=2, column=COLUMNS[0])
    return Minute(int(local.timestamp()) // 60)


def _stamps(first: Minute) -> Iterator[str]:
    """The time column as it must read, from the first row on."""
    day, minute = divmod(first + UTC_OFFSET_MINUTES, _MINUTES_PER_DAY)
    while True:
        text = date.fromordinal(_EPOCH_DAY + day).isoformat()
        for clock in _CLOCK[minute:]:
            yield f"{text} {clock}"
        day, minute = day + 1, 0


def _watts_of(text: str) -> int:
    if _KILOWATTS.fullmatch(text) is None:
        raise ValueError(f"{text[:40]!r} is not a power in kW")
    watts = int((Decimal(text) * 1000).to_integral_value(ROUND_HALF_EVEN))
    if watts > MAX_WATTS:
        raise ValueError(f"{text} kW is more than a house's meter can show ({MAX_WATTS} W)")
    return watts


def _watt_hours_of(text: str) -> int:
    match = _WATT_HOURS.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:40]!r} is not a whole number of Wh")
    watt_hours = int(match[1])
    if watt_hours > MAX_WATT_HOURS:
        raise ValueError(f"{text} Wh in one minute is more than a sub-meter can show ({MAX_WATT_HOURS} Wh)")
    return watt_hours


def _cut_by_month(whole: MonthMinutes) -> list[MonthMinutes]:
    months = []
    start = 0
    while start < len(whole.watts):
        first = Minute(whole.first + start)
        end = start + _month_end(first) - first
        months.append(
            MonthMinutes(
                first,
                whole.watts[start:end],
                whole.kitchen[start:end],
                whole.laundry[start:end],
                whole.climate[start:end],
            )
        )
        start = end
    return months


def _month_end(minute: Minute) -> Minute:
    local = datetime.fromtimestamp(minute * 60, LOCAL_ZONE)
    following = datetime(local.year + local.month // 12, local.month % 12 + 1, 1, tzinfo=LOCAL_ZONE)
    return Minute(int(following.timestamp()) // 60)
