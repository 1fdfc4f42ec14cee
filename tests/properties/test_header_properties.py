from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from gridmonitoring.blockchain.header import (
    Header,
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

HEADERS = st.builds(
    Header,
    version=st.binary(min_size=4, max_size=4),
    previous=st.binary(min_size=32, max_size=32),
    merkle_root=st.binary(min_size=32, max_size=32),
    timestamp=st.integers(0, MAX_INT),
    target=st.integers(0, 6).map(target_of_bits),
    nonce=st.integers(0, MAX_INT),
)


@given(HEADERS)
def test_header_round_trip_and_nonce(header: Header) -> None:
    assert decode_header(encode_header(header)) == header
    check_header(replace(header, nonce=find_nonce(header)))


@given(HEADERS, st.integers(1, 500))
def test_no_other_nonce_is_valid(header: Header, distance: int) -> None:
    with pytest.raises(BlockError):
        check_header(replace(header, nonce=find_nonce(header) + distance))


@given(st.binary(max_size=100) | st.binary(min_size=88, max_size=88))
def test_bytes_are_a_header_in_one_way_or_refused(data: bytes) -> None:
    try:
        header = decode_header(data)
    except BlockError:
        return
    assert encode_header(header) == data


@given(st.binary(min_size=4, max_size=4))
def test_compact_form_is_unique(compact: bytes) -> None:
    try:
        value = expand_target(compact)
    except BlockError:
        return
    assert compact_target(value) == compact


@given(st.integers(1, 2**256 - 1))
def test_compact_form_cuts_down_to_the_digits_it_holds(value: int) -> None:
    held = expand_target(compact_target(value))
    assert held <= value
    assert value - held < held >> 15 or value - held < 1
    assert compact_target(held) == compact_target(value)
