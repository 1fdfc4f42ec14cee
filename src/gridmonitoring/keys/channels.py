"""How a report travels: sealed under a channel key that the meter wraps once per period (II-B, V-A).

"Encrypts a report with its private key" is: sign with the meter's key, then seal to the network's
contract key. An HPKE opening per report would cost as much as its signature, so the meter wraps an
AES-256-GCM channel key once a period; a sealed report names that offer by hash, so nobody can put
another key in its place. Inside are the signed claim, which goes to the ledger, and the detail's
ciphertext, which goes to the detail store.

Left out: sealing (`runtime.entropy`) and keeping channels (`runtime`).
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import Struct

from gridmonitoring.encoding.bounds import MAX_INT, Bytes16, Bytes32, Unsigned
from gridmonitoring.encoding.cbor import BYTE_STRING, TRANSACTION_LIMIT, UNSIGNED, decode, read_head
from gridmonitoring.errors import CannotOpen, Malformed, TooLarge
from gridmonitoring.keys.sealed_boxes import Purpose, box_info, open_box, report_nonce

WIRE_LIMIT = 2 * TRANSACTION_LIMIT
"""Largest sealed report, bytes."""

_SEALED_HEAD = b"\x84\x68sealed/1\x50"
_PAIR = b"\x82"
_CHANNEL_END = len(_SEALED_HEAD) + 16


class ChannelOffer(Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="channel/1"):
    """A meter's channel key for one period, wrapped for the network."""

    mid: Bytes16
    """Meter ID."""
    epoch: Unsigned
    """Meter epoch."""
    period: Unsigned
    """Number of the key period (`keys.detail_keys.KeyPlace`)."""
    suite: Unsigned
    """HPKE suite of the box."""
    contract_key: Bytes32
    """The contract key it is for."""
    box: bytes
    """HPKE box of the 32-byte channel key."""


class SealedReport(Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="sealed/1"):
    """A report on the wire."""

    channel: Bytes16
    """`channel_id` of the offer."""
    sequence: Unsigned
    """Sequence of the report: part of the nonce."""
    ciphertext: bytes
    """AES-256-GCM of [claim, detail ciphertext]."""


class Channel(Struct, array_like=True, frozen=True, forbid_unknown_fields=True, gc=False):
    """An opened channel."""

    mid: bytes
    """Meter ID."""
    epoch: int
    """Meter epoch."""
    period: int
    """Number of the period."""
    key: bytes
    """The channel key, 32 bytes; secret."""


def channel_id(offer: bytes) -> bytes:
    """Return the ID of a channel: 16 bytes of SHA-256 over its encoded offer."""
    return sha256(offer).digest()[:16]


def channel_info(chain_id: bytes, offer_mid: bytes, epoch: int, period: int, contract_key: bytes) -> bytes:
    """Return HPKE's info for a channel key."""
    return box_info(Purpose.CHANNEL_KEY, chain_id, offer_mid, epoch, period, contract_key)


def read_offer(offer: bytes) -> ChannelOffer:
    """Read a channel offer, not opening it; raises an `EncodingError`."""
    return decode(offer, ChannelOffer)


def open_offer(offer: bytes, secrets: Mapping[bytes, bytes], chain_id: bytes) -> Channel:
    """Open a channel offer with the secret of the contract key that it names, if `secrets` has it.

    Raises `EncodingError` or `CannotOpen`.
    """
    read = read_offer(offer)
    secret_key = secrets.get(read.contract_key)
    if secret_key is None:
        raise CannotOpen("the channel is for a contract key that is not held here")
    info = channel_info(chain_id, read.mid, read.epoch, read.period, read.contract_key)
    key = open_box(read.suite, secret_key, info, read.box)
    if len(key) != 32:
        raise CannotOpen("a channel key has 32 bytes")
    return Channel(read.mid, read.epoch, read.period, key)


def seal_context(chain_id: bytes, channel: bytes) -> bytes:
    """Return the associated data of a sealed report."""
    return b"gridmon/sealed/1" + chain_id + channel


def sealed_channel(wire: bytes) -> bytes:
    """Return the ID of a sealed report's channel; only what is not one at first sight is refused here.

    Raises an `EncodingError`.
    """
    if not wire.startswith(_SEALED_HEAD) or len(wire) < _CHANNEL_END:
        return read_sealed(wire).channel
    return wire[len(_SEALED_HEAD) : _CHANNEL_END]


def read_sealed(wire: bytes) -> SealedReport:
    """Read a sealed report; raises an `EncodingError`."""
    if len(wire) > WIRE_LIMIT:
        raise TooLarge(len(wire), WIRE_LIMIT)
    if not wire.startswith(_SEALED_HEAD):
        raise Malformed("not a sealed report")
    sequence, at = read_head(wire, _CHANNEL_END, UNSIGNED)
    size, at = read_head(wire, at, BYTE_STRING)
    if at + size != len(wire) or sequence > MAX_INT:
        raise Malformed("a sealed report with a length or sequence out of bounds")
    return SealedReport(wire[len(_SEALED_HEAD) : _CHANNEL_END], sequence, wire[at:])


def open_sealed(report: SealedReport, channel: Channel, chain_id: bytes) -> tuple[bytes, bytes]:
    """Return (claim, detail ciphertext) of a sealed report; raises `CannotOpen` or `Malformed`."""
    nonce = report_nonce(channel.epoch, report.sequence)
    try:
        context = seal_context(chain_id, report.channel)
        plain = AESGCM(channel.key).decrypt(nonce, report.ciphertext, context)
    except InvalidTag as error:
        raise CannotOpen("the report is not sealed under this channel, or was altered") from error
    if plain[:1] != _PAIR:
        raise Malformed("a sealed report holds a claim and a detail")
    size, at = read_head(plain, 1, BYTE_STRING)
    end = at + size
    rest, last = read_head(plain, end, BYTE_STRING)
    if last + rest != len(plain):
        raise Malformed("a sealed report holds a claim and a detail, and nothing else")
    return plain[at:end], plain[last:]
