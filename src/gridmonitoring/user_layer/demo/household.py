"""One recorded house, minute by minute: the load that the demonstration's meters measure (paper IV-B).

The paper measures no house; these readings of a real one stand in for the current through the meter.
**Several houses of a demonstration are different months of this one house**, moved onto one calendar, so
their seasons and weekdays differ from each other and from that calendar's.

Energies are whole watt-minutes (60 make a Wh), so that no sum is ever rounded: power in W over one minute
is that many watt-minutes, and a sub-meter's Wh are 60 each.

Left out: power between the minutes, and everything that no report carries (voltage, current).
"""

from __future__ import annotations

import hashlib
from array import array
from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from itertools import pairwise
from pathlib import Path

import msgspec

from gridmonitoring.errors import BadTimeRange, DataFileError
from gridmonitoring.user_layer.demo.household_csv import read_months
from gridmonitoring.user_layer.demo.household_format import (
    MANIFEST_FORMAT,
    MANIFEST_NAME,
    MANIFEST_VERSION,
    UTC_OFFSET_MINUTES,
    Manifest,
    Minute,
    MonthMinutes,
    PieceEntry,
    decode_piece,
    minute_of,
)

MS_PER_MINUTE = 60_000
MINUTES_PER_DAY = 1440
MS_PER_DAY = MINUTES_PER_DAY * MS_PER_MINUTE
WATT_MINUTES_PER_WATT_HOUR = 60

_CACHED_MONTHS = 8
"""Decoded months kept, 0.2 MB each; a house asks for its whole window at once, so few are in use."""


class MinuteSeries(msgspec.Struct, frozen=True):
    """Readings of consecutive minutes; item i of each array is minute i, and all are of type code "H".

    `watts` is what the house's meter measured, and the only channel that is billed. The sub-meters
    round to whole Wh on their own, so in some minutes together they show slightly more than the total.
    There `rest` is 0 instead of negative and nothing is scaled, so in those minutes (`clamped` of them)
    the four appliance channels add up to more than `watts`, over the series by exactly
    `clamped_watt_minutes`:  sum(watts) + clamped_watt_minutes == sum of the four channels.
    """

    start_ms: int
    """Start of the first minute on the calendar of the replay, ms since 1970 UTC (see `aligned`)."""
    recorded_ms: int
    """Start of the first minute as it was recorded, ms since 1970 UTC."""
    watts: array[int]
    """Measured total: mean active power, W, and so also energy in the minute, watt-minutes."""
    kitchen: array[int]
    """Sub-meter 1 (dishwasher, oven, microwave), watt-minutes."""
    laundry: array[int]
    """Sub-meter 2 (washing machine, dryer, refrigerator, light), watt-minutes."""
    climate: array[int]
    """Sub-meter 3 (water heater and air conditioner), watt-minutes."""
    rest: array[int]
    """The total less the three sub-meters, at least 0, watt-minutes."""
    clamped: int
    """Minutes in which the rest was negative and is given as 0."""
    clamped_watt_minutes: int
    """By how much it was negative in all those minutes together, watt-minutes."""

    def __len__(self) -> int:
        """Minutes in the series."""
        return len(self.watts)

    def aligned(self, start_ms: int) -> MinuteSeries:
        """The same readings on another date: the series starts at `start_ms` of the replay's calendar.

        Dates move by whole days, so that the time of day stays; raises BadTimeRange otherwise.
        """
        if (start_ms - self.recorded_ms) % MS_PER_DAY:
            raise BadTimeRange(f"{start_ms} is not whole days away from the recorded time {self.recorded_ms}")
        return msgspec.structs.replace(self, start_ms=start_ms)


