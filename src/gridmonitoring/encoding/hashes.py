"""The two hash functions of the ledger (paper V-B; RFC 9162 for the log)."""

from __future__ import annotations

from hashlib import sha256 as _sha256


def sha256(data: bytes) -> bytes:
    """Return SHA-256, 32 bytes: the transaction log and the state tree."""
    return _sha256(data).digest()


def sha256d(data: bytes) -> bytes:
    """Return sha256(sha256(data)), 32 bytes: IDs, headers and trees in blocks (paper V-B)."""
    return _sha256(_sha256(data).digest()).digest()
