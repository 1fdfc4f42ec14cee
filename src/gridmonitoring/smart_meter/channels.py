"""Appliance channels and the load profile: the detail of a report (paper IV-B; sub-metered by appliance).

The claim goes to the ledger; what a household does minute by minute is here, and only its hash is in the
claim. It has two parts, each sealed by the caller under its own key of the day (AES-256-GCM, nonce of meter
epoch and sequence), so that the owner can let somebody read the one without the other. Watt-hours of
the channels and watts of the profile come from different counters, so they need not add up to the Wh.

Left out: sealing, which is `runtime`'s, and what appliance hides in a channel.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from enum import IntEnum
from typing import Annotated

from msgspec import Meta, Struct

from gridmonitoring.blockchain.bodies import Registers as RegisterList
from gridmonitoring.blockchain.evidence_bundle import Salt
from gridmonitoring.encoding.bounds import Millis, WattHours, Watts
from gridmonitoring.encoding.cbor import TRANSACTION_LIMIT, convert, decode, encode, loads
from gridmonitoring.keys.detail_keys import DetailKeys, Part
from gridmonitoring.keys.sealed_boxes import open_aead, report_nonce
from gridmonitoring.smart_meter.registers import WATT_MINUTES

MAX_MINUTES = 2880
"""Most minutes of a detail; of a longer silence the last ones are kept."""


class Channel(IntEnum):
    """Appliance channels; the number is part of the encoding."""

    KITCHEN = 1
    """Dishwasher, oven, microwave."""
    LAUNDRY = 2
    """Washing machine, dryer, refrigerator, light."""
    CLIMATE = 3
    """Water heater and air conditioning."""
    REST = 4
    """What is not sub-metered."""


Profile = Annotated[tuple[Watts, ...], Meta(max_length=MAX_MINUTES)]
"""Mean power of each minute, W, oldest first."""


class LoadProfile(Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="load-profile/1"):
    """The part of a detail that says how much power was drawn, minute by minute."""

    salt: Salt
    """Opens the hash in an interval claim, with the registers."""
    registers: RegisterList
    """(OBIS code, Wh) in order of code, at the time of the claim."""
    interval: Millis
    """Length of the profile, ms."""
    profile: Profile
    """Load profile of the interval."""


class Appliances(Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="appliances/1"):
    """The part of a detail that says which appliances drew it."""

    interval: Millis
    """Length of the interval, ms."""
    channels: Annotated[tuple[tuple[Channel, WattHours], ...], Meta(max_length=len(Channel))]
    """(channel, Wh in the interval) in order of channel."""


class Detail(Struct, frozen=True):
    """What a report shows to whom the owner lets read all of it."""

    load: LoadProfile
    """Registers and load profile."""
    appliances: Appliances
    """Appliance channels."""

    @property
    def parts(self) -> tuple[LoadProfile, Appliances]:
        """The parts in the order of `keys.detail_keys.Part`."""
        return self.load, self.appliances


class ChannelState(Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Channels and profile since the last report, to be kept through a power cut."""

    energy: tuple[WattHours, WattHours, WattHours, WattHours] = (0, 0, 0, 0)
    """Of each channel since the last report, and what was left over of the Wh before, watt-minutes."""
    profile: Profile = ()
    """Load profile since the last report."""


class Channels:
    """What is gathered from report to report."""

    __slots__ = ("_climate", "_kitchen", "_laundry", "_profile", "_rest")

    def __init__(self, state: ChannelState) -> None:
        self._kitchen, self._laundry, self._climate, self._rest = state.energy
        self._profile = deque(state.profile, MAX_MINUTES)

    def state(self) -> ChannelState:
        """Return what was gathered so far."""
        energy = (self._kitchen, self._laundry, self._climate, self._rest)
        return ChannelState(energy, tuple(self._profile))

    def minute(self, watts: int, kitchen: int, laundry: int, climate: int, rest: int) -> None:
        """Add a minute: mean power in W, and the channels' energy in watt-minutes."""
        self._profile.append(watts)
        self._kitchen += kitchen
        self._laundry += laundry
        self._climate += climate
        self._rest += rest

    def waiting(self) -> tuple[int, int, int, int]:
        """Return each channel's whole Wh since the last report."""
        watt_minutes = self._kitchen, self._laundry, self._climate, self._rest
        kitchen, laundry, climate, rest = (energy // WATT_MINUTES for energy in watt_minutes)
        return kitchen, laundry, climate, rest

    def take(self) -> tuple[tuple[tuple[Channel, int], ...], tuple[int, ...]]:
        """Return (channel, Wh) and profile since the last report; what is left over of a Wh stays."""
        kitchen, self._kitchen = divmod(self._kitchen, WATT_MINUTES)
        laundry, self._laundry = divmod(self._laundry, WATT_MINUTES)
        climate, self._climate = divmod(self._climate, WATT_MINUTES)
        rest, self._rest = divmod(self._rest, WATT_MINUTES)
        profile = tuple(self._profile)
        self._profile.clear()
        energy = (
            (Channel.KITCHEN, kitchen),
            (Channel.LAUNDRY, laundry),
            (Channel.CLIMATE, climate),
            (Channel.REST, rest),
        )
        return energy, profile


def detail_context(chain_id: bytes, mid: bytes, part: Part) -> bytes:
    """Return the associated data that a sealed part of a detail is bound to."""
    return b"gridmon/detail/2" + chain_id + mid + bytes((part,))


def join_parts(sealed: Sequence[bytes]) -> bytes:
    """Return the ciphertext of a detail from its sealed parts, in order."""
    return encode(list(sealed))


def open_part(
    ciphertext: bytes, keys: DetailKeys, part: Part, chain_id: bytes, mid: bytes, nonce: bytes
) -> LoadProfile | Appliances:
    """Open one part of a detail, as far as a reader has the key; `nonce` is `report_nonce` of the claim.

    Raises `CannotOpen` or an `EncodingError`.
    """
    sealed = convert(loads(ciphertext, TRANSACTION_LIMIT), tuple[bytes, bytes])[part]
    plain = open_aead(keys.key(part), nonce, sealed, detail_context(chain_id, mid, part))
    return decode(plain, LoadProfile) if part is Part.LOAD else decode(plain, Appliances)


def open_detail(
    ciphertext: bytes, keys: DetailKeys, chain_id: bytes, mid: bytes, epoch: int, sequence: int
) -> Detail:
    """Open the whole detail of one report; raises `CannotOpen` or an `EncodingError`."""
    nonce = report_nonce(epoch, sequence)
    load = open_part(ciphertext, keys, Part.LOAD, chain_id, mid, nonce)
    appliances = open_part(ciphertext, keys, Part.APPLIANCES, chain_id, mid, nonce)
    assert isinstance(load, LoadProfile)
    assert isinstance(appliances, Appliances)
    return Detail(load, appliances)
