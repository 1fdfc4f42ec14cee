from __future__ import annotations

from enum import IntEnum
from typing import Any

import cbor2
import msgspec
import pytest

from gridmonitoring.encoding.bounds import Bytes4, Name, Signed, Unsigned
from gridmonitoring.encoding.cbor import (
    BYTE_STRING,
    MAX_DEPTH,
    PACKAGE_LIMIT,
    TRANSACTION_LIMIT,
    UNSIGNED,
    convert,
    decode,
    encode,
    kind_name,
    loads,
    read_head,
)
from gridmonitoring.errors import EncodingError, Malformed, NotCanonical, TooLarge


class Colour(IntEnum):
    RED = 1


class Inner(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="inner/1"):
    note: Name


class Outer(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    number: Unsigned
    difference: Signed
    key: Bytes4
    flag: bool
    nothing: None
    colour: Colour
    inner: tuple[Inner, ...]


class Plain(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    data: bytes


OUTER = Outer(24, -1, b"abcd", True, None, Colour.RED, (Inner("caf\u00e9"),))
BYTES = bytes.fromhex("87 1818 20 4461626364 f5 f6 01 81 82 67 696e6e65722f31 65 636166c3a9")
DECOMPOSED = BYTES[:-6] + bytes.fromhex("66 63616665cc81")


def test_an_encoding_byte_by_byte() -> None:
    assert encode(OUTER) == BYTES
    assert decode(BYTES, Outer) == OUTER
    assert convert(loads(BYTES, 1024), Outer) == OUTER


@pytest.mark.parametrize(
    ("number", "head"),
    [
        (0, "00"),
        (23, "17"),
        (24, "1818"),
        (255, "18ff"),
        (256, "190100"),
        (65536, "1a00010000"),
        (2**32, "1b0000000100000000"),
        (2**63 - 1, "1b7fffffffffffffff"),
        (-1, "20"),
        (1 - 2**63, "3b7ffffffffffffffe"),
    ],
)
def test_integers_take_the_shortest_form(number: int, head: str) -> None:
    assert encode(number).hex() == head
    assert decode(bytes.fromhex(head), int) == number


@pytest.mark.parametrize(
    "data",
    [
        "1817",  # 23 in two bytes
        "190018",
        "1a00000018",
        "1b0000000000000018",
        "c24118",  # a bignum
        "f90000",  # a float that is whole
        "fa41c00000",
        "fb4038000000000000",
    ],
)
def test_numbers_in_another_form_are_refused(data: str) -> None:
    with pytest.raises(EncodingError):
        decode(bytes.fromhex(data), int)


@pytest.mark.parametrize(
    "data",
    [
        "9818" + "00" * 24 + "00",  # trailing byte
        "9f00ff",  # indefinite array
        "980100",  # long length
        "8100ff",
        "81",  # cut off
        "",
        "a0",  # a map
        "ff",
    ],
)
def test_arrays_in_another_form_are_refused(data: str) -> None:
    with pytest.raises(EncodingError):
        decode(bytes.fromhex(data), tuple[int, ...])


@pytest.mark.parametrize("data", ["5f4161ff", "5f6161ff", "7f6161ff", "9f00ff", "bfff"])
def test_indefinite_lengths_are_malformed_at_once(data: str) -> None:
    cbor2.loads(bytes.fromhex(data.replace("5f6161ff", "5f4161ff")))
    with pytest.raises(Malformed, match="not CBOR"):
        loads(bytes.fromhex(data), 16)


def test_bytes_are_not_text() -> None:
    assert decode(b"\x81\x43abc", Plain) == Plain(b"abc")
    for text in (b"\x81\x64YWJj", b"\x81\x63abc"):  # base64 text, which the converter takes for bytes
        with pytest.raises(EncodingError):
            decode(text, Plain)


def test_every_bit_of_an_encoding_counts() -> None:
    for bit in range(8 * len(BYTES)):
        changed = bytearray(BYTES)
        changed[bit // 8] ^= 1 << bit % 8
        try:
            other = decode(bytes(changed), Outer)
        except EncodingError:
            continue
        assert other != OUTER
        assert encode(other) == changed


def test_text_is_in_normal_form_c() -> None:
    assert convert(loads(DECOMPOSED, 1024), Outer).inner[0].note == "cafe\u0301"
    with pytest.raises(NotCanonical, match="normalisation form C"):
        decode(DECOMPOSED, Outer)


@pytest.mark.parametrize(
    ("value", "kind"),
    [("e\u0301", str), (["a", "e\u0301"], list[str]), ([[], ["a", "e\u0301"]], tuple[tuple[str, ...], ...])],
)
def test_text_is_found_however_deep_it_lies(value: object, kind: type) -> None:
    with pytest.raises(NotCanonical, match="normalisation form C"):
        decode(cbor2.dumps(value), kind)


def test_sizes_are_capped_before_anything_is_read() -> None:
    assert (TRANSACTION_LIMIT, PACKAGE_LIMIT) == (16_384, 1_048_576)
    largest = encode(bytes(TRANSACTION_LIMIT - 3))
    assert len(largest) == TRANSACTION_LIMIT
    assert decode(largest, bytes) == bytes(TRANSACTION_LIMIT - 3)
    assert loads(b"\x00", 1) == 0
    with pytest.raises(TooLarge) as caught:
        loads(b"\xff\xff", 1)
    assert (caught.value.size, caught.value.limit) == (2, 1)
    with pytest.raises(TooLarge, match="16385 bytes, at most 16384"):
        decode(b"\xff" * (TRANSACTION_LIMIT + 1), bytes)
    with pytest.raises(TooLarge):
        decode(b"\x00\x00", int, 1)


def test_nesting_is_capped() -> None:
    assert MAX_DEPTH == 24
    deepest = b"\x81" * MAX_DEPTH + b"\x00"
    assert cbor2.dumps(loads(deepest, 1024)) == deepest
    for deeper in (1, 1000):
        with pytest.raises(Malformed, match="depth"):
            loads(b"\x81" * deeper + deepest, 2048)


@pytest.mark.parametrize(
    "data", [b"", b"\x82\x00", b"\x61\xff", b"\x1c", b"\xc0\x00", b"\xc1\x1b" + b"\xff" * 8]
)
def test_what_is_no_encoding_at_all_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed, match="not CBOR of the ledger"):
        loads(data, 1024)


@pytest.mark.parametrize("major", [UNSIGNED, BYTE_STRING])
@pytest.mark.parametrize(
    "argument", [0, 23, 24, 255, 256, 2**16 - 1, 2**16, 2**32 - 1, 2**32, 2**63 - 1, 2**64 - 1]
)
def test_a_head_is_read_in_its_shortest_form_alone(argument: int, major: int) -> None:
    whole = cbor2.dumps(argument)
    shortest = bytes((whole[0] | major << 5,)) + whole[1:]
    assert read_head(b"\xff" + shortest + b"\xff", 1, major) == (argument, 1 + len(shortest))
    for size in range(len(shortest)):
        with pytest.raises(Malformed):
            read_head(shortest[:size], 0, major)
    for code, size in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if size > len(shortest) - 1 and argument < 2 ** (8 * size):
            longer = bytes((code | major << 5,)) + argument.to_bytes(size, "big")
            with pytest.raises(NotCanonical):
                read_head(longer, 0, major)


@pytest.mark.parametrize("major", [UNSIGNED, BYTE_STRING])
@pytest.mark.parametrize("first", range(256))
def test_a_head_of_another_type_is_refused(first: int, major: int) -> None:
    data = bytes((first,)) + b"\xff" * 8
    if first >> 5 == major and first & 31 < 28:
        assert read_head(data, 0, major)[1] <= len(data)
    else:
        with pytest.raises(Malformed):
            read_head(data, 0, major)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (-1, Unsigned),
        (2**63, Unsigned),
        (-(2**63), Signed),
        (b"abc", Bytes4),
        (b"abcde", Bytes4),
        ("", Name),
        ("x" * 65, Name),
        (True, int),
        (0, bool),
        (2, Colour),
        ([1], Plain),
        ([], Plain),
        ([b"", b""], Plain),
        (["inner/2", "x"], Inner),
        ("not base64!", bytes),
        (None, int),
    ],
)
def test_other_shapes_types_and_bounds_are_malformed(value: object, kind: Any) -> None:
    with pytest.raises(Malformed, match="not a "):
        convert(value, kind)
    with pytest.raises(Malformed, match="not a "):
        decode(cbor2.dumps(value), kind)


def test_a_kind_is_named_in_the_message() -> None:
    assert kind_name(Outer) == "Outer"
    assert kind_name(list[int]) == "list"
    assert kind_name(int | bytes) == "int | bytes"
    with pytest.raises(Malformed, match=r"^not a Outer: "):
        convert(0, Outer)
    with pytest.raises(NotCanonical, match=r"encoding of a int$"):
        decode(b"\x18\x17", int)


@pytest.mark.parametrize("value", [object(), [object()], 1j, {1: object()}, "\ud800"])
def test_what_the_ledger_has_no_encoding_for_is_malformed(value: object) -> None:
    with pytest.raises(Malformed, match="cannot be encoded"):
        encode(value)


@pytest.mark.parametrize("data", ["d81900", "d81c80", "d81d00", "d9010080"])
def test_each_kind_of_reference_is_refused_as_a_tag(data: str) -> None:
    with pytest.raises(Malformed, match="a tag"):
        loads(bytes.fromhex(data), 16)
