"""The only place that draws entropy: keys, identifiers, salts and HPKE sealing (paper II-B).

HPKE sealing draws its ephemeral key inside the library, so it stands here; opening is pure.
"""

from __future__ import annotations

import secrets

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import Struct

from gridmonitoring.errors import BadPublicKey
from gridmonitoring.keys.sealed_boxes import SuiteNumber, hpke_public_key, hpke_suite
from gridmonitoring.keys.signatures import PublicKey, SecretSeed, public_key_of


class KeyPair(Struct, frozen=True):
    """A party's secrets: they never leave its device or key file."""

    seed: SecretSeed
    """Ed25519 seed, 32 bytes."""
    hpke_secret: bytes
    """X25519 secret key, 32 bytes."""

    @property
    def sign_key(self) -> PublicKey:
        """Ed25519 public key."""
        return public_key_of(self.seed)

    @property
    def hpke_key(self) -> bytes:
        """X25519 public key."""
        return hpke_public_key(self.hpke_secret)

    def __repr__(self) -> str:
        return f"KeyPair({self.sign_key.hex()[:16]})"


def new_keys() -> KeyPair:
    """Return a fresh pair of signing and HPKE keys."""
    return KeyPair(SecretSeed(secrets.token_bytes(32)), X25519PrivateKey.generate().private_bytes_raw())


def random_bytes(count: int) -> bytes:
    """Return random bytes: identifiers, salts, symmetric keys, one-time codes."""
    return secrets.token_bytes(count)


def seal_box(public_key: bytes, info: bytes, plaintext: bytes, suite: int = SuiteNumber.X25519) -> bytes:
    """Seal to an X25519 public key by HPKE base mode, single shot; raises `BadPublicKey`."""
    try:
        key = X25519PublicKey.from_public_bytes(public_key)
        return hpke_suite(suite).encrypt(plaintext, key, info)
    except ValueError as error:
        raise BadPublicKey(f"cannot seal to this key: {error}") from error


def seal_aead(key: bytes, nonce: bytes, plaintext: bytes, associated: bytes) -> bytes:
    """Seal by AES-256-GCM under a nonce that the caller never uses twice with this key."""
    return AESGCM(key).encrypt(nonce, plaintext, associated)
