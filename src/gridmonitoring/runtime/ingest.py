"""Sealed reports coming in: channels are opened once per period, reports by their channel (V-A).

Each node opens, decodes and verifies every report itself. A failed opening is an answer to the
sender, never an exception to others; one bad report sinks only itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from msgspec import Struct

from gridmonitoring.blockchain.bodies import Report
from gridmonitoring.blockchain.transactions import Transaction
from gridmonitoring.errors import CannotOpen, EncodingError, GridMonitoringError, Malformed
from gridmonitoring.keys.channels import Channel, channel_id, open_offer, open_sealed, read_sealed
from gridmonitoring.runtime.consensus.application import Application
from gridmonitoring.runtime.storage.details import DetailStore

KEPT_CHANNELS = 300_000
"""Opened channels kept in memory; older ones are opened again from the detail store."""
OFFER_HEAD = b"\x87\x69channel/1"
"""First bytes of an encoded channel offer."""


Slot = int | GridMonitoringError | None
"""A wire message: place of its transaction in the batch, why it was refused, or None for an offer."""


class Opened(Struct):
    """Wire messages of one batch, opened by one node."""

    slots: list[Slot]
    """One per wire message."""
    transactions: list[Transaction | EncodingError]
    """Claims that opened, in order."""
    details: list[bytes]
    """Their detail ciphertexts."""
    offers: list[tuple[bytes, bytes]]
    """(channel ID, offer) of channels that were opened for the first time."""


class Ingest:
    """One node's way in for sealed reports."""

    def __init__(self, application: Application, details: DetailStore, contract_secret: bytes) -> None:
        self._application = application
        self._details = details
        self._secret = contract_secret
        self._channels: dict[bytes, Channel] = {}

    def open(self, wires: Sequence[bytes]) -> Opened:
        """Open a batch of channel offers and sealed reports, in order."""
        opened = Opened([], [], [], [])
        for wire in wires:
            try:
                if wire.startswith(OFFER_HEAD):
                    self._offer(wire, opened)
                    opened.slots.append(None)
                    continue
                transaction, detail = self._open(wire)
            except (EncodingError, CannotOpen) as error:
                opened.slots.append(error)
                continue
            opened.slots.append(len(opened.transactions))
            opened.transactions.append(transaction)
            opened.details.append(detail)
        return opened

    def _offer(self, wire: bytes, opened: Opened) -> None:
        identifier = channel_id(wire)
        if identifier not in self._channels:
            self._accept(identifier, wire)
            opened.offers.append((identifier, wire))

    def _accept(self, identifier: bytes, offer: bytes) -> Channel:
        channel = open_offer(offer, self._secret, self._application.chain.id)
        if len(self._channels) >= KEPT_CHANNELS:
            self._channels.pop(next(iter(self._channels)))
        self._channels[identifier] = channel
        return channel

    def _open(self, wire: bytes) -> tuple[Transaction, bytes]:
        sealed = read_sealed(wire)
        channel = self._channels.get(sealed.channel)
        if channel is None:
            offer = self._details.offer(sealed.channel)
            if offer is None:
                raise CannotOpen("no such channel was offered; offer it again and resend")
            channel = self._accept(sealed.channel, offer)
        raw, detail = open_sealed(sealed, channel, self._application.chain.id)
        transaction = self._application.decode(raw)
        if isinstance(transaction, EncodingError):
            raise transaction
        payload = transaction.payload
        if not isinstance(payload.body, Report) or payload.signer != channel.mid:
            raise Malformed("a sealed report carries a claim of the meter that offered the channel")
        if sha256(detail).digest() != payload.body.detail:
            raise Malformed("the detail is not the one that the claim names")
        return transaction, detail
