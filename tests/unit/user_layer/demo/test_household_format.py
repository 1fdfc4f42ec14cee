"""The packed form: whatever is packed comes back, and nothing else is ever read as a piece."""

from __future__ import annotations

import lzma
import struct
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridmonitoring.errors import DataFileError
from gridmonitoring.user_layer.demo.household_format import (
    MAX_WATTS,
    Minute,
    MonthMinutes,
    decode_piece,
    encode_piece,
    local_text,
    minute_of,
    piece_name,
)

FIRST = minute_of("2006-12-16T17:24")


def month_of(rows: list[tuple[int, int, int, int]]) -> MonthMinutes:
    watts, kitchen, laundry, climate = zip(*rows, strict=True)
    return MonthMinutes(FIRST, array("H", watts), bytes(kitchen), bytes(laundry), bytes(climate))


def piece_of(header: tuple[bytes, int, int, int, int], body: bytes) -> bytes:
    return lzma.compress(struct.pack("<4sBBII", *header) + body)


rows = st.lists(
    st.tuples(st.integers(0, MAX_WATTS), st.integers(0, 255), st.integers(0, 255), st.integers(0, 255)),
    min_size=1,
    max_size=50,
)


@given(rows)
def test_a_month_comes_back_from_its_piece(readings: list[tuple[int, int, int, int]]) -> None:
    month = month_of(readings)
    assert decode_piece("piece", encode_piece(month)) == month


@given(rows)
def test_even_powers_come_back_from_steps_of_two(readings: list[tuple[int, int, int, int]]) -> None:
    month = month_of([(watts & ~1, one, two, three) for watts, one, two, three in readings])
    piece = encode_piece(month)
    assert lzma.decompress(piece)[5] == 2
    assert decode_piece("piece", piece) == month


def test_the_widest_jumps_of_power_come_back() -> None:
    month = month_of([(MAX_WATTS, 0, 0, 0), (0, 255, 255, 255), (MAX_WATTS, 1, 2, 3)])
    assert decode_piece("piece", encode_piece(month)) == month


def test_the_layout_is_the_documented_one() -> None:
    raw = lzma.decompress(encode_piece(month_of([(600, 1, 2, 3), (88, 4, 5, 6)])))
    # 600 W = 300 steps, zigzag 600 = 0x0258; then -256 steps, zigzag 511 = 0x01ff
    planes = bytes([0x58, 0xFF, 0x02, 0x01, 1, 4, 2, 5, 3, 6])
    assert raw == b"GMHR\x01\x02" + struct.pack("<II", FIRST, 2) + planes


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_no_piece(data: bytes) -> None:
    for piece in (data, lzma.compress(data)):
        with pytest.raises(DataFileError):
            decode_piece("piece", piece)


@pytest.mark.parametrize(
    ("header", "body", "reason"),
    [
        ((b"GMHX", 1, 2, FIRST, 1), bytes(5), "not a piece"),
        ((b"GMHR", 2, 2, FIRST, 1), bytes(5), "not a piece"),
        ((b"GMHR", 1, 0, FIRST, 1), bytes(5), "not a piece"),
        ((b"GMHR", 1, 3, FIRST, 1), bytes(5), "not a piece"),
        ((b"GMHR", 1, 2, FIRST, 0), b"", "0 rows"),
        ((b"GMHR", 1, 2, FIRST, 2), bytes(5), "2 rows"),
        ((b"GMHR", 1, 2, FIRST, 1), bytes(6), "1 rows"),
        ((b"GMHR", 1, 1, FIRST, 1), b"\x01\0\0\0\0", "negative or too large"),
        ((b"GMHR", 1, 2, FIRST, 2), b"\xfe\xfe\xff\xff" + bytes(6), "negative or too large"),
    ],
)
def test_a_wrong_piece_is_refused_by_name(
    header: tuple[bytes, int, int, int, int], body: bytes, reason: str
) -> None:
    with pytest.raises(DataFileError, match=f"^piece: .*{reason}"):
        decode_piece("piece", piece_of(header, body))


def test_a_piece_cut_off_anywhere_is_refused() -> None:
    piece = encode_piece(month_of([(600, 1, 2, 3), (88, 4, 5, 6)]))
    for length in range(len(piece)):
        with pytest.raises(DataFileError):
            decode_piece("piece", piece[:length])


def test_local_time_is_an_hour_ahead_of_utc() -> None:
    assert minute_of("1970-01-01T01:00") == 0
    assert local_text(Minute(0)) == "1970-01-01T01:00"
    assert local_text(minute_of("2008-07-01T00:00")) == "2008-07-01T00:00"


def test_a_piece_is_named_after_its_local_month() -> None:
    month = month_of([(0, 0, 0, 0)])
    assert piece_name(month) == "2006-12.xz"
    midnight = MonthMinutes(minute_of("2007-01-01T00:00"), array("H", [0]), b"\0", b"\0", b"\0")
    assert piece_name(midnight) == "2007-01.xz"
