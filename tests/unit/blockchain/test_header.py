from __future__ import annotations

import hashlib

import pytest
from msgspec.structs import replace

from gridmonitoring.blockchain.header import (
    Header,
    block_hash,
    check_header,
    compact_target,
    decode_header,
    encode_header,
    expand_target,
    find_nonce,
    target_of_bits,
)
from gridmonitoring.encoding.bounds import MAX_INT
from gridmonitoring.errors import BlockError

HEADER = Header(
    version=b"\x00\x01\x00\x02",
    previous=bytes(range(32)),
    merkle_root=bytes(range(32, 64)),
    timestamp=1_166_289_840_000,
    target=target_of_bits(8),
    nonce=0x0102,
)


def test_layout_is_88_bytes_big_endian() -> None:
    data = encode_header(HEADER)
    assert len(data) == 88
    assert data[:4] == b"\x00\x01\x00\x02"
    assert (data[4:36], data[36:68]) == (bytes(range(32)), bytes(range(32, 64)))
    assert data[68:76] == (1_166_289_840_000).to_bytes(8, "big")
    assert (data[76:80], data[80:]) == (target_of_bits(8), bytes.fromhex("0000000000000102"))
    assert decode_header(data) == HEADER
    assert block_hash(data) == hashlib.sha256(hashlib.sha256(data).digest()).digest()


@pytest.mark.parametrize("size", [0, 87, 89])
def test_headers_of_another_size_are_refused(size: int) -> None:
    with pytest.raises(BlockError, match=f"of {size} bytes"):
        decode_header(bytes(size))


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (replace(HEADER, version=b"\x01"), "bytes"),
        (replace(HEADER, previous=bytes(31)), "bytes"),
        (replace(HEADER, merkle_root=bytes(33)), "bytes"),
        (replace(HEADER, target=b""), "bytes"),
        (replace(HEADER, timestamp=-1), "timestamp"),
        (replace(HEADER, timestamp=MAX_INT + 1), "timestamp"),
        (replace(HEADER, nonce=-1), "nonce"),
        (replace(HEADER, nonce=MAX_INT + 1), "nonce"),
        (replace(HEADER, target=bytes(4)), "zero"),
    ],
)
def test_fields_out_of_bounds_are_refused(header: Header, message: str) -> None:
    for function in (encode_header, find_nonce, check_header):
        with pytest.raises(BlockError, match=message):
            function(header)


@pytest.mark.parametrize("number", [0, MAX_INT])
def test_the_smallest_and_the_largest_integers(number: int) -> None:
    header = replace(HEADER, timestamp=number, nonce=number)
    assert decode_header(encode_header(header)) == header


def test_integers_past_the_ledger_are_refused() -> None:
    data = encode_header(HEADER)
    for at in (68, 80):
        with pytest.raises(BlockError, match="2\\^63"):
            decode_header(data[:at] + b"\x80" + data[at + 1 :])


@pytest.mark.parametrize(
    ("compact", "value"),
    [
        ("1d00ffff", 0xFFFF << 208),  # the highest of Bitcoin's main network
        ("1b0404cb", 0x0404CB << 192),
        ("1f0fffff", 0x0FFFFF << 224),  # twelve leading zero bits
        ("207fffff", 0x7FFFFF << 232),
        ("2100ffff", 0xFFFF << 240),
        ("04123456", 0x12345600),
        ("03123456", 0x123456),
        ("02123400", 0x1234),
        ("01120000", 0x12),
        ("02008000", 0x80),
        ("01010000", 1),
    ],
)
def test_compact_targets(compact: str, value: int) -> None:
    assert expand_target(bytes.fromhex(compact)) == value
    assert compact_target(value).hex() == compact
    assert (
        decode_header(encode_header(replace(HEADER, target=bytes.fromhex(compact)))).target.hex() == compact
    )


@pytest.mark.parametrize(
    ("compact", "message"),
    [
        ("1d80ffff", "negative"),
        ("04923456", "negative"),
        ("00000000", "zero"),
        ("1d000000", "zero"),
        ("00123456", "zero"),
        ("01003456", "zero"),
        ("21010000", "over"),
        ("22000100", "over"),
        ("ff123456", "over"),
        ("1e0000ff", "shortest"),
        ("1d007fff", "shortest"),
        ("01123456", "shortest"),
        ("02123401", "shortest"),
    ],
)
def test_targets_with_another_form_or_none_are_refused(compact: str, message: str) -> None:
    with pytest.raises(BlockError, match=message):
        expand_target(bytes.fromhex(compact))
    data = encode_header(HEADER)
    with pytest.raises(BlockError, match=message):
        decode_header(data[:76] + bytes.fromhex(compact) + data[80:])


def test_target_of_bits() -> None:
    assert target_of_bits(12).hex() == "1f0fffff"
    for bits in range(256):
        value = expand_target(target_of_bits(bits))
        assert value.bit_length() == 256 - bits
    for wrong in (-1, 256):
        with pytest.raises(BlockError, match="zero bits"):
            target_of_bits(wrong)


def test_the_nonce_is_the_lowest_that_is_valid() -> None:
    nonce = find_nonce(HEADER)
    limit = expand_target(HEADER.target)

    def number(candidate: int) -> int:
        return int.from_bytes(block_hash(encode_header(replace(HEADER, nonce=candidate))), "big")

    assert number(nonce) < limit
    assert all(number(lower) >= limit for lower in range(nonce))
    check_header(replace(HEADER, nonce=nonce))
    following = next(higher for higher in range(nonce + 1, nonce + 10_000) if number(higher) < limit)
    with pytest.raises(BlockError, match=f"nonce {following} is not the lowest that is valid, {nonce} is"):
        check_header(replace(HEADER, nonce=following))
    with pytest.raises(BlockError, match="not below the target"):
        check_header(replace(HEADER, nonce=nonce + 1 if following != nonce + 1 else following + 1))


def test_the_easiest_and_the_hardest_target() -> None:
    check_header(replace(HEADER, target=target_of_bits(0), nonce=0))
    with pytest.raises(BlockError, match="not below the target"):
        check_header(replace(HEADER, target=target_of_bits(255), nonce=0))
