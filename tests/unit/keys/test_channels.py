"""Sealed reports are read by hand: whatever is read must be the one canonical encoding of what it says."""

from __future__ import annotations

from contextlib import suppress

import cbor2
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from gridmonitoring.errors import CannotOpen, EncodingError, Malformed, NotCanonical, TooLarge
from gridmonitoring.keys.channels import (
    WIRE_LIMIT,
    Channel,
    SealedReport,
    open_sealed,
    read_sealed,
    seal_context,
    sealed_channel,
)
from gridmonitoring.keys.sealed_boxes import report_nonce

NAME = bytes(range(16))
CHAIN = b"c" * 32
CHANNEL = Channel(b"m" * 16, 1, 20_000, b"k" * 32)
FRAME = cbor2.dumps(["sealed/1", NAME, 300, b"x" * 40])
PAIR = cbor2.dumps([b"claim" * 9, b"detail" * 50])


def sealed(plain: bytes) -> SealedReport:
    nonce, context = report_nonce(CHANNEL.epoch, 7), seal_context(CHAIN, NAME)
    return SealedReport(NAME, 7, AESGCM(CHANNEL.key).encrypt(nonce, plain, context))


@given(st.integers(0, 2**63 - 1), st.binary(max_size=700))
def test_every_frame_is_read_as_it_was_written(sequence: int, ciphertext: bytes) -> None:
    wire = cbor2.dumps(["sealed/1", NAME, sequence, ciphertext])
    assert read_sealed(wire) == SealedReport(NAME, sequence, ciphertext)
    assert sealed_channel(wire) == NAME


@given(st.integers(0, len(FRAME) - 1), st.integers(0, 255), st.integers(0, len(FRAME)))
def test_a_frame_that_was_changed_says_what_it_says_or_is_refused(place: int, byte: int, end: int) -> None:
    wire = (FRAME[:place] + bytes((byte,)) + FRAME[place + 1 :])[:end]
    with suppress(EncodingError):
        read = read_sealed(wire)
        assert cbor2.dumps(["sealed/1", read.channel, read.sequence, read.ciphertext]) == wire


@pytest.mark.parametrize(
    "values",
    [
        ["sealed/1", NAME, -1, b"x"],
        ["sealed/1", NAME, 2**63, b"x"],
        ["sealed/1", NAME[:15], 1, b"x"],
        ["sealed/2", NAME, 1, b"x"],
        ["sealed/1", NAME, 1, "x"],
        ["sealed/1", NAME, 1, b"x", b"y"],
        ["sealed/1", NAME, 1],
        [],
    ],
)
def test_other_frames_are_malformed(values: list[object]) -> None:
    with pytest.raises(Malformed):
        read_sealed(cbor2.dumps(values))


def test_frames_are_capped_and_of_one_encoding() -> None:
    with pytest.raises(TooLarge):
        read_sealed(FRAME + bytes(WIRE_LIMIT))
    with pytest.raises(NotCanonical):
        read_sealed(FRAME.replace(b"\x19\x01\x2c", b"\x1a\x00\x00\x01\x2c"))
    with pytest.raises(Malformed):
        read_sealed(FRAME + b"\x00")


def test_the_claim_and_the_detail_are_inside() -> None:
    assert open_sealed(sealed(PAIR), CHANNEL, CHAIN) == (b"claim" * 9, b"detail" * 50)
    with pytest.raises(CannotOpen):
        open_sealed(sealed(PAIR), CHANNEL, b"d" * 32)


@given(st.integers(0, len(PAIR) - 1), st.integers(0, 255), st.integers(0, len(PAIR)))
def test_insides_that_were_changed_say_what_they_say_or_are_refused(place: int, byte: int, end: int) -> None:
    plain = (PAIR[:place] + bytes((byte,)) + PAIR[place + 1 :])[:end]
    with suppress(EncodingError):
        assert cbor2.dumps(list(open_sealed(sealed(plain), CHANNEL, CHAIN))) == plain


@pytest.mark.parametrize(
    "plain", [b"", b"\x82", PAIR + b"\x00", cbor2.dumps([b"a"]), cbor2.dumps([b"a", b"b", b"c"]), b"\xf6"]
)
def test_other_insides_are_malformed(plain: bytes) -> None:
    with pytest.raises(Malformed):
        open_sealed(sealed(plain), CHANNEL, CHAIN)
