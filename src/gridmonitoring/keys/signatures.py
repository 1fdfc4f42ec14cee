"""COSE_Sign1 with EdDSA (RFC 9052, RFC 9053): every signature of the ledger (paper II-B).

Untagged, protected header {1: -8}, empty unprotected header, `external_aad` = the encoding of
[domain tag, chain ID], so that a signature made for one purpose or chain is worth nothing on
another. The frame around the payload is fixed, so it is read and written byte by byte; that
makes it canonical by construction. Ed25519 is libsodium's through PyNaCl everywhere: it refuses
small-order keys and non-canonical encodings, and validators must agree.

Left out: other algorithms, counter signatures, detached headers. Key generation draws entropy
and lives in `runtime.entropy`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NewType

import nacl.bindings
import nacl.exceptions

from gridmonitoring.encoding.cbor import encode
from gridmonitoring.errors import BadPublicKey, BadSignature, Malformed

PublicKey = NewType("PublicKey", bytes)
"""Ed25519 public key, 32 bytes."""
SecretSeed = NewType("SecretSeed", bytes)
"""Ed25519 seed (RFC 8032 private key), 32 bytes."""

CheckSignature = Callable[[bytes, bytes, bytes], None]
"""(public key, signed bytes, signature) -> None, or raises `BadSignature`."""

_PROTECTED = bytes.fromhex("a10127")  # {1: -8}: alg = EdDSA
_FRAME = b"\x84\x43" + _PROTECTED + b"\xa0"
_FRAME_LENGTH = len(_FRAME)
_TO_BE_SIGNED = b"\x84\x6aSignature1\x43" + _PROTECTED
_SIGNATURE_HEAD = b"\x58\x40"
_SHORT_START = _FRAME_LENGTH + 2
"""Where a payload of 24 to 255 bytes begins."""
_SHORT_FRAME = _SHORT_START + 66
"""Bytes around such a payload."""
_HEAD_LENGTHS = {0x58: 2, 0x59: 3, 0x5A: 5}  # of byte strings of 24, 256, 65,536 bytes and more


def verify_signature(public_key: bytes, message: bytes, signature: bytes) -> None:
    """Check a raw Ed25519 signature (RFC 8032) over `message`; raises `BadSignature`."""
    if len(public_key) != 32 or len(signature) != 64:
        raise BadSignature("a key of 32 and a signature of 64 bytes are needed")
    try:
        nacl.bindings.crypto_sign_open(signature + message, public_key)
    except nacl.exceptions.BadSignatureError as error:
        raise BadSignature("the signature does not verify under this key") from error


def sign_raw(seed: SecretSeed, message: bytes) -> bytes:
    """Return the 64-byte Ed25519 signature over `message`; deterministic (RFC 8032)."""
    return nacl.bindings.crypto_sign(message, _secret_key(seed))[:64]


def public_key_of(seed: SecretSeed) -> PublicKey:
    """Return the public key of a seed."""
    return PublicKey(_secret_key(seed)[32:])


def check_public_key(public_key: bytes) -> PublicKey:
    """Return a key that may be registered: on the curve, canonical, of the main subgroup.

    Raises `BadPublicKey`.
    """
    if len(public_key) != 32 or not nacl.bindings.crypto_core_ed25519_is_valid_point(public_key):
        raise BadPublicKey("not a valid Ed25519 public key of 32 bytes")
    return PublicKey(public_key)


def signing_context(domain: str, chain_id: bytes) -> bytes:
    """Return `external_aad`: the encoding of [domain tag, chain ID]."""
    return _context(domain, bytes(chain_id))


def to_be_signed(context: bytes, payload: bytes) -> bytes:
    """Return the COSE Sig_structure (RFC 9052 4.4) of a payload under a context."""
    return _TO_BE_SIGNED + _byte_string(context) + _byte_string(payload)


def sign(seed: SecretSeed, context: bytes, payload: bytes) -> bytes:
    """Return the COSE_Sign1 of a payload under a context (see `signing_context`)."""
    return assemble(payload, sign_raw(seed, to_be_signed(context, payload)))


def assemble(payload: bytes, signature: bytes) -> bytes:
    """Return the COSE_Sign1 that carries this payload and signature."""
    return _FRAME + _byte_string(payload) + _SIGNATURE_HEAD + signature


def split(message: bytes) -> tuple[bytes, bytes]:
    """Return payload and signature of a COSE_Sign1; raises `Malformed` on any other byte.

    Nothing is verified.
    """
    size = len(message) - _SHORT_FRAME
    is_short = 24 <= size < 256 and message[:_SHORT_START] == _FRAME + bytes((0x58, size))
    if is_short and message[-66:-64] == _SIGNATURE_HEAD:  # as most are
        return message[_SHORT_START:-66], message[-64:]
    if message[:_FRAME_LENGTH] != _FRAME or len(message) < _FRAME_LENGTH + 67:
        raise Malformed("not a COSE_Sign1 with EdDSA and an empty unprotected header")
    payload = message[_payload_start(message) : -66]
    if assemble(payload, message[-64:]) != message:
        raise Malformed("the COSE_Sign1 has a wrong length or surplus bytes")
    return payload, message[-64:]


def open_signed(message: bytes, public_key: bytes, context: bytes, check: CheckSignature) -> bytes:
    """Return the payload of a COSE_Sign1 after checking its signature.

    Raises `Malformed` or `BadSignature`.
    """
    payload, signature = split(message)
    check(public_key, to_be_signed(context, payload), signature)
    return payload


def sign_document(seeds: Sequence[SecretSeed], context: bytes, payload: bytes) -> list[bytes]:
    """Return a document of several parties: COSE_Sign1s over one payload, sorted by key."""
    by_key = sorted((public_key_of(seed), seed) for seed in seeds)
    return [sign(seed, context, payload) for _, seed in by_key]


def open_document(
    messages: Sequence[bytes], keys: Sequence[bytes], context: bytes, check: CheckSignature
) -> bytes:
    """Return the one payload that each key in `keys` (sorted, distinct) signed, in that order.

    Raises `Malformed` where counts, order or payloads differ, else `BadSignature`.
    """
    if not keys or len(messages) != len(keys) or sorted(set(keys)) != list(keys):
        raise Malformed("a document needs one signature for each of its keys, sorted by key")
    payloads = {
        open_signed(message, key, context, check) for message, key in zip(messages, keys, strict=True)
    }
    if len(payloads) != 1:
        raise Malformed("the parties signed different documents")
    return payloads.pop()


def _payload_start(message: bytes) -> int:
    head = message[_FRAME_LENGTH]
    return _FRAME_LENGTH + _HEAD_LENGTHS.get(head, 1)


def _byte_string(data: bytes) -> bytes:
    length = len(data)
    if length < 24:
        return bytes((0x40 + length,)) + data
    if length < 256:
        return bytes((0x58, length)) + data
    if length < 65536:
        return b"\x59" + length.to_bytes(2, "big") + data
    return encode(data)


@lru_cache(maxsize=256)
def _context(domain: str, chain_id: bytes) -> bytes:
    return encode([domain, chain_id])


@lru_cache(maxsize=4096)
def _secret_key(seed: bytes) -> bytes:
    if len(seed) != 32:
        raise BadPublicKey("an Ed25519 seed has 32 bytes")
    return nacl.bindings.crypto_sign_seed_keypair(bytes(seed))[1]
