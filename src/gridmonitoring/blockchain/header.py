"""The header of parent and side blocks, 88 bytes, big-endian (paper V-B and V-C; docs/spec/blocks.md).

| data version 4 | previous block hash 32 | Merkle root 32 | timestamp 8 | target 4 | nonce 8 |

The block hash is sha256(sha256(header)), read as a big-endian number, and is below the target. The
target is in Bitcoin's compact form (nBits): an exponent byte and three bytes of mantissa, the number
being mantissa * 256^(exponent - 3). The nonce is the lowest that is valid, so a header has one form.

Left out: whose target it is. It is the chain's parameter, and the blocks compare it before they
call `check_header`: a target that is hard to meet makes the search for a lower nonce long.
"""

from __future__ import annotations

import struct
from hashlib import sha256

from msgspec import Struct

from gridmonitoring.encoding.bounds import MAX_INT, Bytes4, Bytes32, Millis, Unsigned
from gridmonitoring.encoding.hashes import sha256d
from gridmonitoring.errors import BlockError

HEADER_SIZE = 88
"""Bytes of a header."""

_LAYOUT = struct.Struct(">4s32s32sQ4sQ")
_NONCE_SIZE = 8


class Header(Struct, array_like=True, frozen=True, forbid_unknown_fields=True, gc=False):
    """A block header."""

    version: Bytes4
    """Data version: rules of validation (2 bytes), kind of data or kinds of report (2 bytes)."""
    previous: Bytes32
    """Hash of the previous block of the thread, or of the parent's previous side block."""
    merkle_root: Bytes32
    """Root over what the block commits to, under sha256d."""
    timestamp: Millis
    """When the block was created, ms since 1970."""
    target: Bytes4
    """What the block hash is below, compact form."""
    nonce: Unsigned
    """The lowest number that makes the block hash valid."""


def encode_header(header: Header) -> bytes:
    """Return the 88 bytes of a header; raises `BlockError` where a field is out of its bounds."""
    lengths = [len(header.version), len(header.previous), len(header.merkle_root), len(header.target)]
    if lengths != [4, 32, 32, 4]:
        raise BlockError(f"version, previous hash, root and target of a header have {lengths} bytes")
    if not (0 <= header.timestamp <= MAX_INT and 0 <= header.nonce <= MAX_INT):
        raise BlockError("timestamp and nonce of a header are 0 to 2^63 - 1")
    expand_target(header.target)
    return _LAYOUT.pack(
        header.version, header.previous, header.merkle_root, header.timestamp, header.target, header.nonce
    )


def decode_header(data: bytes) -> Header:
    """Return the header of 88 bytes; raises `BlockError`."""
    if len(data) != HEADER_SIZE:
        raise BlockError(f"a header of {len(data)} bytes, not {HEADER_SIZE}")
    header = Header(*_LAYOUT.unpack(data))
    if header.timestamp > MAX_INT or header.nonce > MAX_INT:
        raise BlockError("timestamp and nonce of a header are 0 to 2^63 - 1")
    expand_target(header.target)
    return header


def block_hash(header: bytes) -> bytes:
    """Return sha256d of an encoded header, 32 bytes: the hash and ID by which blocks name each other."""
    return sha256d(header)


def expand_target(compact: bytes) -> int:
    """Return the number that four bytes of compact form stand for, 1 to 2^256 - 1.

    Raises `BlockError` where it is negative, zero or over, or has a shorter compact form.
    """
    if len(compact) != 4:
        raise BlockError(f"a compact target of {len(compact)} bytes, not 4")
    exponent, mantissa = compact[0], int.from_bytes(compact[1:], "big")
    if mantissa & 0x800000:
        raise BlockError(f"target {compact.hex()} is negative")
    value = mantissa << 8 * (exponent - 3) if exponent > 3 else mantissa >> 8 * (3 - exponent)
    if not 0 < value < 1 << 256:
        raise BlockError(f"target {compact.hex()} is zero or over 2^256 - 1")
    if compact_target(value) != compact:
        raise BlockError(f"target {compact.hex()} is not the shortest form of its number")
    return value


def compact_target(value: int) -> bytes:
    """Return the compact form of a positive number, cut off to the digits that it holds."""
    exponent = (value.bit_length() + 7) // 8
    mantissa = value >> 8 * (exponent - 3) if exponent > 3 else value << 8 * (3 - exponent)
    if mantissa & 0x800000:  # the mantissa's first bit is its sign
        mantissa >>= 8
        exponent += 1
    return bytes([exponent]) + mantissa.to_bytes(3, "big")


def target_of_bits(leading_zero_bits: int) -> bytes:
    """Return the easiest compact target whose hashes start with this many zero bits (0 to 255).

    Raises `BlockError` for another number.
    """
    if not 0 <= leading_zero_bits <= 255:
        raise BlockError(f"a target of {leading_zero_bits} zero bits; 0 to 255 are possible")
    return compact_target((1 << 256 - leading_zero_bits) - 1)


def find_nonce(header: Header) -> int:
    """Return the lowest nonce that makes the header valid, whatever nonce it has.

    Takes about 2^z hashes where z is the target's number of leading zero bits. Raises `BlockError`
    where a field is out of its bounds or no nonce is valid.
    """
    nonce = _first_nonce(header, MAX_INT + 1)
    if nonce is None:
        raise BlockError("no nonce makes the header valid")
    return nonce


def check_header(header: Header) -> None:
    """Check that the block hash is below the header's target and that no lower nonce is valid.

    Raises `BlockError`. The target must have been compared with the chain's before.
    """
    if int.from_bytes(block_hash(encode_header(header)), "big") >= expand_target(header.target):
        raise BlockError("the block hash is not below the target")
    lower = _first_nonce(header, header.nonce)
    if lower is not None:
        raise BlockError(f"nonce {header.nonce} is not the lowest that is valid, {lower} is")


def _first_nonce(header: Header, end: int) -> int | None:
    """Return the lowest valid nonce below `end`, or None."""
    limit = expand_target(header.target).to_bytes(32, "big")
    # What precedes the nonce is hashed once; equally long big-endian bytes order as numbers do.
    prefix = sha256(encode_header(header)[:-_NONCE_SIZE])
    for nonce in range(end):
        inner = prefix.copy()
        inner.update(nonce.to_bytes(_NONCE_SIZE, "big"))
        if sha256(inner.digest()).digest() < limit:
            return nonce
    return None
