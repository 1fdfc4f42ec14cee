"""Identifiers, hashes and bounded quantities of the ledger.

Energy is integer watt-hours, power integer watts, time integer milliseconds since 1970 UTC,
money integer millionths of the currency's minor unit. All are 0 .. 2^63-1 unless named signed.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, NewType

from msgspec import Meta

MAX_INT = 2**63 - 1
"""Largest integer of the ledger."""

Unsigned = Annotated[int, Meta(ge=0, le=MAX_INT)]
"""A count or number, 0 .. 2^63-1."""
Signed = Annotated[int, Meta(ge=-MAX_INT, le=MAX_INT)]
"""A difference, -(2^63-1) .. 2^63-1."""
Millis = Annotated[int, Meta(ge=0, le=MAX_INT)]
"""Milliseconds since 1970-01-01T00:00:00Z, leap seconds not counted."""
WattHours = Annotated[int, Meta(ge=0, le=MAX_INT)]
"""Energy in Wh."""
Watts = Annotated[int, Meta(ge=0, le=MAX_INT)]
"""Power in W."""
Money = Annotated[int, Meta(ge=0, le=MAX_INT)]
"""Money in millionths of the minor unit (1 EUR = 100 cents = 100,000,000)."""
SignedMoney = Annotated[int, Meta(ge=-MAX_INT, le=MAX_INT)]
"""Money that may be owed, millionths of the minor unit."""

Bytes4 = Annotated[bytes, Meta(min_length=4, max_length=4)]
Bytes6 = Annotated[bytes, Meta(min_length=6, max_length=6)]
Bytes16 = Annotated[bytes, Meta(min_length=16, max_length=16)]
Bytes32 = Annotated[bytes, Meta(min_length=32, max_length=32)]
Bytes64 = Annotated[bytes, Meta(min_length=64, max_length=64)]
Bytes88 = Annotated[bytes, Meta(min_length=88, max_length=88)]
Document = Annotated[bytes, Meta(max_length=12 * 1024)]
"""An encoded structure carried inside another, decoded where its type is known."""
Name = Annotated[str, Meta(min_length=1, max_length=64)]
"""A short human-readable name, NFC."""
Currency = Annotated[str, Meta(min_length=3, max_length=3, pattern="^[A-Z]{3}$")]
"""ISO 4217 alphabetic code."""

PartyId = NewType("PartyId", bytes)
"""16 bytes that name a consumer, vendor, utility, node or other party."""
MeterId = NewType("MeterId", bytes)
"""MID, 16 bytes: the account at a supply point, not the device (paper IV-A)."""
ChainId = NewType("ChainId", bytes)
"""32 bytes: sha256d of the genesis document."""
TransactionId = NewType("TransactionId", bytes)
"""32 bytes: sha256d of a transaction's signed payload."""
ObisCode = NewType("ObisCode", bytes)
"""Six bytes A-B:C.D.E*F of a COSEM logical name (IEC 62056-61), as 01 00 01 08 00 ff for 1-0:1.8.0*255."""


class Role(IntEnum):
    """Who a signer is; closed. The value is part of the encoding."""

    REGISTRAR = 1
    AUTHENTICATOR = 2
    UTILITY = 3
    VENDOR = 4
    ENERGY_CENTER = 5
    OPERATOR = 6
    AUDITOR = 7
    CUSTODIAN = 8
    NODE = 9
    CONSUMER = 10
    METER = 11
    RESEARCHER = 12


def obis(text: str) -> ObisCode:
    """Return the six bytes of a reduced OBIS code of electricity, as `1.8.0` (A-B = 1-0, F = 255)."""
    c, d, e = (int(part) for part in text.split("."))
    return ObisCode(bytes((1, 0, c, d, e, 255)))


def obis_text(code: bytes) -> str:
    """Return `C.D.E` of an electricity OBIS code of six bytes."""
    return f"{code[2]}.{code[3]}.{code[4]}"


IMPORT_TOTAL = obis("1.8.0")
"""Active energy import, total, Wh."""
EXPORT_TOTAL = obis("2.8.0")
"""Active energy export, total, Wh."""


def import_rate(rate: int) -> ObisCode:
    """Return 1.8.x, the active energy import register of tariff rate x (1 .. 63)."""
    return ObisCode(bytes((1, 0, 1, 8, rate, 255)))
