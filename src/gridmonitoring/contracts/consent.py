"""Consent: who may read what of a household, and what a request comes to (paper II-A, II-B, IV-C).

The owner reads the own data at any time. Anybody else relies on a grant of the owner, with what may be read,
of which days, for which purpose and until when; the utility's custodian on the agreement. A request within
its bounds is allowed; one beyond them gets a verdict that says why, and breaches the agreed use of data.

The same terms tell the meter for whom to wrap the keys of a day (`Reader`).

Left out: what is read (`processing.access` keeps the requests, `runtime` answers them).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntEnum, IntFlag
from typing import Annotated

from msgspec import Meta, Struct

from gridmonitoring.blockchain.bodies import Period, Short
from gridmonitoring.blockchain.state_rows import GrantRow, ReadRow
from gridmonitoring.encoding.bounds import Bytes32, Role
from gridmonitoring.encoding.cbor import decode, encode
from gridmonitoring.keys.detail_keys import Part

DAY_MS = 86_400_000
"""Length of a period, ms."""
MAX_IN_FORCE = 32
"""Most grants of a meter in force at a time."""


class Data(IntFlag):
    """What can be read of a household; bits, part of the encoding."""

    SETTLEMENTS = 1
    """Registers and credit of settlements, from the ledger."""
    PROFILE = 2
    """The load profile, with the registers of every interval, from the details."""
    APPLIANCES = 4
    """The appliance channels, from the details."""


ALL_DATA = Data.SETTLEMENTS | Data.PROFILE | Data.APPLIANCES
IN_DETAILS = Data.PROFILE | Data.APPLIANCES
"""Data for which a reader needs the keys of the days."""


class Verdict(IntEnum):
    """What a request for data comes to; closed, part of the encoding."""

    ALLOWED = 1
    """Within the grant, or the owner's own."""
    NOT_GRANTED = 2
    """There is no such grant to who asks; for the custodian: the agreement lets it read nothing."""
    ENDED = 3
    """The grant was revoked, or has expired."""
    OTHER_DATA = 4
    """More kinds of data than were granted."""
    OTHER_DAYS = 5
    """Days that were not granted."""
    OTHER_PURPOSE = 6
    """For another purpose than was granted."""


class Reader(Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """For whom a meter wraps the keys of which days."""

    hpke_key: Bytes32
    """X25519 public key of the reader."""
    data: Short
    """What it may read of details, `Data` bits."""
    first: Period
    """First day."""
    last: Period
    """Last day."""


class _Readers(Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="readers/1"):
    """Everybody a meter wraps keys for, besides owner and custodian."""

    readers: Annotated[tuple[Reader, ...], Meta(max_length=MAX_IN_FORCE)]
    """In the order of their grants."""


def encode_readers(readers: Iterable[Reader]) -> bytes:
    """Return the document of a GRANTS command."""
    return encode(_Readers(tuple(readers)))


def decode_readers(document: bytes) -> tuple[Reader, ...]:
    """Read the document of a GRANTS command; an empty one has no readers. Raises an `EncodingError`."""
    return decode(document, _Readers).readers if document else ()


def known_data(data: int) -> bool:
    """Tell whether bits name some data, and nothing else."""
    return 0 < data <= ALL_DATA


def judge(read: ReadRow, grant: GrantRow | None, owner: bytes, custodian: bool, time: int) -> Verdict:
    """Return what a request comes to at a time.

    `grant` is the one that it names, `owner` the consumer whose data it is, `custodian` whether the agreement
    lets the custodian read.
    """
    if read.role == Role.CONSUMER and read.reader == owner:
        return Verdict.ALLOWED
    if not read.grant and read.role == Role.CUSTODIAN:
        return Verdict.ALLOWED if custodian else Verdict.NOT_GRANTED
    if grant is None or (grant.role, grant.reader) != (read.role, read.reader):
        return Verdict.NOT_GRANTED
    if grant.revoked or time > grant.expires:
        return Verdict.ENDED
    if read.data & ~grant.data:
        return Verdict.OTHER_DATA
    if read.first < grant.first or read.last > grant.last:
        return Verdict.OTHER_DAYS
    if read.purpose != grant.purpose:
        return Verdict.OTHER_PURPOSE
    return Verdict.ALLOWED


def reader_of(grant: GrantRow, hpke_key: bytes) -> Reader | None:
    """Return for which days a grant lets its reader have keys, or None where it is about settlements only."""
    data = grant.data & IN_DETAILS
    last = min(grant.last, grant.expires // DAY_MS)
    return Reader(hpke_key, data, grant.first, last) if data and grant.first <= last else None


def detail_parts(data: int) -> int:
    """Return the parts of a detail that `Data` bits stand for, as `keys.detail_keys.DetailKeys` has them."""
    return (data & Data.PROFILE and 1 << Part.LOAD) | (data & Data.APPLIANCES and 1 << Part.APPLIANCES)


def let_in(readers: Iterable[Reader], period: int) -> Mapping[bytes, int]:
    """Return HPKE key -> `Data` bits of everybody who may read the details of a day."""
    found: dict[bytes, int] = {}
    for reader in readers:
        if reader.first <= period <= reader.last:
            found[reader.hpke_key] = found.get(reader.hpke_key, 0) | reader.data
    return found