class Household:
    """The recording: which minutes it has, and the readings of any of them, loaded month by month."""

    def __init__(
        self, source: str, spans: Sequence[tuple[Minute, int]], load: Callable[[int], MonthMinutes]
    ) -> None:
        """`spans` are first minute and rows of each month, without gaps; `load` gives a month by index."""
        self.source = source
        """Where the readings come from, one line to print under them; with the licence where we know it."""
        self._firsts = [first for first, _ in spans]
        self._end = Minute(spans[-1][0] + spans[-1][1])
        self._month = lru_cache(maxsize=_CACHED_MONTHS)(load)

    @property
    def start_ms(self) -> int:
        """Start of the first recorded minute, ms since 1970 UTC."""
        return self._firsts[0] * MS_PER_MINUTE

    @property
    def end_ms(self) -> int:
        """End of the last recorded minute (the first instant after it), ms since 1970 UTC."""
        return self._end * MS_PER_MINUTE

    def minutes(self, start_ms: int, count: int) -> MinuteSeries:
        """`count` minutes from the recorded time `start_ms` (ms since 1970 UTC, a whole minute).

        Raises BadTimeRange when any of them was not recorded, DataFileError when a piece is damaged.
        """
        if start_ms % MS_PER_MINUTE:
            raise BadTimeRange(f"{start_ms} ms is not the start of a minute")
        first = Minute(start_ms // MS_PER_MINUTE)
        if count < 1 or first < self._firsts[0] or first + count > self._end:
            raise BadTimeRange(
                f"{count} minutes from {start_ms} ms are not within the recording,"
                f" {self.start_ms} to {self.end_ms} ms"
            )
        return _series(start_ms, self._rows(first, Minute(first + count)))

    def house_window(self, house: int, days: int, houses: int) -> int:
        """Recorded start, ms since 1970 UTC, of the `days` whole days that stand for house number `house`.

        Windows start at local midnight, are spread evenly over the recording and never overlap; the same
        arguments always give the same window. With up to 46 houses of the packaged recording (1,440
        whole days) no two start in the same calendar month. Raises BadTimeRange when `house` is not in
        0 .. houses - 1, or when the recording has less than houses * days whole days.
        """
        first_day = -(-(self._firsts[0] + UTC_OFFSET_MINUTES) // MINUTES_PER_DAY)
        whole_days = (self._end + UTC_OFFSET_MINUTES) // MINUTES_PER_DAY - first_day
        if not 0 <= house < houses or days < 1:
            raise BadTimeRange(f"there is no house {house} of {houses} with {days} days")
        if houses * days > whole_days:
            raise BadTimeRange(
                f"{houses} houses of {days} days need {houses * days} recorded days;"
                f" the recording has {max(whole_days, 0)} whole days"
            )
        day = first_day + house * (whole_days // houses)
        return (day * MINUTES_PER_DAY - UTC_OFFSET_MINUTES) * MS_PER_MINUTE

    def _rows(self, first: Minute, end: Minute) -> MonthMinutes:
        index = bisect_right(self._firsts, first) - 1
        watts, kitchen, laundry, climate = array("H"), bytearray(), bytearray(), bytearray()
        while index < len(self._firsts) and self._firsts[index] < end:
            month = self._month(index)
            rows = slice(max(first - month.first, 0), end - month.first)
            watts.extend(month.watts[rows])
            kitchen += month.kitchen[rows]
            laundry += month.laundry[rows]
            climate += month.climate[rows]
            index += 1
        return MonthMinutes(first, watts, bytes(kitchen), bytes(laundry), bytes(climate))


def open_household(data: Path | None = None) -> Household:
    """The packaged recording, or the one in a CSV of the original format (`.csv` or `.csv.xz`).

    Raises DataFileError, with line and column where there is one, when the file cannot be used. A CSV is
    read and judged whole, once (some 4 s for four years); the packaged pieces only when they are needed.
    """
    if data is None:
        return open_packed(files("gridmonitoring.user_layer.demo") / "data")
    months = read_months(data)
    spans = [(month.first, len(month.watts)) for month in months]
    return Household(f"Readings: {data.name}", spans, months.__getitem__)


def open_packed(directory: Traversable) -> Household:
    """The recording in a directory of pieces with their manifest.

    Raises DataFileError when the manifest is missing or wrong; each piece is held against its hash there
    when it is first used.
    """
    manifest = read_manifest(directory)
    spans = [(_first_minute(directory, piece), piece.rows) for piece in manifest.pieces]
    gap = any(first + rows != following for (first, rows), (following, _) in pairwise(spans))
    empty = not spans or min(rows for _, rows in spans) < 1
    if empty or gap or sum(rows for _, rows in spans) != manifest.rows:
        raise DataFileError(str(directory / MANIFEST_NAME), "its pieces are not one recording without a gap")

    def load(index: int) -> MonthMinutes:
        return _load_piece(directory, manifest.pieces[index], spans[index][0])

    source = (
        f'Readings: "{manifest.title}", {" and ".join(manifest.authors)}, {manifest.publisher},'
        f" doi {manifest.doi}, {manifest.licence}, changed: see {MANIFEST_NAME}"
    )
    return Household(source, spans, load)


def read_manifest(directory: Traversable) -> Manifest:
    """The manifest of a directory of pieces; raises DataFileError when it is missing or not one."""
    file = directory / MANIFEST_NAME
    try:
        manifest = msgspec.json.decode(file.read_bytes(), type=Manifest)
    except OSError as error:
        raise DataFileError(str(file), error.strerror or "cannot be read") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DataFileError(str(file), f"not a manifest of readings ({error})") from error
    if (manifest.format, manifest.version) != (MANIFEST_FORMAT, MANIFEST_VERSION):
        raise DataFileError(str(file), f"not a manifest of readings of version {MANIFEST_VERSION}")
    return manifest


def _first_minute(directory: Traversable, piece: PieceEntry) -> Minute:
    try:
        return minute_of(piece.first)
    except ValueError as error:
        raise DataFileError(str(directory / MANIFEST_NAME), f"{piece.first!r} is not a minute") from error


def _load_piece(directory: Traversable, piece: PieceEntry, first: Minute) -> MonthMinutes:
    file = directory / piece.name
    try:
        packed = file.read_bytes()
    except OSError as error:
        raise DataFileError(str(file), error.strerror or "cannot be read") from error
    if hashlib.sha256(packed).hexdigest() != piece.sha256:
        raise DataFileError(str(file), f"not the piece that {MANIFEST_NAME} names (its SHA-256 differs)")
    month = decode_piece(str(file), packed)
    if (month.first, len(month.watts)) != (first, piece.rows):
        raise DataFileError(str(file), f"its first minute or rows are not those that {MANIFEST_NAME} names")
    return month


def _series(start_ms: int, rows: MonthMinutes) -> MinuteSeries:
    parts = zip(rows.watts, rows.kitchen, rows.laundry, rows.climate, strict=True)
    rest = [watts - WATT_MINUTES_PER_WATT_HOUR * (one + two + three) for watts, one, two, three in parts]
    negative = [energy for energy in rest if energy < 0]
    return MinuteSeries(
        start_ms=start_ms,
        recorded_ms=start_ms,
        watts=rows.watts,
        kitchen=_watt_minutes(rows.kitchen),
        laundry=_watt_minutes(rows.laundry),
        climate=_watt_minutes(rows.climate),
        rest=array("H", [max(energy, 0) for energy in rest] if negative else rest),
        clamped=len(negative),
        clamped_watt_minutes=-sum(negative),
    )


def _watt_minutes(watt_hours: bytes) -> array[int]:
    return array("H", [WATT_MINUTES_PER_WATT_HOUR * energy for energy in watt_hours])
