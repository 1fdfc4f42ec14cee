"""Naming the field that differs, also where what is there reads alike (V-B)."""

from __future__ import annotations

from gridmonitoring.runtime.forensics import FieldDifference, differences

NOTE = "origin\n7\n\n— node-01 c2ln\n".encode()


def named(found: bytes) -> list[FieldDifference]:
    place = (3,)
    return list(differences("block", place, (3, b"h", b"b", found), (3, b"h", b"b", NOTE)))


def test_a_line_of_a_note_is_named() -> None:
    assert named(NOTE.replace(b"7", b"6")) == [FieldDifference("note, line 2", "6", "7")]


def test_a_byte_is_named_where_the_lines_read_alike() -> None:
    dash = NOTE.index("—".encode())
    altered = NOTE[:dash] + bytes([NOTE[dash] ^ 1]) + NOTE[dash + 1 :]
    assert named(altered) == [FieldDifference(f"note, byte {dash}", "e3", "e2")]
    assert named(NOTE.replace(b"7\n", b"7\x0b", 1)) == [FieldDifference("note, byte 8", "0b", "0a")]
