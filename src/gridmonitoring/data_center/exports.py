"""Exports: rows for research, without what names a house, and what they are (paper III-A-7, IV-C).

An export has a stated schema. MIDs become pseudonyms under a salt that is drawn for this export and thrown
away, so two exports cannot be joined. What would find the row on the ledger (log index, transaction IDs,
sequence, registers' readings, contract scripts) is left out. Rows of a group (area, tariff, customer class)
with fewer meters than the floor are withheld.

Left out, and said in the guide: a pseudonym is no anonymity. Whoever has the ledger can compare exact times
and amounts, so rows are for those who agreed to the terms they are given under; for everybody else there
are aggregates.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum

from msgspec import Struct

from gridmonitoring.data_center.copies import TABLES
from gridmonitoring.data_center.floors import Floors
from gridmonitoring.encoding.hashes import sha256

SALT = 32
"""Bytes of an export's salt."""

Group = tuple[str, str, int]
"""(area, tariff, customer class)."""


class ColumnType(StrEnum):
    """Type of an exported column."""

    INTEGER = "integer"
    TEXT = "text"
    BYTES = "bytes"


class Column(Struct, frozen=True):
    """One column of an export."""

    name: str
    """Its name."""
    type: ColumnType
    """Its type."""
    meaning: str
    """What it is, with its unit."""


class Manifest(Struct, frozen=True):
    """What an export is, beside its files."""

    format: str
    """`gridmonitoring-export/1`."""
    chain: str
    """Chain ID, hex."""
    height: int
    """Consensus block that the copies are complete to."""
    time_ms: int
    """Its time, ms."""
    app_hash: str
    """Hash of log and state after it, hex."""
    log_root: str
    """Root of the log after it, hex."""
    log_size: int
    """Its size."""
    checkpoint: str
    """The signed note of that block."""
    content: str
    """What was exported: a table, or an aggregate's period and dimensions."""
    columns: tuple[Column, ...]
    """Its schema, in order."""
    rows: int
    """Rows that were given."""
    floors: Floors
    """The floors they met."""
    suppressed: dict[str, int]
    """What was withheld: kind -> how many."""
    left_out: tuple[str, ...]
    """Columns of the copies that are not exported."""
    files: dict[str, str]
    """Name of a file -> SHA-256 of its bytes, hex."""


_METER = Column("meter", ColumnType.TEXT, "pseudonym of the meter, of this export only")


def _integers(*columns: tuple[str, str]) -> tuple[Column, ...]:
    return tuple(Column(name, ColumnType.INTEGER, meaning) for name, meaning in columns)


def _texts(*columns: tuple[str, str]) -> tuple[Column, ...]:
    return tuple(Column(name, ColumnType.TEXT, meaning) for name, meaning in columns)


_GROUP = (
    *_texts(("area", "area code"), ("tariff_name", "name of the tariff")),
    *_integers(("customer_class", "1 home, 2 school, 3 health, 4 business")),
)
_MONEY = "millionths of the currency's minor unit"

SCHEMAS: Mapping[str, tuple[Column, ...]] = {
    "forms": (
        _METER,
        *_GROUP,
        *_integers(
            ("tpt_ms", "time the purchase was processed, ms since 1970 UTC"),
            ("amount", f"paid, {_MONEY}"),
            ("quoted", "energy quoted for it, Wh"),
        ),
        *_texts(("currency", "ISO 4217 code")),
    ),
    "settlements": (
        _METER,
        *_GROUP,
        *_integers(
            ("from_ms", "time of the statement before, exclusive, ms since 1970 UTC"),
            ("time_ms", "time of the statement, inclusive, ms since 1970 UTC"),
            ("energy", "energy charged, Wh"),
            ("exported", "energy exported, Wh"),
            ("energy_charge", f"charge for energy, {_MONEY}"),
            ("standing", f"standing charges, {_MONEY}"),
            ("subscription", f"subscription, {_MONEY}"),
            ("tax", f"tax, {_MONEY}"),
            ("charge", f"charged in all, {_MONEY}"),
        ),
    ),
    "lines": (
        _METER,
        *_integers(
            ("time_ms", "time of the statement, ms since 1970 UTC"),
            ("rate", "rate, or slab counted from 1"),
            ("energy", "Wh"),
            ("charge", f"without tax, {_MONEY}"),
        ),
    ),
    "events": (
        _METER,
        *_integers(
            ("time_ms", "time of the report, ms since 1970 UTC"),
            ("event", "event code, docs/spec/transactions.md"),
            ("status", "status bits"),
            ("relay", "relay after the event"),
        ),
    ),
    "messages": (
        _METER,
        *_integers(
            ("kind", "1 state, 2 violation"),
            ("code", "message code"),
            ("violation", "TVLN, 0 for none"),
            ("tsm_ms", "time of the meter's state, ms since 1970 UTC"),
            ("state", "state of the meter"),
            ("count", "identical findings"),
            ("action", "agreed action, 0 for none"),
        ),
    ),
}
"""Table -> columns of its export. Readings are not exported: a register's exact reading finds its house."""

AGGREGATE_SCHEMA: tuple[Column, ...] = (
    *_texts(("period", "hour or day, UTC")),
    *_integers(("start_ms", "start of the period, ms since 1970 UTC")),
    *_texts(("area", "area code"), ("tariff", "name of the tariff"), ("class", "customer class")),
    *_integers(
        ("meters", "meters that contributed"),
        ("settlements", "settlements that contributed"),
        ("energy", "energy charged, Wh"),
        ("charge", f"charged, {_MONEY}"),
    ),
)
"""Columns of an exported aggregate; a dimension that was not asked for is empty."""


def left_out(table: str) -> tuple[str, ...]:
    """Return the columns of a table's copies that its export does not have."""
    given = {column.name for column in SCHEMAS[table]}
    return tuple(name for name in TABLES[table].__struct_fields__ if name not in given)


def pseudonym(salt: bytes, mid: bytes) -> str:
    """Return what stands for a meter in one export; `salt` is secret, random and used once."""
    return sha256(b"gridmonitoring-export/1" + salt + mid)[:8].hex()


def allowed_groups(members: Iterable[tuple[Group, bytes]], floors: Floors) -> frozenset[Group]:
    """Return the groups that have as many meters as the floor asks for; members are (group, MID)."""
    meters: dict[Group, set[bytes]] = {}
    for group, mid in members:
        meters.setdefault(group, set()).add(mid)
    return frozenset(group for group, mids in meters.items() if len(mids) >= floors.meters)


def allowed_meters(members: Sequence[tuple[Group, bytes]], floors: Floors) -> frozenset[bytes]:
    """Return the meters all of whose groups are allowed; of any other meter no row leaves."""
    allowed = allowed_groups(members, floors)
    return frozenset(mid for _, mid in members) - {mid for group, mid in members if group not in allowed}
