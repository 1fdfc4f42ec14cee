"""The shipped pieces, their manifest and the tool that makes them."""

from __future__ import annotations

import hashlib
import lzma
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

from gridmonitoring.errors import DataFileError
from gridmonitoring.user_layer.demo.household import MS_PER_MINUTE, open_household, open_packed, read_manifest
from gridmonitoring.user_layer.demo.household_csv import COLUMNS
from gridmonitoring.user_layer.demo.household_format import MANIFEST_NAME, Minute, decode_piece, local_text

EXTRACT = Path(__file__).with_name("household_extract.csv")
TOOL = Path(__file__).parents[4] / "tools" / "pack_household_data.py"
DATA = files("gridmonitoring.user_layer.demo") / "data"


def run_tool(csv: Path, outdir: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(TOOL), str(csv), str(outdir)], capture_output=True, text=True, check=False
    )


def content_of(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """The extract packed: two pieces and a manifest."""
    directory = tmp_path / "packed"
    assert run_tool(EXTRACT, directory).returncode == 0
    return directory


def test_every_shipped_piece_is_the_one_in_the_manifest() -> None:
    manifest = read_manifest(DATA)
    rows = 0
    for piece in manifest.pieces:
        packed = (DATA / piece.name).read_bytes()
        assert (hashlib.sha256(packed).hexdigest(), len(packed)) == (piece.sha256, piece.size)
        month = decode_piece(piece.name, packed)
        assert (local_text(month.first), len(month.watts)) == (piece.first, piece.rows)
        rows += piece.rows
    assert rows == manifest.rows == 2_075_259
    assert len(manifest.pieces) == 48
    assert sum(piece.size for piece in manifest.pieces) < 3_000_000
    listed = {piece.name for piece in manifest.pieces} | {MANIFEST_NAME, "README.md"}
    assert {entry.name for entry in DATA.iterdir()} == listed


def test_the_manifest_and_readme_attribute_the_data() -> None:
    manifest = read_manifest(DATA)
    assert manifest.licence == "CC-BY-4.0"
    assert any("filled in" in change for change in manifest.changes)
    readme = (DATA / "README.md").read_text(encoding="utf-8")
    assert all(
        word in readme for word in ("Hebrail", "Berard", manifest.doi, manifest.licence_url, "filled in")
    )


def test_the_tool_makes_a_shipped_month_again_from_its_csv(tmp_path: Path) -> None:
    piece = read_manifest(DATA).pieces[0]
    household = open_household()
    series = household.minutes(household.start_ms, piece.rows)
    csv = tmp_path / "december.csv"
    with csv.open("w") as file:
        file.write(",".join(COLUMNS) + "\n")
        for i, watts in enumerate(series.watts):
            stamp = local_text(Minute(household.start_ms // MS_PER_MINUTE + i)).replace("T", " ")
            energies = (series.kitchen[i] // 60, series.laundry[i] // 60, series.climate[i] // 60)
            cells = [f"{stamp}:00", watts / 1000, 0.1, 240.0, 1.0, *map(float, energies)]
            file.write(",".join(map(str, cells)) + "\n")
    assert run_tool(csv, tmp_path / "out").returncode == 0
    # the readings must be the same; another liblzma may compress them to other bytes
    again = lzma.decompress((tmp_path / "out" / piece.name).read_bytes())
    assert again == lzma.decompress((DATA / piece.name).read_bytes())


def test_what_the_tool_packs_reads_like_the_csv(packed: Path) -> None:
    household, original = open_packed(packed), open_household(EXTRACT)
    assert (household.start_ms, household.end_ms) == (original.start_ms, original.end_ms)
    assert household.minutes(household.start_ms, 360) == original.minutes(original.start_ms, 360)
    text = EXTRACT.read_bytes()
    assert read_manifest(packed).source_sha256 == hashlib.sha256(text).hexdigest()


def test_packing_twice_gives_identical_bytes(packed: Path, tmp_path: Path) -> None:
    compressed = tmp_path / "again.csv.xz"
    compressed.write_bytes(lzma.compress(EXTRACT.read_bytes()))
    result = run_tool(compressed, tmp_path / "again")
    assert result.stdout.startswith("2 pieces, 360 rows, ")
    assert content_of(tmp_path / "again") == content_of(packed)


def test_the_tool_says_in_one_line_what_is_wrong(tmp_path: Path) -> None:
    csv = tmp_path / "bad.csv"
    csv.write_text(EXTRACT.read_text().replace(",1.0,", ",x,", 1))
    result = run_tool(csv, tmp_path / "out")
    assert (result.returncode, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert "bad.csv, line " in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_piece_with_any_byte_altered_is_refused_by_name(packed: Path) -> None:
    path = packed / "2009-08.xz"
    piece = path.read_bytes()
    for offset in range(len(piece)):
        path.write_bytes(piece[:offset] + bytes([piece[offset] ^ 1]) + piece[offset + 1 :])
        household = open_packed(packed)
        assert len(household.minutes(household.start_ms, 300)) == 300  # July is whole
        with pytest.raises(DataFileError, match=r"2009-08\.xz: not the piece that manifest\.json names"):
            household.minutes(household.start_ms, 301)


def test_a_missing_piece_is_refused_by_name(packed: Path) -> None:
    (packed / "2009-07.xz").unlink()
    household = open_packed(packed)
    with pytest.raises(DataFileError, match=r"2009-07\.xz: No such file"):
        household.minutes(household.start_ms, 1)


def test_a_piece_in_the_place_of_another_is_refused(packed: Path) -> None:
    first, second = read_manifest(packed).pieces
    manifest = packed / MANIFEST_NAME
    (packed / second.name).write_bytes((packed / first.name).read_bytes())
    manifest.write_text(manifest.read_text().replace(second.sha256, first.sha256))
    household = open_packed(packed)
    with pytest.raises(DataFileError, match=r"2009-08\.xz: its first minute or rows"):
        household.minutes(household.start_ms, 301)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("{", "", "not a manifest of readings"),
        ('"place"', '"spot"', "not a manifest of readings"),
        ('"rows": 360', '"rows": "360"', "not a manifest of readings"),
        ('"version": 1', '"version": 2', "not a manifest of readings of version 1"),
        ("gridmonitoring household", "other", "not a manifest of readings of version 1"),
        ("2009-08-01T00:00", "2009-08-01T00:01", "without a gap"),
        ("2009-08-01T00:00", "2009-07-31T23:59", "without a gap"),
        ("2009-08-01T00:00", "2009-08-32T00:00", "'2009-08-32T00:00' is not a minute"),
        ('"rows": 360', '"rows": 361', "without a gap"),
        ('"rows": 60', '"rows": 0', "without a gap"),
    ],
)
def test_a_wrong_manifest_is_refused(packed: Path, old: str, new: str, reason: str) -> None:
    manifest = packed / MANIFEST_NAME
    text = manifest.read_text()
    assert old in text
    manifest.write_text(text.replace(old, new, 1))
    with pytest.raises(DataFileError, match=reason):
        open_packed(packed)


def test_a_manifest_that_is_missing_empty_or_no_text_is_refused(packed: Path) -> None:
    manifest = packed / MANIFEST_NAME
    pieces = manifest.read_text().partition('"pieces"')[0]
    for content in (
        b"",
        b"\xff\xfe",
        b'{"format": "\xff"}',
        pieces.replace('"rows": 360', '"rows": 0').encode(),
    ):
        manifest.write_bytes(content)
        with pytest.raises(DataFileError, match="not a manifest of readings"):
            open_packed(packed)
    manifest.write_text(pieces.replace('"rows": 360', '"rows": 0') + '"pieces": []}')
    with pytest.raises(DataFileError, match="without a gap"):
        open_packed(packed)
    manifest.unlink()
    with pytest.raises(DataFileError, match=r"manifest\.json: No such file"):
        open_packed(packed)
