"""Opening sealed reports: all that can be done away from the state, here or in a worker process (V-A).

Of each report: the frame is read, the cipher opened, the claim decoded, its detail held against the hash
that it names, its signature verified under the key that the ledger should have for it. A worker says
nothing about what does not open: the node opens that again itself and has the typed error.

Left out: which channels and keys a report is under, which only the node's state knows (`ingest`).
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256

import msgspec
from msgspec import Struct

from gridmonitoring.blockchain.bodies import Report
from gridmonitoring.blockchain.transactions import (
    Payload,
    Transaction,
    decode_transaction,
    transaction_context,
)
from gridmonitoring.encoding.bounds import TransactionId
from gridmonitoring.errors import BadSignature, CannotOpen, EncodingError, Malformed
from gridmonitoring.keys.channels import Channel, channel_id, open_offer, open_sealed, read_sealed
from gridmonitoring.keys.signatures import verify_signature


class Parcel(Struct, array_like=True, frozen=True, gc=False):
    """A sealed report and what it takes to open it."""

    wire: bytes
    """The sealed report."""
    channel: Channel | None
    """Its channel; None where the offer is among the task's."""
    sign_key: bytes
    """Key that should have signed the claim, or empty."""


class OpenedReport(Struct, array_like=True, frozen=True, gc=False):
    """A report that opened."""

    raw: bytes
    """The claim's transaction."""
    payload: Payload[Report]
    """What it says."""
    signed: bytes
    """The bytes that its signature is over."""
    id: bytes
    """Its transaction ID."""
    leaf: bytes
    """Its leaf hash in the log."""
    detail: bytes
    """The detail's ciphertext."""
    verified: bool
    """Whether its signature verifies under the key of its parcel."""

    def transaction(self) -> Transaction:
        """Return the claim's transaction, decoded."""
        return Transaction(
            self.raw, self.payload, self.signed, self.raw[-64:], TransactionId(self.id), self.leaf
        )


class OpeningTask(Struct, array_like=True, frozen=True):
    """Reports for a worker to open."""

    chain_id: bytes
    """The chain."""
    secrets: dict[bytes, bytes]
    """Contract key -> its HPKE secret key."""
    offers: list[bytes]
    """Channel offers to open first."""
    parcels: list[Parcel]
    """Reports."""


class OpeningResult(Struct, array_like=True, frozen=True):
    """What a worker opened; None stands for what did not open."""

    channels: list[Channel | None]
    """One per offer."""
    reports: list[OpenedReport | None]
    """One per parcel."""


_TASK = msgspec.msgpack.Decoder(OpeningTask)
_RESULT = msgspec.msgpack.Decoder(OpeningResult)


def encode_task(task: OpeningTask) -> bytes:
    """Return a task as it travels to a worker of this process."""
    return msgspec.msgpack.encode(task)


def decode_result(result: bytes) -> OpeningResult:
    """Return what a worker of this process sent back."""
    return _RESULT.decode(result)


def run_task(encoded: bytes) -> bytes:
    """Open all of a task, signatures verified; runs in a worker."""
    task = _TASK.decode(encoded)
    known: dict[bytes, Channel] = {}
    channels: list[Channel | None] = []
    for offer in task.offers:
        try:
            channel = known[channel_id(offer)] = open_offer(offer, task.secrets, task.chain_id)
            channels.append(channel)
        except (EncodingError, CannotOpen):
            channels.append(None)
    reports: list[OpenedReport | None] = []
    for parcel in task.parcels:
        try:
            reports.append(open_report(parcel, known, task.chain_id, verify=True))
        except (EncodingError, CannotOpen):
            reports.append(None)
    return msgspec.msgpack.encode(OpeningResult(channels, reports))


def open_report(
    parcel: Parcel, known: Mapping[bytes, Channel], chain_id: bytes, *, verify: bool
) -> OpenedReport:
    """Open one report; raises an `EncodingError` or `CannotOpen`.

    1 the frame and its channel; 2 the seal; 3 the claim, of the meter that offered the channel; 4 the
    detail that it names; 5 if `verify`, its signature, a bad one being left to the rules to refuse.
    """
    # 1
    sealed = read_sealed(parcel.wire)
    channel = parcel.channel or known.get(sealed.channel)
    if channel is None:
        raise CannotOpen("the offer of this channel does not open")
    # 2
    raw, detail = open_sealed(sealed, channel, chain_id)
    # 3
    transaction = decode_transaction(raw, transaction_context(chain_id))
    payload = transaction.payload
    if not isinstance(payload.body, Report) or payload.signer != channel.mid:
        raise Malformed("a sealed report carries a claim of the meter that offered the channel")
    # 4
    if sha256(detail).digest() != payload.body.detail:
        raise Malformed("the detail is not the one that the claim names")
    # 5
    verified = verify and _verifies(parcel.sign_key, transaction)
    signed, identifier, leaf = transaction.signed, transaction.id, transaction.leaf
    return OpenedReport(raw, payload, signed, identifier, leaf, detail, verified)


def _verifies(key: bytes, transaction: Transaction) -> bool:
    try:
        verify_signature(key, transaction.signed, transaction.signature)
    except BadSignature:
        return False
    return True
