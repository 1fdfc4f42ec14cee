"""Keys that a meter makes for each period, and sealing reports under them (paper II-B, V-A).

A period begins with a UTC day, and within the day as soon as the meter hears that somebody may read no
more. The channel key is HPKE-wrapped to the network's contract key, the keys of the period's details to
those who may read the household: the consumer, the custodian where the agreement says so, whom the consumer
let in. What is reported once the meter has heard of a revocation, no key of the revoked reader opens.

Where the network's contract key changes, the period goes on under another channel, and what was not sent
yet is sealed again under it: the same claim and detail under a key that never sealed anything, so no nonce
meets the same key twice.

Left out: who may read (`contracts.consent`).
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256

from msgspec import Struct
from msgspec.structs import replace

from gridmonitoring.blockchain.bodies import Kind
from gridmonitoring.blockchain.readings import SALT_SIZE
from gridmonitoring.blockchain.transactions import sign_transaction
from gridmonitoring.encoding.bounds import Bytes16, Bytes32, Role, Unsigned
from gridmonitoring.encoding.cbor import encode
from gridmonitoring.keys.channels import (
    Channel,
    ChannelOffer,
    SealedReport,
    channel_id,
    channel_info,
    open_sealed,
    read_sealed,
    seal_context,
)
from gridmonitoring.keys.detail_keys import DetailKeys, KeyPlace, Part, keys_of
from gridmonitoring.keys.sealed_boxes import SuiteNumber, report_nonce
from gridmonitoring.keys.signatures import SecretSeed
from gridmonitoring.runtime.entropy import random_bytes, seal_aead, seal_box
from gridmonitoring.runtime.storage.details import WrappedKey
from gridmonitoring.runtime.storage.outbox import Wire
from gridmonitoring.smart_meter.channels import detail_context, join_parts
from gridmonitoring.smart_meter.claims import Draft, make_claim, make_detail
from gridmonitoring.smart_meter.memory import Identity

DAY_MS = 86_400_000
"""Length of a period, ms."""


class PeriodKeys(Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="period-keys/2"):
    """The keys of one period; secret, they never leave the meter but wrapped."""

    period: Unsigned
    """Its number, as `keys.detail_keys.KeyPlace` has it."""
    channel: Bytes16
    """Channel ID."""
    channel_key: Bytes32
    """AES-256 key of sealed reports."""
    period_key: Bytes32
    """Secret from which the keys of details follow."""
    commitment: Bytes32
    """What each claim says of the period's keys."""
    contract_key: Bytes32
    """The contract key that the channel key was wrapped to."""
    readers: tuple[tuple[Bytes32, Unsigned], ...]
    """(HPKE key, parts) of everybody who may have the keys: by the meter, or let in since, by the owner."""

    def known_to_others(self, readers: Mapping[bytes, int]) -> bool:
        """Tell whether somebody may have a key that is not to have those of what comes now."""
        return any(parts & ~readers.get(key, 0) for key, parts in self.readers)

    def shared_with(self, readers: Mapping[bytes, int]) -> PeriodKeys:
        """Return the same keys, known to these readers, too."""
        known = dict(self.readers)
        for key, parts in readers.items():
            known[key] = known.get(key, 0) | parts
        return replace(self, readers=tuple(known.items()))


