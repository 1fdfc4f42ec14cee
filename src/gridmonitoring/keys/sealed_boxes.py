"""Opening what was sealed: HPKE boxes (RFC 9180) and AES-256-GCM channels (paper II-B, V-A).

A report's channel key and each period key travel in an HPKE box; reports and details are
AES-256-GCM under those keys. All context (chain, meter, period, recipient, purpose) goes into
HPKE's `info`, so a box opened for another purpose fails.

Left out: sealing, which draws entropy inside its library (`runtime.entropy`), and HPKE's
authenticated modes: what is inside is signed.
"""

from __future__ import annotations

from enum import IntEnum
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gridmonitoring.encoding.cbor import encode
from gridmonitoring.errors import BadPublicKey, CannotOpen


class SuiteNumber(IntEnum):
    """HPKE suites; the number is part of the encoding."""

    X25519 = 1
    """DHKEM(X25519), HKDF-SHA256, AES-256-GCM."""
    XWING = 2
    """X-Wing (ML-KEM-768 with X25519), HKDF-SHA256, AES-256-GCM."""


class Purpose(IntEnum):
    """What a box is for; part of `info`."""

    CHANNEL_KEY = 1
    """A meter's channel key, to the network's contract key."""
    PERIOD_KEY = 2
    """A period key of the load profile, to its owner, a grantee or the custodian."""
    COMMAND = 3
    """A command with its proof, to the meter."""
    ANSWER = 4
    """An answer to a request for data, to the requester."""
    FAILURE = 5
    """A failed signature or opening, in a node's secure database, to the contract key."""
    FAILURES = 6
    """What a node's secure database has, to an auditor."""


_KEMS = {
    SuiteNumber.X25519: hpke.KEM.X25519,
    SuiteNumber.XWING: hpke.KEM.MLKEM768_X25519,
}


@lru_cache(maxsize=8)
def hpke_suite(number: int) -> hpke.Suite:
    """Return the library's suite of a suite number; raises `CannotOpen` on unknown numbers."""
    try:
        kem = _KEMS[SuiteNumber(number)]
    except ValueError as error:
        raise CannotOpen(f"unknown HPKE suite {number}") from error
    return hpke.Suite(kem, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)


def box_info(
    purpose: Purpose, chain_id: bytes, meter: bytes, epoch: int, period: int, recipient: bytes
) -> bytes:
    """Return HPKE's `info`: the encoding of all that a box is bound to.

    `recipient` is the recipient's HPKE public key; `period` the number of the key period (`detail_keys`)
    for reports, or the command number.
    """
    return encode(["gridmon/box/1", int(purpose), chain_id, meter, epoch, period, recipient])


def open_box(suite: int, secret_key: bytes, info: bytes, box: bytes) -> bytes:
    """Open an HPKE box (base mode, single shot) with a 32-byte X25519 secret key.

    Raises `CannotOpen`.
    """
    if suite != SuiteNumber.X25519:
        raise CannotOpen(f"this key does not open suite {suite}")
    return open_with(suite, _x25519(secret_key), info, box)


def open_with(
    suite: int, key: X25519PrivateKey | hpke.MLKEM768X25519PrivateKey, info: bytes, box: bytes
) -> bytes:
    """Open an HPKE box with a key object of the suite; raises `CannotOpen`."""
    try:
        return hpke_suite(suite).decrypt(box, key, info)
    except (InvalidTag, ValueError, TypeError) as error:
        raise CannotOpen("the box is not for this key and context, or was altered") from error


def hpke_public_key(secret_key: bytes) -> bytes:
    """Return the 32-byte X25519 public key of a secret key."""
    return _x25519(secret_key).public_key().public_bytes_raw()


def check_hpke_key(public_key: bytes) -> bytes:
    """Return an X25519 public key that may be registered.

    Refuses the points of small order (RFC 7748 section 6.1: an all-zero shared secret); raises
    `BadPublicKey`.
    """
    try:
        _x25519(b"\x77" * 32).exchange(X25519PublicKey.from_public_bytes(public_key))
    except ValueError as error:
        raise BadPublicKey("not a valid X25519 public key of 32 bytes") from error
    return public_key


def open_aead(key: bytes, nonce: bytes, sealed: bytes, associated: bytes) -> bytes:
    """Open AES-256-GCM (12-byte nonce, 16-byte tag at the end); raises `CannotOpen`."""
    try:
        return AESGCM(key).decrypt(nonce, sealed, associated)
    except (InvalidTag, ValueError) as error:
        raise CannotOpen("the ciphertext is not for this key and context, or was altered") from error


def report_nonce(epoch: int, sequence: int) -> bytes:
    """Return the nonce of a report or detail: meter epoch (4 bytes) and sequence (8 bytes)."""
    return epoch.to_bytes(4, "big") + sequence.to_bytes(8, "big")


@lru_cache(maxsize=4096)
def _x25519(secret_key: bytes) -> X25519PrivateKey:
    try:
        return X25519PrivateKey.from_private_bytes(secret_key)
    except ValueError as error:
        raise CannotOpen("an X25519 secret key has 32 bytes") from error
