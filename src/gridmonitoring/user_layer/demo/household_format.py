"""The packed form of the recorded household: one xz piece per calendar month, and a manifest of them.

It serves the readings of paper IV-B in the demonstration. A piece is an xz stream (LZMA2, CRC32) over

    magic "GMHR" | version u8 | watt step u8 | first minute u32 | rows u32     little-endian
    low bytes of the power deltas | high bytes | kitchen | laundry | climate   `rows` bytes each

Power is counted in steps of 1 or 2 W (every reading of this meter is even), as differences from the
minute before (the first from zero), zigzag-coded so that a small step of either sign has a zero high
byte. The sub-meters are plain Wh. Of the layouts tried (16-bit words or byte planes, plain, delta or
zigzag delta, watts or the untracked rest) this is the smallest, 1.9 MB for four years, and a month is
decoded in some 10 ms.

Left out: voltage, current and reactive power, which no report carries.
"""

from __future__ import annotations

import lzma
import struct
from array import array
from datetime import datetime, timedelta, timezone
from itertools import accumulate, pairwise
from typing import NewType

import msgspec

from gridmonitoring.errors import DataFileError

Minute = NewType("Minute", int)
"""A minute by its start, in minutes since 1970 UTC."""

UTC_OFFSET_MINUTES = 60
"""The recording has every local minute and no daylight saving, so its clock is taken as fixed UTC+1."""

LOCAL_ZONE = timezone(timedelta(minutes=UTC_OFFSET_MINUTES))
"""The recording's clock."""

MAX_WATTS = 32_767
"""Largest power of one minute, W: what a zigzag difference of two bytes can always reach."""

MAX_WATT_HOURS = 255
"""Largest energy of one sub-meter in one minute, Wh: a byte."""

MANIFEST_NAME = "manifest.json"
MANIFEST_FORMAT = "gridmonitoring household readings"
MANIFEST_VERSION = 1

_MAGIC = b"GMHR"
_VERSION = 1
_HEADER = struct.Struct("<4sBBII")
_BYTES_PER_ROW = 5
# lc=4 suits byte planes; the dictionary just holds the largest month, so a reader needs little memory
_FILTERS = [
    {
        "id": lzma.FILTER_LZMA2,
        "preset": 9 | lzma.PRESET_EXTREME,
        "dict_size": 1 << 18,
        "lc": 4,
        "lp": 0,
        "pb": 0,
    }
]


class MonthMinutes(msgspec.Struct, frozen=True):
    """The readings of one calendar month, or of the part of it that was recorded; one row a minute."""

    first: Minute
    """The first row's minute."""
    watts: array[int]
    """Mean active power of the house over the minute, W; type code "H"."""
    kitchen: bytes
    """Energy of sub-meter 1 (dishwasher, oven, microwave) in the minute, Wh; one byte a row."""
    laundry: bytes
    """Energy of sub-meter 2 (washing machine, dryer, refrigerator, light) in the minute, Wh."""
    climate: bytes
    """Energy of sub-meter 3 (water heater and air conditioner) in the minute, Wh."""


class PieceEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One piece in the manifest."""

    name: str
    """File name beside the manifest."""
    first: str
    """First row's minute on the recording's own clock, YYYY-MM-DDTHH:MM."""
    rows: int
    """Minutes in the piece."""
    size: int
    """Bytes of the file."""
    sha256: str
    """SHA-256 of the file, hexadecimal."""


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the pieces are, where they come from, and under which licence."""

    format: str
    """Always `MANIFEST_FORMAT`."""
    version: int
    """Always `MANIFEST_VERSION`."""
    title: str
    """Name of the data set."""
    authors: list[str]
    """Who measured and published it."""
    publisher: str
    """Where it was published."""
    doi: str
    """Digital object identifier of the publication."""
    licence: str
    """Licence of the data, SPDX identifier; it is not the licence of the program."""
    licence_url: str
    """Text of that licence."""
    place: str
    """Where it was measured."""
    source: str
    """The copy that was packed."""
    source_sha256: str
    """SHA-256 of that copy's uncompressed CSV, hexadecimal."""
    changes: list[str]
    """Everything in which the readings differ from what the authors published."""
    clock: str
    """How the recording's local time is read."""
    channels: list[str]
    """The four channels and their units, in the order of a piece."""
    rows: int
    """Minutes in all pieces together."""
    pieces: list[PieceEntry]
    """The pieces in order of time, without a gap between them."""


def local_text(minute: Minute) -> str:
    """The minute on the recording's clock, as YYYY-MM-DDTHH:MM."""
    return datetime.fromtimestamp(minute * 60, LOCAL_ZONE).strftime("%Y-%m-%dT%H:%M")


def minute_of(text: str) -> Minute:
    """The minute of a local time YYYY-MM-DDTHH:MM; raises ValueError when it is not one."""
    local = datetime.strptime(text, "%Y-%m-%dT%H:%M").replace(tzinfo=LOCAL_ZONE)
    return Minute(int(local.timestamp()) // 60)


def piece_name(month: MonthMinutes) -> str:
    """File name of a month's piece, as 2007-01.xz."""
    return f"{local_text(month.first)[:7]}.xz"


def encode_piece(month: MonthMinutes) -> bytes:
    """The piece of a month; the same month always gives the same bytes with the same liblzma."""
    step = 1 if any(watts & 1 for watts in month.watts) else 2
    counts = [0, *(watts // step for watts in month.watts)]
    deltas = [_zigzag(after - before) for before, after in pairwise(counts)]
    body = (
        _HEADER.pack(_MAGIC, _VERSION, step, month.first, len(deltas)),
        bytes(delta & 0xFF for delta in deltas),
        bytes(delta >> 8 for delta in deltas),
        month.kitchen,
        month.laundry,
        month.climate,
    )
    return lzma.compress(b"".join(body), format=lzma.FORMAT_XZ, check=lzma.CHECK_CRC32, filters=_FILTERS)


def decode_piece(name: str, piece: bytes) -> MonthMinutes:
    """The month in a piece; `name` is for the message. Raises DataFileError on anything else."""
    try:
        raw = lzma.decompress(piece, format=lzma.FORMAT_XZ)
    except lzma.LZMAError as error:
        raise DataFileError(name, f"not a readable xz stream ({error})") from error
    if len(raw) < _HEADER.size:
        raise DataFileError(name, "shorter than its header")
    magic, version, step, first, rows = _HEADER.unpack_from(raw)
    if (magic, version) != (_MAGIC, _VERSION) or step not in (1, 2):
        raise DataFileError(name, "not a piece of household readings of version 1")
    if rows == 0 or len(raw) != _HEADER.size + _BYTES_PER_ROW * rows:
        raise DataFileError(name, f"{len(raw)} bytes do not hold the {rows} rows that the header announces")
    planes = [raw[start : start + rows] for start in range(_HEADER.size, len(raw), rows)]
    low, high, kitchen, laundry, climate = planes
    counts = accumulate(_unzigzag(a | b << 8) for a, b in zip(low, high, strict=True))
    try:
        watts = array("H", [count * step for count in counts])
    except OverflowError as error:
        raise DataFileError(name, "holds a power that is negative or too large") from error
    return MonthMinutes(Minute(first), watts, kitchen, laundry, climate)


def _zigzag(value: int) -> int:
    return value << 1 if value >= 0 else (-value << 1) - 1


def _unzigzag(value: int) -> int:
    return (value >> 1) ^ -(value & 1)
