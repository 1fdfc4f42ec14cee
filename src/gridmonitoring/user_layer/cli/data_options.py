"""Options of the commands about access to data: kinds of data, days, readers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gridmonitoring.contracts.consent import DAY_MS, Data
from gridmonitoring.errors import UserError
from gridmonitoring.runtime.grid_port import Grid, load_signer
from gridmonitoring.runtime.parties import Signer
from gridmonitoring.user_layer.cli.times import parse_time, time_text

NAMES = {data.name.lower(): data for data in Data if data.name}
"""What people call the kinds of data."""

DataText = Annotated[
    str,
    typer.Option(
        "--data", metavar="KINDS", help="Of settlements, profile and appliances; several with commas."
    ),
]
FirstDay = Annotated[str, typer.Option("--from", metavar="DATE", help="First day, UTC.")]
LastDay = Annotated[str, typer.Option("--to", metavar="DATE", help="Last day, UTC.")]
PurposeText = Annotated[
    str, typer.Option("--purpose", metavar="TEXT", help="What for; a request names the same.")
]


def parse_data(text: str) -> Data:
    """Return the kinds of data that a text names; raises `UserError`."""
    found = Data(0)
    for name in text.split(","):
        if name.strip() not in NAMES:
            raise UserError(f"--data: {name.strip()!r} is none of {', '.join(NAMES)}")
        found |= NAMES[name.strip()]
    return found


def data_text(data: int) -> list[str]:
    """Return the names of kinds of data."""
    return [name for name, kind in NAMES.items() if data & kind]


def parse_days(first: str, last: str) -> tuple[int, int]:
    """Return first and last day, since 1970, of two dates; raises `UserError`."""
    days = parse_time(first, "--from") // DAY_MS, parse_time(last, "--to") // DAY_MS
    if days[0] > days[1]:
        raise UserError(f"--from {first} is after --to {last}")
    return days


def day_text(day: int) -> str:
    """Return a day as a date, or its number where no calendar reaches."""
    return time_text(day * DAY_MS)[:10] if 0 < day < 2_932_896 else str(day)


def find_reader(grid: Grid, folder: Path, name: str) -> Signer:
    """Return the party whose key file a name stands for: a consumer's, a researcher's or an office's.

    Raises `UserError`.
    """
    places = [
        folder / f"researcher-{name}.json",
        folder / f"consumer-{name}.json",
        folder / f"{name}.json",
        grid.directory.key_file(name),
    ]
    for path in places:
        if path.is_file():
            return load_signer(grid, path)
    raise UserError(f"there is no key file of {name!r} in {folder}; register readers with `gridmon register`")
