"""The keys of a day: one for each part of a detail, wrapped for a reader as far as it may read (paper II-B).

A detail has two parts, the load profile and the appliance channels, sealed under keys of their own that
follow from the meter's period secret. A reader gets, in one HPKE box, the keys of the parts it may read and
the hashes of the others. From these the reader computes the commitment that the claims on the ledger made to
the day's keys, so nobody can give two readers keys under which one ciphertext opens to two things (AES-GCM
alone would allow it), and a reader of one part learns nothing of the other.

A day begins with its first key period. Where somebody may read no more, or less than before, the meter begins
the day's next one with a fresh secret: who has the former keys opens nothing that comes after.

Left out: wrapping, which draws entropy (`runtime.entropy`), and who may read (`contracts.consent`).
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from enum import IntEnum
from hashlib import sha256

from msgspec import Struct

from gridmonitoring.encoding.bounds import Bytes16, Bytes32, Unsigned
from gridmonitoring.encoding.cbor import decode, encode
from gridmonitoring.encoding.hashes import sha256d
from gridmonitoring.errors import CannotOpen
from gridmonitoring.keys.sealed_boxes import Purpose, SuiteNumber, box_info, open_box


class Part(IntEnum):
    """The parts of a detail; the number is its place in the detail, and a bit of `DetailKeys.parts`."""

    LOAD = 0
    """Load profile and registers of the interval."""
    APPLIANCES = 1
    """Appliance channels."""


class DetailKeys(Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="detail-keys/1"):
    """What one reader has of a day's keys; secret."""

    parts: Unsigned
    """Bit n is set where the entry of part n is its key; else it is the key's hash."""
    entries: tuple[Bytes32, Bytes32]
    """Key or hash of each part."""

    def key(self, part: Part) -> bytes:
        """Return the key of a part; raises `CannotOpen` where this reader has none."""
        if not self.parts >> part & 1:
            raise CannotOpen(f"this reader has no key of the part {part.name.lower()}")
        return self.entries[part]

    def commitment(self, mid: bytes, epoch: int, period: int) -> bytes:
        """Return the commitment to these keys, which every reader of the period computes alike."""
        return _commitment(tuple(self._hash(part) for part in Part), mid, epoch, period)

    def narrowed(self, parts: int) -> DetailKeys:
        """Return as much of these keys as another reader may have."""
        kept = parts & self.parts
        first, second = (self.entries[part] if kept >> part & 1 else self._hash(part) for part in Part)
        return DetailKeys(kept, (first, second))

    def _hash(self, part: Part) -> bytes:
        return key_hash(self.entries[part]) if self.parts >> part & 1 else self.entries[part]


OfDay = Mapping[bytes, DetailKeys]
"""Commitment -> keys, of one day."""
ALL_PARTS = 0b11
"""Every part, as in `DetailKeys.parts`."""


PERIODS_PER_DAY = 1000
"""Most key periods of a day; what is left of a day after so many revocations is under the last one's keys."""


def first_period(day: int) -> int:
    """Return the number of the first key period of a day, since 1970."""
    return day * PERIODS_PER_DAY


def day_of(period: int) -> int:
    """Return the day, since 1970, that a key period is of."""
    return period // PERIODS_PER_DAY


def next_period(period: int) -> int:
    """Return the number of the key period that follows on the same day, or the day's last one."""
    return period + 1 if day_of(period + 1) == day_of(period) else period


class KeyPlace(Struct, frozen=True):
    """Whose keys these are, and of which key period."""

    chain_id: bytes
    """The chain."""
    mid: Bytes16
    """Meter ID."""
    epoch: int
    """Meter epoch."""
    period: int
    """Number of the key period: `PERIODS_PER_DAY` times the days since 1970 UTC, and its place in the day."""

    def info(self, reader: bytes) -> bytes:
        """Return HPKE's info for the period's keys, wrapped to a reader's HPKE key."""
        return box_info(Purpose.PERIOD_KEY, self.chain_id, self.mid, self.epoch, self.period, reader)


def keys_of(secret: bytes) -> DetailKeys:
    """Return all keys of a period from the meter's secret of 32 random bytes."""
    load, appliances = (
        hmac.digest(secret, b"gridmon/detail-part/1" + bytes((part,)), "sha256") for part in Part
    )
    return DetailKeys(ALL_PARTS, (load, appliances))


def key_hash(key: bytes) -> bytes:
    """Return what stands for a part's key in the commitment."""
    return sha256(b"gridmon/detail-key/1" + key).digest()


def open_keys(place: KeyPlace, secret_key: bytes, reader: bytes, box: bytes) -> DetailKeys:
    """Open a box of a day's keys with the reader's HPKE pair; raises `CannotOpen` or an `EncodingError`."""
    return decode(open_box(SuiteNumber.X25519, secret_key, place.info(reader), box), DetailKeys)


def committed(keys: Mapping[tuple[int, int], DetailKeys], mid: bytes, epoch: int, day: int) -> OfDay:
    """Return the keys of a day by their commitments; `keys` are by (meter epoch, key period)."""
    return {
        own.commitment(mid, epoch, period): own
        for (of, period), own in keys.items()
        if (of, day_of(period)) == (epoch, day)
    }


def _commitment(hashes: tuple[bytes, ...], mid: bytes, epoch: int, period: int) -> bytes:
    return sha256d(encode(["gridmon/period-key/2", *hashes, mid, epoch, period]))
