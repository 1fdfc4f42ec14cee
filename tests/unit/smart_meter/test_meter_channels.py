"""Channels and the sealed detail."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gridmonitoring.blockchain.bodies import Settlement
from gridmonitoring.contracts.meter_rule import Event, Relay
from gridmonitoring.encoding.bounds import IMPORT_TOTAL
from gridmonitoring.encoding.cbor import TRANSACTION_LIMIT, decode, encode
from gridmonitoring.errors import CannotOpen
from gridmonitoring.keys.detail_keys import ALL_PARTS, DetailKeys, Part, key_hash, keys_of
from gridmonitoring.keys.sealed_boxes import report_nonce
from gridmonitoring.smart_meter.channels import (
    MAX_MINUTES,
    Appliances,
    Channel,
    Channels,
    ChannelState,
    LoadProfile,
    detail_context,
    join_parts,
    open_detail,
    open_part,
)
from gridmonitoring.smart_meter.claims import Draft, make_claim, make_detail

MID = b"meter of a house"
CHAIN = bytes(32)
KEY = bytes(range(32))
SALT = bytes(16)
DRAFT = Draft(
    9,
    1_700_000_000_000,
    Event.INTERVAL,
    0,
    Relay.CONNECTED,
    3,
    ((IMPORT_TOTAL, 77),),
    None,
    ((Channel.KITCHEN, 5), (Channel.REST, 1)),
    (300, 20),
)


def test_what_is_left_of_a_watt_hour_comes_with_the_next_report() -> None:
    channels = Channels(ChannelState())
    channels.minute(100, 90, 0, 61, 30)
    energy, profile = channels.take()
    assert dict(energy) == {Channel.KITCHEN: 1, Channel.LAUNDRY: 0, Channel.CLIMATE: 1, Channel.REST: 0}
    assert profile == (100,)
    channels.minute(7, 30, 0, 58, 30)
    assert channels.state() == ChannelState((60, 0, 59, 60), (7,))
    energy, _ = Channels(channels.state()).take()
    assert dict(energy) == {Channel.KITCHEN: 1, Channel.LAUNDRY: 0, Channel.CLIMATE: 0, Channel.REST: 1}


def test_of_a_long_silence_the_last_minutes_are_kept_and_fit_into_a_report() -> None:
    channels = Channels(ChannelState())
    for minute in range(MAX_MINUTES + 5):
        channels.minute(60_000 + minute, 0, 0, 0, 0)
    _, profile = channels.take()
    assert (len(profile), profile[-1]) == (MAX_MINUTES, 60_000 + MAX_MINUTES + 4)
    assert len(encode(LoadProfile(SALT, (), 0, profile))) < TRANSACTION_LIMIT


def sealed_parts(keys: DetailKeys) -> bytes:
    """Return the sealed detail of the draft."""
    plain = make_detail(DRAFT, SALT).parts
    nonce = report_nonce(1, 9)
    return join_parts(
        [AESGCM(keys.key(p)).encrypt(nonce, encode(plain[p]), detail_context(CHAIN, MID, p)) for p in Part]
    )


def test_the_parts_of_a_detail_are_read_back_as_they_were_written() -> None:
    detail = make_detail(DRAFT, SALT)
    assert detail.load.interval == detail.appliances.interval == 120_000
    assert decode(encode(detail.load), LoadProfile) == detail.load
    assert decode(encode(detail.appliances), Appliances) == detail.appliances
    assert encode(detail.load)[1:16] == b"\x6eload-profile/1"


def test_a_detail_opens_only_for_its_keys_meter_and_sequence() -> None:
    keys = keys_of(KEY)
    sealed = sealed_parts(keys)
    assert open_detail(sealed, keys, CHAIN, MID, 1, 9) == make_detail(DRAFT, SALT)
    for wrong in (
        (keys_of(bytes(32)), CHAIN, MID, 1, 9),
        (keys, b"c" * 32, MID, 1, 9),
        (keys, CHAIN, b"another meter...", 1, 9),
        (keys, CHAIN, MID, 2, 9),
        (keys, CHAIN, MID, 1, 10),
    ):
        with pytest.raises(CannotOpen):
            open_detail(sealed, *wrong)


@pytest.mark.parametrize("part", Part)
def test_a_reader_of_one_part_opens_no_other(part: Part) -> None:
    own = keys_of(KEY).narrowed(1 << part)
    sealed, nonce = sealed_parts(keys_of(KEY)), report_nonce(1, 9)
    assert open_part(sealed, own, part, CHAIN, MID, nonce) == make_detail(DRAFT, SALT).parts[part]
    other = Part(1 - part)
    with pytest.raises(CannotOpen):
        open_part(sealed, own, other, CHAIN, MID, nonce)
    pretended = DetailKeys(ALL_PARTS, own.entries)
    with pytest.raises(CannotOpen):
        open_part(sealed, pretended, other, CHAIN, MID, nonce)
    assert key_hash(keys_of(KEY).key(other)) == own.entries[other]


def test_every_reader_of_a_day_computes_one_commitment() -> None:
    keys = keys_of(KEY)
    commitment = keys.commitment(MID, 1, 19_000)
    assert {keys.narrowed(parts).commitment(MID, 1, 19_000) for parts in range(4)} == {commitment}
    others = {keys_of(bytes(32)).commitment(MID, 1, 19_000), keys.commitment(MID, 2, 19_000)}
    others |= {keys.commitment(MID, 1, 19_001), keys.commitment(bytes(16), 1, 19_000)}
    assert len(others) == 4
    assert commitment not in others


def test_an_interval_claim_hides_the_registers_and_a_settlement_shows_them() -> None:
    hidden = make_claim(DRAFT, 1, SALT, bytes(32), bytes(32))
    assert isinstance(hidden.reading, bytes)
    assert hidden.reading != make_claim(DRAFT, 1, b"another salt....", bytes(32), bytes(32)).reading
    settled = Draft(9, 5, Event.END_OF_BILLING, 4, Relay.DISCONNECTED, 3, DRAFT.registers, -12, (), ())
    claim = make_claim(settled, 2, SALT, b"d" * 32, b"p" * 32)
    assert (claim.epoch, claim.event, claim.status, claim.relay, claim.carried_out) == (2, 5, 4, 0, 3)
    assert claim.reading == Settlement(DRAFT.registers, -12)
    assert (claim.detail, claim.period_key) == (b"d" * 32, b"p" * 32)
