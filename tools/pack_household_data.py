"""Pack the household readings that ship with the demonstration: `pack_household_data.py CSV OUTDIR`.

CSV is the file of the Python package EnergyData 0.0.2 (`.csv` or `.csv.xz`). Writes one xz piece per
calendar month and `manifest.json` into OUTDIR. Running it twice gives identical bytes (with one version
of liblzma; another may compress to other bytes with the same content).
"""

from __future__ import annotations

import argparse
import hashlib
import lzma
import sys
from pathlib import Path

import msgspec

from gridmonitoring.errors import DataFileError
from gridmonitoring.user_layer.demo.household_csv import read_months
from gridmonitoring.user_layer.demo.household_format import (
    MANIFEST_FORMAT,
    MANIFEST_NAME,
    MANIFEST_VERSION,
    Manifest,
    MonthMinutes,
    PieceEntry,
    encode_piece,
    local_text,
    piece_name,
)

CHANGES = [
    "The missing minutes of the original, about 1.25 %, were filled in by the author of EnergyData.",
    "Of its columns, Global_active_power and Sub_metering_1 to 3 were kept.",
    "Power was converted from kW to whole W, which is exact, and the file cut into pieces by month.",
]
CHANNELS = [
    "active power of the house, mean over the minute, W",
    "kitchen: dishwasher, oven, microwave, Wh in the minute",
    "laundry: washing machine, dryer, refrigerator, light, Wh in the minute",
    "climate: water heater and air conditioner, Wh in the minute",
]


def main() -> int:
    """Pack, and say what was written; 1 with one line on stderr when the CSV cannot be used."""
    parser = argparse.ArgumentParser(description="Pack the household readings of the demonstration.")
    parser.add_argument("csv", type=Path, help="the readings, .csv or .csv.xz")
    parser.add_argument("outdir", type=Path, help="where the pieces and their manifest go")
    arguments = parser.parse_args()
    try:
        manifest = pack(arguments.csv, arguments.outdir)
    except DataFileError as error:
        print(error, file=sys.stderr)
        return 1
    size = sum(piece.size for piece in manifest.pieces)
    print(f"{len(manifest.pieces)} pieces, {manifest.rows} rows, {size} bytes")
    return 0


def pack(csv: Path, outdir: Path) -> Manifest:
    """Write the pieces and then the manifest that names them."""
    months = read_months(csv)
    outdir.mkdir(parents=True, exist_ok=True)
    manifest = Manifest(
        format=MANIFEST_FORMAT,
        version=MANIFEST_VERSION,
        title="Individual household electric power consumption",
        authors=["Georges Hebrail (EDF R&D)", "Alice Berard (EDF R&D)"],
        publisher="UCI Machine Learning Repository",
        doi="10.24432/C58K54",
        licence="CC-BY-4.0",
        licence_url="https://creativecommons.org/licenses/by/4.0/",
        place="one house in Sceaux, France",
        source="household_power.csv, the data file of the Python package EnergyData 0.0.2",
        source_sha256=_sha256_of_text(csv),
        changes=CHANGES,
        clock="local minutes without daylight saving, read as fixed UTC+1",
        channels=CHANNELS,
        rows=sum(len(month.watts) for month in months),
        pieces=[_write_piece(outdir, month) for month in months],
    )
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
    (outdir / MANIFEST_NAME).write_bytes(text + b"\n")
    return manifest


def _write_piece(outdir: Path, month: MonthMinutes) -> PieceEntry:
    name, piece = piece_name(month), encode_piece(month)
    (outdir / name).write_bytes(piece)
    digest = hashlib.sha256(piece).hexdigest()
    return PieceEntry(name, local_text(month.first), len(month.watts), len(piece), digest)


def _sha256_of_text(csv: Path) -> str:
    with lzma.open(csv) if csv.suffix == ".xz" else csv.open("rb") as text:
        digest = hashlib.sha256()
        while chunk := text.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


if __name__ == "__main__":
    sys.exit(main())
