from __future__ import annotations

import hashlib

from gridmonitoring.blockchain.evidence_bundle import Opening
from gridmonitoring.blockchain.readings import SALT_SIZE, reading_commitment
from gridmonitoring.encoding.cbor import decode, encode
from tests.support.billing import reading

SALT = bytes(range(SALT_SIZE))


def test_the_commitment_is_the_double_hash_of_the_encoding() -> None:
    plain = encode(["reading/1", SALT, [[b"\x01\x00\x01\x08\x00\xff", 12_345]]])
    expected = hashlib.sha256(hashlib.sha256(plain).digest()).digest()
    assert reading_commitment(SALT, reading(12_345)) == expected


def test_salt_and_registers_both_count() -> None:
    commitments = {
        reading_commitment(salt, registers)
        for salt in (SALT, bytes(SALT_SIZE))
        for registers in (reading(1), reading(2), reading(1, (1,)))
    }
    assert len(commitments) == 6


def test_an_opening_survives_its_encoding() -> None:
    opening = Opening(SALT, reading(7))
    assert decode(encode(opening), Opening) == opening
