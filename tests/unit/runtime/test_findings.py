"""Stored tables against what they should be, as sorted streams of any types."""

from __future__ import annotations

from collections.abc import Iterator

import apsw
from hypothesis import given
from hypothesis import strategies as st

from gridmonitoring.errors import StorageError
from gridmonitoring.runtime.findings import (
    MISSING,
    Finding,
    Stream,
    TableCheck,
    merged,
    rank,
    show,
    show_key,
)
from gridmonitoring.runtime.storage.tables import Values

values = st.none() | st.integers(-(2**62), 2**62) | st.text(max_size=5) | st.binary(max_size=5)
tables = st.dictionaries(st.integers(0, 9), st.integers(0, 2), max_size=8)


def stream(rows: dict[int, int], findings: list[Finding], node: str = "node") -> Stream:
    return Stream(iter(sorted(rows.items())), 1, node, "table", findings.append)


@given(st.lists(values, max_size=20, unique_by=lambda value: (type(value), value)))
def test_keys_rank_as_sqlite_sorts_them(found: list[object]) -> None:
    connection = apsw.Connection(":memory:")
    connection.execute("CREATE TABLE t (v)")
    connection.executemany("INSERT INTO t VALUES (?)", [(value,) for value in found])
    stored = list(connection.execute("SELECT v FROM t ORDER BY v"))
    assert sorted(stored, key=rank) == stored


@given(tables, tables)
def test_every_difference_is_named_and_nothing_else(stored: dict[int, int], proper: dict[int, int]) -> None:
    findings: list[Finding] = []
    check = TableCheck(stream(stored, findings))
    for key, value in sorted(proper.items()):
        check.expect((key,), (key, value))
    check.finish()
    assert {finding.place[0] for finding in findings} == {
        key for key in stored.keys() | proper.keys() if stored.get(key) != proper.get(key)
    }
    assert check.matched == len(stored.items() & proper.items())
    for finding in findings:
        (key,) = finding.place
        assert finding.found == (str(stored[key]) if key in stored else MISSING)
        assert finding.content == ((key, proper[key]) if key in proper else None)
        if finding.content is None:
            del stored[key]
        else:
            stored[key] = proper[key]
    assert stored == proper


@given(st.lists(tables, min_size=1, max_size=4))
def test_streams_merge_in_order_of_the_key(stored: list[dict[int, int]]) -> None:
    found = dict(merged([stream(rows, []) for rows in stored]))
    keys = sorted({key for rows in stored for key in rows})
    assert list(found) == [(key,) for key in keys]
    for key in keys:
        assert found[key,] == [(key, rows[key]) if key in rows else None for rows in stored]


def test_a_table_that_cannot_be_read_further_is_one_finding() -> None:
    def rows() -> Iterator[Values]:
        yield 1, 10
        raise StorageError("the disk is broken")

    findings: list[Finding] = []
    check = TableCheck(Stream(rows(), 1, "node", "table", findings.append))
    for key in range(1, 100):
        check.expect((key,), (key, 10 * key))
    check.finish()
    (finding,) = findings
    assert str(finding) == "node: table: is unreadable (the disk is broken), should be readable"


def test_what_is_shown_is_short_but_keys_are_whole() -> None:
    assert show(None) == MISSING
    assert show((b"\x01\x02", 7, None)) == "0102, 7, None"
    assert show((bytes(1000),)) == "1000 bytes of hash 541b3e9daa09b20b"
    assert show_key((bytes(40), 3)) == "00" * 40 + "/3"