class ChannelKey(Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """An earlier channel of which a report may still wait to be sent; secret."""

    channel: Bytes16
    """Channel ID."""
    key: Bytes32
    """AES-256 key of its reports."""


class NewPeriod(Struct, frozen=True):
    """A period that begins."""

    keys: PeriodKeys
    """Its keys."""
    offer: bytes
    """The channel offer, to send before its first report."""
    wrapped: tuple[WrappedKey, ...]
    """The period's keys for each of its readers."""


def new_period(
    identity: Identity, contract_key: bytes, period: int, readers: Mapping[bytes, int]
) -> NewPeriod:
    """Make the keys of a period; `readers` are HPKE keys and the parts that each may read.

    Raises `BadPublicKey`.
    """
    secret = random_bytes(32)
    day = keys_of(secret)
    commitment = day.commitment(identity.mid, identity.epoch, period)
    channel, key, offer = _new_channel(identity, contract_key, period)
    keys = PeriodKeys(period, channel, key, secret, commitment, contract_key, tuple(readers.items()))
    place = KeyPlace(identity.chain_id, identity.mid, identity.epoch, period)
    wrapped = [wrap_keys(place, day, reader, parts) for reader, parts in readers.items()]
    return NewPeriod(keys, offer, tuple(wrapped))


def renewed(identity: Identity, contract_key: bytes, period: PeriodKeys) -> NewPeriod:
    """Return a period under another channel, wrapped to another contract key; the keys of details stay."""
    channel, key, offer = _new_channel(identity, contract_key, period.period)
    keys = replace(period, channel=channel, channel_key=key, contract_key=contract_key)
    return NewPeriod(keys, offer, ())


def _new_channel(identity: Identity, contract_key: bytes, period: int) -> tuple[bytes, bytes, bytes]:
    """Return ID, key and offer of a channel; raises `BadPublicKey`."""
    mid, epoch, key = identity.mid, identity.epoch, random_bytes(32)
    box = seal_box(contract_key, channel_info(identity.chain_id, mid, epoch, period, contract_key), key)
    offer = encode(ChannelOffer(mid, epoch, period, SuiteNumber.X25519, contract_key, box))
    return channel_id(offer), key, offer


def reseal(identity: Identity, wire: Wire, key: bytes, period: PeriodKeys) -> Wire:
    """Return a sealed report under the channel of a period; `key` is that of the channel it was under.

    Claim and detail stay as they are. Raises `CannotOpen` or an `EncodingError`.
    """
    channel = Channel(identity.mid, identity.epoch, period.period, key)
    raw, detail = open_sealed(read_sealed(wire.wire), channel, identity.chain_id)
    return _sealed(identity, raw, detail, period, wire.sequence, wire.carried_out)


def wrap_keys(place: KeyPlace, keys: DetailKeys, reader: bytes, parts: int) -> WrappedKey:
    """Wrap as much of a period's keys as a reader may have to its HPKE key; raises `BadPublicKey`."""
    box = seal_box(reader, place.info(reader), encode(keys.narrowed(parts)))
    return place.mid, place.epoch, place.period, reader, box


def seal_report(identity: Identity, seed: SecretSeed, draft: Draft, period: PeriodKeys) -> Wire:
    """Salt, seal, sign and seal a report; claim and detail are never to be made again for this sequence."""
    chain, mid, epoch, sequence = identity.chain_id, identity.mid, identity.epoch, draft.sequence
    nonce = report_nonce(epoch, sequence)
    salt = random_bytes(SALT_SIZE)
    day, plain = keys_of(period.period_key), make_detail(draft, salt).parts
    detail = join_parts(
        [seal_aead(day.key(p), nonce, encode(plain[p]), detail_context(chain, mid, p)) for p in Part]
    )
    claim = make_claim(draft, epoch, salt, sha256(detail).digest(), period.commitment)
    raw = sign_transaction(seed, chain, Role.METER, mid, sequence, draft.time, Kind.REPORT, claim)
    return _sealed(identity, raw, detail, period, sequence, draft.carried_out)


def _sealed(
    identity: Identity, raw: bytes, detail: bytes, period: PeriodKeys, sequence: int, carried_out: int
) -> Wire:
    nonce, context = report_nonce(identity.epoch, sequence), seal_context(identity.chain_id, period.channel)
    sealed = seal_aead(period.channel_key, nonce, encode([raw, detail]), context)
    return Wire(period.channel, sequence, carried_out, encode(SealedReport(period.channel, sequence, sealed)))
