"""The report of a run: one HTML file with everything in it, for people (paper I: they see the readings).

Left out: scripts and anything loaded from elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

from gridmonitoring.user_layer.cli.money import money_text
from gridmonitoring.user_layer.demo.aftermath import SEVERAL, Outcome
from gridmonitoring.user_layer.demo.bundles import FOLDER
from gridmonitoring.user_layer.demo.dates import day_text
from gridmonitoring.user_layer.demo.figures import HouseFigures
from gridmonitoring.user_layer.demo.plan import CENT, CURRENCY, MINOR_DIGITS

COLUMNS = (
    "house",
    "month",
    "tariff",
    "kWh",
    "charged",
    "left",
    "lots",
    "locked",
    "side",
    "viol.",
    "equal",
)
"""Columns of the table of houses."""
EXPLAINED = (
    f"Month of the recording. kWh and {CURRENCY} (charged, credit left) are rounded down. Locked, side:"
    " parent and side blocks. Viol.: violations. Equal: the meter's account and registers are the ledger's,"
    " exactly."
)
"""What the columns say."""
_PRIVATE = (
    "The ledger has hashes of these, the nodes ciphertexts. The charts were made from what each household"
    " opened with its own key."
)
_PUBLIC = (
    "Settlements, once a day and at events: registers and the credit left. Everything between is a salted"
    " hash."
)
_STYLE = """
body { font-family: system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif; color: #1f2933;
  max-width: 60rem; margin: 2rem auto; padding: 0 1rem; line-height: 1.45; }
table { border-collapse: collapse; width: 100%; font-size: 0.9rem; margin: 0.5rem 0 1.5rem; }
th, td { text-align: left; padding: 0.25rem 0.6rem 0.25rem 0; border-bottom: 1px solid #d5dae0; }
code, pre { font-size: 0.85rem; background: #f3f5f7; } pre { padding: 0.7rem; overflow-x: auto; }
svg { width: 100%; height: auto; margin-bottom: 1.5rem; } .good { color: #00734f; } .bad { color: #b3200e; }
.small { font-size: 0.85rem; color: #5b6673; }
"""


def house_rows(outcome: Outcome) -> list[list[str]]:
    """Return the table of houses, and a line of sums."""
    houses = outcome.houses
    rows = [
        [house.name, house.recorded[:7], house.tariff, *_amounts([house]), "yes" if house.equal else "NO"]
        for house in houses
    ]
    return [*rows, ["all", "", "", *_amounts(houses), ""]]


def _amounts(houses: Sequence[HouseFigures]) -> list[str]:
    energy = sum(house.energy for house in houses)
    counts = [(house.lots, house.locked, house.side_blocks, house.violations) for house in houses]
    return [
        f"{energy // 1000}.{energy % 1000 // 100}",
        money(sum(house.charged for house in houses)),
        money(sum(house.credit - house.debt for house in houses)),
        *(str(sum(values)) for values in zip(*counts, strict=True)),
    ]


def money(amount: int) -> str:
    """Return money rounded down to cents, for reading; the ledger has it exact."""
    return money_text(amount // CENT * CENT, MINOR_DIGITS)


def verification_lines(outcome: Outcome) -> list[tuple[str, str]]:
    """Return (what was verified, how it ended)."""
    found = outcome.verification
    proven = len(outcome.evidence) - len(outcome.unproven)
    equal = sum(house.equal for house in outcome.houses)
    return [
        (
            f"{len(found.files)} nodes, from genesis",
            f"{found.blocks} blocks, {found.transactions} transactions, {found.signatures} signatures, "
            + (f"{len(found.findings)} DIFFERENCES" if found.findings else "no difference"),
        ),
        ("app_hash", found.app_hash.hex()),
        ("evidence", f"{proven} of {len(outcome.evidence)} bundles prove what they say"),
        ("meters", f"{equal} of {len(outcome.houses)} equal to the ledger, to the unit"),
        (
            "privacy",
            "every detail opened with its household's key, none with a neighbour's"
            if outcome.sealed
            else "a neighbour's key opened a household's details",
        ),
    ]


class Shown(NamedTuple):
    """How things are called in commands to type."""

    directory: Path
    """The data directory."""
    program: str
    """This program."""
    python: str
    """An interpreter with what the independent verifier needs."""


def commands(outcome: Outcome, shown: Shown) -> list[str]:
    """Return what to type to look further."""
    directory, gridmon = shown.directory, shown.program
    mid = outcome.houses[min(1, len(outcome.houses) - 1)].mid.hex()[:8]
    bundle = directory / FOLDER / outcome.evidence["reading"].name
    return [
        f"{gridmon} show network {directory}",
        f"{gridmon} show thread {directory} {mid}",
        f"{gridmon} show block {directory} 1 --meter {mid}",
        f"{gridmon} verify {directory}",
        f"{gridmon} audit {directory}",
        f"{gridmon} evidence {directory} --meter {mid} --kind bill -o bill.cbor",
        f"{shown.python} tools/verify_evidence.py {bundle}",
    ]


def write_report(outcome: Outcome, directory: Path, shown: Shown) -> Path:
    """Write report.html into a directory and return its path."""
    good = "good" if outcome.verified else "bad"
    verdict = "Everything verified" if outcome.verified else "Not everything could be verified"
    incidents = [(name.replace("_", " "), text) for name, text in outcome.incidents.items()]
    events = [(day_text(told.time), told.house, told.text) for told in outcome.events]
    evidence = [
        (kind, str(path.relative_to(directory)), f"{path.stat().st_size:,} bytes")
        for kind, path in outcome.evidence.items()
    ]
    parts = [
        f"<h1>GridMonitoring: {len(outcome.houses)} houses</h1>",
        f'<p class="{good}"><strong>{verdict}.</strong></p>',
        _table((), verification_lines(outcome)),
        "<h2>Houses</h2>",
        f'<p class="small">{escape(SEVERAL)} {escape(EXPLAINED)}</p>',
        _table(COLUMNS, house_rows(outcome)),
        "<h2>What happened</h2>",
        _table(("incident", "outcome"), incidents),
        "<h2>What the households see</h2>",
        f"<p>{_PRIVATE}</p>",
        *(outcome.charts[name].read_text(encoding="utf-8") for name in ("energy", "cost", "load", "credit")),
        "<h2>What everyone sees</h2>",
        f"<p>{_PUBLIC}</p>",
        outcome.charts["growth"].read_text(encoding="utf-8"),
        "<h2>Day by day</h2>",
        _table(("when", "where", "what"), events),
        "<h2>Evidence</h2>",
        _table(("proves", "file", "size"), evidence),
        "<h2>Look further</h2>",
        f"<pre>{escape(chr(10).join(commands(outcome, shown)))}</pre>",
        f'<p class="small">{escape(outcome.source)}. {escape(SEVERAL)}</p>',
    ]
    page = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>GridMonitoring: a run</title><style>{_STYLE}</style></head><body>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )
    path = directory / "report.html"
    path.write_text(page, encoding="utf-8")
    return path


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>\n" for row in rows)
    return f"<table>{f'<tr>{head}</tr>' if head else ''}\n{body}</table>"
