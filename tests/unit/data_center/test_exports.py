"""Exports: what is left out, pseudonyms, and groups that are too small."""

from __future__ import annotations

import pytest

from gridmonitoring.data_center.copies import TABLES
from gridmonitoring.data_center.exports import (
    SCHEMAS,
    allowed_groups,
    allowed_meters,
    left_out,
    pseudonym,
)
from gridmonitoring.data_center.floors import Floors

FINDS_A_HOUSE = {
    "log_index", "mid", "form", "script", "node", "vendor", "sequence", "number", "credit", "debt", "before",
    "after", "replaces",
}  # fmt: skip


@pytest.mark.parametrize("table", sorted(SCHEMAS))
def test_an_export_has_columns_of_its_table_and_none_that_finds_a_house(table: str) -> None:
    names = [column.name for column in SCHEMAS[table]]
    assert names[0] == "meter"
    assert set(names[1:]) <= set(TABLES[table].__struct_fields__)
    assert not set(names) & FINDS_A_HOUSE
    assert set(left_out(table)) | set(names[1:]) == set(TABLES[table].__struct_fields__)
    assert all(column.meaning for column in SCHEMAS[table])


def test_no_copy_has_a_house_number_or_a_payer() -> None:
    fields = {name for table in TABLES.values() for name in table.__struct_fields__}
    assert not fields & {"house", "payer", "reference", "idempotency", "detail", "period_key", "personal"}


def test_a_pseudonym_holds_within_an_export_and_not_beyond() -> None:
    salt, other = bytes(32), bytes(31) + b"\1"
    mids = [number.to_bytes(16, "big") for number in range(1000)]
    assert pseudonym(salt, mids[0]) == pseudonym(salt, mids[0])
    assert pseudonym(salt, mids[0]) != pseudonym(other, mids[0])
    assert len({pseudonym(salt, mid) for mid in mids}) == 1000


def test_groups_with_fewer_meters_than_the_floor_are_withheld() -> None:
    home, school = ("A1", "flat", 1), ("A1", "flat", 2)
    members = [(home, number.to_bytes(16, "big")) for number in range(15)] * 2
    members += [(school, number.to_bytes(16, "big")) for number in range(3, 6)]
    assert allowed_groups(members, Floors()) == {home}
    assert allowed_groups(members[:14], Floors()) == frozenset()
    meters = allowed_meters(members, Floors())
    assert sorted(int.from_bytes(mid, "big") for mid in meters) == [0, 1, 2, *range(6, 15)]
