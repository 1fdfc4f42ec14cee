"""The original CSV: read exactly, and refused with the line and column that is wrong."""

from __future__ import annotations

import csv
import lzma
from decimal import Decimal
from pathlib import Path

import pytest

from gridmonitoring.errors import DataFileError
from gridmonitoring.user_layer.demo.household_csv import COLUMNS, read_months
from gridmonitoring.user_layer.demo.household_format import local_text

EXTRACT = Path(__file__).with_name("household_extract.csv")
HEADER = ",".join(COLUMNS)
ROWS = (
    "2007-01-31 23:58:00,4.216,0.418,234.84,18.4,0.0,1.0,17.0",
    "2007-01-31 23:59:00,0.076,0.0,?,n/a,88.0,80.0,31",
    "2007-02-01 00:00:00,11,0,0,0,0,0,0.000",
)


def write(path: Path, *lines: str) -> Path:
    path.write_text("\r\n".join([HEADER, *lines, ""]), newline="")
    return path


def fault(path: Path) -> DataFileError:
    with pytest.raises(DataFileError) as caught:
        read_months(path)
    assert caught.value.file == str(path)
    assert "\n" not in str(caught.value)
    return caught.value


def test_the_extract_reads_as_an_independent_reader_reads_it() -> None:
    with EXTRACT.open(newline="") as file:
        expected = list(csv.DictReader(file))
    months = read_months(EXTRACT)
    assert [local_text(month.first) for month in months] == ["2009-07-31T19:00", "2009-08-01T00:00"]
    assert [len(month.watts) for month in months] == [300, 60]
    assert [watts for month in months for watts in month.watts] == [
        Decimal(row["Global_active_power"]) * 1000 for row in expected
    ]
    for name, column in (("kitchen", 5), ("laundry", 6), ("climate", 7)):
        energies = [energy for month in months for energy in getattr(month, name)]
        assert energies == [Decimal(row[COLUMNS[column]]) for row in expected]
        assert any(energies)


def test_xz_line_endings_and_a_byte_order_mark_make_no_difference(tmp_path: Path) -> None:
    text = EXTRACT.read_text()
    unix = tmp_path / "unix.csv"
    unix.write_bytes(b"\xef\xbb\xbf" + text.encode())
    packed = tmp_path / "packed.csv.xz"
    packed.write_bytes(lzma.compress(text.replace("\n", "\r\n").encode()))
    assert read_months(unix) == read_months(packed) == read_months(EXTRACT)


def test_months_are_cut_at_local_midnight_and_unused_columns_are_not_judged(tmp_path: Path) -> None:
    january, february = read_months(write(tmp_path / "a.csv", *ROWS))
    assert (list(january.watts), list(february.watts)) == ([4216, 76], [11000])
    assert (january.kitchen, january.laundry, january.climate) == (b"\0\x58", b"\x01\x50", b"\x11\x1f")
    assert february.kitchen == february.laundry == february.climate == b"\0"


@pytest.mark.parametrize(
    ("column", "text", "reason"),
    [
        *[
            (1, text, "not a power in kW")
            for text in ("", "?", "nan", "inf", "-1.0", "+1", "1e3", " 1", "1_0")
        ],
        *[(1, text, "not a power in kW") for text in (".5", "1.", "1000.0", "1.0000000000", "٣.٢")],
        (1, "32.768", "32767 W"),
        *[(5, text, "not a whole number of Wh") for text in ("", "?", "1.5", "-1.0", "1e1", "1.", "٣")],
        (5, "256.0", "255 Wh"),
        (6, "x", "'x' is not a whole number of Wh"),
        (7, "0.1", "'0.1' is not a whole number of Wh"),
        (0, "2007-01-31 23:58:00", "'2007-01-31 23:59:00' was due"),
        (0, "2007-02-01 00:00:00", "'2007-01-31 23:59:00' was due"),
        (0, "2007-01-31 23:59:01", "was due"),
        (0, "2007-01-31T23:59:00", "was due"),
        (0, "", "was due"),
    ],
)
def test_a_bad_cell_is_named_by_line_and_column(tmp_path: Path, column: int, text: str, reason: str) -> None:
    cells = ROWS[1].split(",")
    cells[column] = text
    error = fault(write(tmp_path / "a.csv", ROWS[0], ",".join(cells), ROWS[2]))
    assert (error.line, error.column) == (3, COLUMNS[column])
    assert reason in error.reason
    assert f"a.csv, line 3, column {COLUMNS[column]}: " in str(error)


@pytest.mark.parametrize(
    "text", ["yesterday", "", "16/12/2006 17:24:00", "2007-01-31 23:58:30", "2007-02-30 00:00:00"]
)
def test_the_first_time_must_be_a_whole_minute(tmp_path: Path, text: str) -> None:
    error = fault(write(tmp_path / "a.csv", f"{text},1,0,0,0,0,0,0"))
    assert (error.line, error.column) == (2, "date_time")
    assert "not a whole minute" in error.reason


@pytest.mark.parametrize("year", ["1970", "3000", "9999"])
def test_years_that_no_meter_has_are_refused(tmp_path: Path, year: str) -> None:
    error = fault(write(tmp_path / "a.csv", f"{year}-12-31 23:59:00,1,0,0,0,0,0,0"))
    assert (error.line, error.column) == (2, "date_time")
    assert f"the year {year} is not from 1971 to 2999" in error.reason


@pytest.mark.parametrize("row", ["", "2007-01-31 23:59:00", ROWS[1] + ",", ROWS[1].replace(",", ";")])
def test_a_row_of_other_columns_is_named_by_line(tmp_path: Path, row: str) -> None:
    error = fault(write(tmp_path / "a.csv", ROWS[0], row, ROWS[2]))
    assert (error.line, error.column) == (3, None)
    assert f"{row.count(',') + 1} columns instead of 8" in error.reason


@pytest.mark.parametrize(
    "text", ["", "\n", "Date;Time;Global_active_power\n", HEADER + ",more\n", HEADER.lower() + "\n"]
)
def test_another_header_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text)
    error = fault(path)
    assert (error.line, error.reason) == (1, f"the header must be {HEADER}")


def test_a_header_alone_is_refused(tmp_path: Path) -> None:
    error = fault(write(tmp_path / "a.csv"))
    assert (error.line, error.reason) == (2, "there is no row after the header")


def test_bytes_that_are_no_text_are_a_bad_cell(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(f"{HEADER}\n2007-01-31 23:58:00,".encode() + b"\xff\x00,0,0,0,0,0,0\n")
    error = fault(path)
    assert (error.line, error.column) == (2, "Global_active_power")


def test_a_missing_file_a_directory_and_another_ending_are_refused(tmp_path: Path) -> None:
    assert fault(tmp_path / "none.csv").reason == "No such file or directory"
    assert fault(tmp_path / "none.csv.xz").reason == "No such file or directory"
    (tmp_path / "folder.csv").mkdir()
    assert fault(tmp_path / "folder.csv").reason == "Is a directory"
    assert "must end in .csv or .csv.xz" in fault(tmp_path / "readings.txt").reason


def test_a_damaged_or_shortened_xz_is_refused(tmp_path: Path) -> None:
    whole = lzma.compress(EXTRACT.read_bytes())
    path = tmp_path / "a.csv.xz"
    for damaged in (b"", b"no xz", whole[:-20], whole[: len(whole) // 2], EXTRACT.read_bytes()):
        path.write_bytes(damaged)
        fault(path)
