"""Sealed reports coming in: channels are opened once per period, reports by their channel (V-A).

Each node opens, decodes and verifies every report itself. A failed opening is an answer to the
sender, never an exception to others; one bad report sinks only itself. What is sealed to a contract key that
has ended is refused by that rule. A batch is begun, which gives
a large one to worker processes, and finished when its turn to be decided comes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from msgspec import Struct

from gridmonitoring.blockchain.contract_keys import announced, ended, require_not_ended
from gridmonitoring.blockchain.state_rows import Table
from gridmonitoring.blockchain.transactions import Transaction
from gridmonitoring.errors import CannotOpen, EncodingError, GridMonitoringError, Refused, UserError
from gridmonitoring.keys.channels import (
    Channel,
    ChannelOffer,
    channel_id,
    open_offer,
    read_offer,
    sealed_channel,
)
from gridmonitoring.runtime.consensus.application import Application
from gridmonitoring.runtime.report_opening import (
    OpenedReport,
    OpeningTask,
    Parcel,
    decode_result,
    encode_task,
    open_report,
    run_task,
)
from gridmonitoring.runtime.signature_checker import WORTH_A_WORKER, VerifierPool
from gridmonitoring.runtime.storage.details import DetailStore

KEPT_CHANNELS = 300_000
"""Opened channels kept in memory; older ones are opened again from the detail store."""
OFFER_HEAD = b"\x87\x69channel/1"
"""First bytes of an encoded channel offer."""
TASK_SIZE = 512
"""Reports of one task of a worker."""
NOT_OFFERED = "no such channel was offered; offer it again and resend"

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


class Offered(Struct, frozen=True, gc=False):
    """A channel offer among wire messages."""

    channel: bytes
    """The channel's ID."""
    wire: bytes
    """The encoded offer."""


class Sent(Struct, frozen=True, gc=False):
    """A sealed report among wire messages."""

    channel: bytes
    """Its channel's ID."""
    mid: bytes
    """The meter that offered the channel."""
    wire: bytes
    """The sealed report."""


class Task(Struct, frozen=True):
    """Reports that a worker opens."""

    channels: list[bytes]
    """IDs of the channels that it opens first."""
    count: int
    """Number of reports."""
    result: Future[bytes]
    """An encoded `OpeningResult`."""


class Arriving(Struct):
    """A batch of wire messages whose opening has begun."""

    places: list[Offered | Sent | GridMonitoringError]
    """One per wire message."""
    fresh: dict[bytes, bool]
    """Channels that this batch was the first to need opened; whether its offer is new to the detail store."""
    parcels: list[Parcel]
    """Its reports, with what it takes to open them."""
    tasks: list[Task]
    """What workers do of it."""
    ended: Mapping[bytes, int]
    """Contract keys that had ended when it arrived."""


class Ingest:
    """One node's way in for sealed reports."""

    def __init__(
        self,
        application: Application,
        details: DetailStore,
        secrets: Mapping[bytes, bytes],
        pool: VerifierPool | None = None,
    ) -> None:
        self._application = application
        self._details = details
        self._secrets = secrets  # contract key -> secret: what this node holds, also later
        self._ended: Mapping[bytes, int] = {}  # contract key -> number: no report may be sealed to it
        self._pool = pool
        self._chain_id = application.chain.id
        self._channels: dict[bytes, Channel] = {}
        self._keys: dict[bytes, bytes] = {}  # channel ID -> key that signed its last report: a guess
        self._unopened: dict[bytes, tuple[bytes, bytes]] = {}  # channel ID -> (offer, MID)

    def open(self, wires: Sequence[bytes]) -> Opened:
        """Open a batch of channel offers and sealed reports, in order; raises `StorageError`."""
        return self.finish(self.begin(wires))

    def begin(self, wires: Sequence[bytes]) -> Arriving:
        """Begin opening a batch, which `finish` completes; raises `StorageError`."""
        self._end_keys()
        arriving = Arriving([], {}, [], [], self._ended)
        for wire in wires:
            try:
                place = (
                    self._offered(wire, arriving)
                    if wire.startswith(OFFER_HEAD)
                    else self._sent(wire, arriving)
                )
            except (EncodingError, CannotOpen, Refused, UserError) as error:
                arriving.places.append(error)
            else:
                arriving.places.append(place)
        reports = [place for place in arriving.places if isinstance(place, Sent)]
        self._learn_keys(reports)
        channels, keys = self._channels, self._keys
        arriving.parcels = [
            Parcel(report.wire, channels.get(report.channel), keys[report.channel]) for report in reports
        ]
        if self._pool is not None and len(reports) >= WORTH_A_WORKER:
            self._hand_out(self._pool, reports, arriving)
        return arriving

    def _learn_keys(self, reports: Sequence[Sent]) -> None:
        """Read what these reports will need, and the keys that should have signed where none are known."""
        self._application.prefetch_meters([report.mid for report in reports])
        unknown = {report.channel: report.mid for report in reports if report.channel not in self._keys}
        self._keys.update(zip(unknown, self._application.meter_keys(unknown.values()), strict=True))

    def _offered(self, wire: bytes, arriving: Arriving) -> Offered:
        channel = channel_id(wire)
        if channel not in self._channels and channel not in self._unopened:
            self._unopened[channel] = (wire, self._read_offer(wire).mid)
            arriving.fresh[channel] = True
        return Offered(channel, wire)

    def _sent(self, wire: bytes, arriving: Arriving) -> Sent:
        """Find the channel of a report, of which only the head is read here."""
        identifier = sealed_channel(wire)
        channel = self._channels.get(identifier)
        if channel is not None:
            return Sent(identifier, channel.mid, wire)
        if identifier not in self._unopened:
            offer = self._details.offer(identifier)
            if offer is None:
                raise CannotOpen(NOT_OFFERED)
            self._unopened[identifier] = (offer, self._read_offer(offer).mid)
            arriving.fresh[identifier] = False
        return Sent(identifier, self._unopened[identifier][1], wire)

    def _end_keys(self) -> None:
        """Forget what is open, where a contract key has ended: what is sealed to it is not opened again."""
        application = self._application
        over = ended(self._row, application.genesis, application.log.log.size, application.time)
        if over != self._ended:
            self._ended = over
            self._forget_channels()

    def _forget_channels(self) -> None:
        self._channels.clear()
        self._keys.clear()

    def _read_offer(self, offer: bytes) -> ChannelOffer:
        """Read an offer under a contract key that reports may be sealed to, and that this node holds."""
        read = read_offer(offer)
        require_not_ended(read.contract_key, self._ended)
        if read.contract_key not in self._secrets:
            keys = announced(self._row, self._application.genesis)
            number = next((number for number, row in keys if row.key == read.contract_key), None)
            if number is not None:
                raise UserError(f"no key file of this node holds contract key {number}")
        return read

    def _row(self, table: Table, key: bytes) -> Any:
        return self._application.read((table, key))

    def _hand_out(self, pool: VerifierPool, reports: list[Sent], arriving: Arriving) -> None:
        """Give reports to the workers, and with them the offers of channels that are not open yet."""
        for first in range(0, len(reports), TASK_SIZE):
            parcels = arriving.parcels[first : first + TASK_SIZE]
            some = zip(reports[first:], parcels, strict=False)
            channels = list(
                dict.fromkeys(report.channel for report, parcel in some if parcel.channel is None)
            )
            offers = [self._unopened[channel][0] for channel in channels]
            task = OpeningTask(self._chain_id, dict(self._secrets), offers, parcels)
            arriving.tasks.append(Task(channels, len(parcels), pool.run(run_task, encode_task(task))))

    def finish(self, arriving: Arriving) -> Opened:
        """Return a batch opened; what no worker opened is opened here. Raises `StorageError`."""
        reports = zip(self._results(arriving), arriving.parcels, strict=True)
        opened = Opened([], [], [], [])
        checker = self._application.checker
        for place in arriving.places:
            try:
                if isinstance(place, Sent):
                    found, parcel = next(reports)
                    report = found or self._open(place, parcel)
                    transaction = report.transaction()
                    if report.verified:
                        checker.remember((parcel.sign_key, transaction.signed, transaction.signature))
                    else:  # the key may have changed
                        self._keys.pop(place.channel, None)
                    opened.slots.append(len(opened.transactions))
                    opened.transactions.append(transaction)
                    opened.details.append(report.detail)
                elif isinstance(place, Offered):
                    self._take(place, arriving, opened)
                    opened.slots.append(None)
                else:
                    opened.slots.append(place)
            except (EncodingError, CannotOpen) as error:
                opened.slots.append(error)
        for channel in arriving.fresh:
            del self._unopened[channel]
            if channel not in self._channels:
                self._keys.pop(channel, None)
        if arriving.ended != self._ended:
            self._forget_channels()
        return opened

    def forget(self, opened: Opened) -> None:
        """Forget channels whose offers will not be stored, as their batch was not decided."""
        for channel, _ in opened.offers:
            self._channels.pop(channel, None)
            self._keys.pop(channel, None)

    def _results(self, arriving: Arriving) -> list[OpenedReport | None]:
        """Return what workers opened, None for what they did not, and keep the channels they opened."""
        if not arriving.tasks:
            return [None] * len(arriving.parcels)
        reports: list[OpenedReport | None] = []
        for task in arriving.tasks:
            try:
                result = decode_result(task.result.result())
            except BrokenProcessPool:
                reports += [None] * task.count
                continue
            for identifier, channel in zip(task.channels, result.channels, strict=True):
                if channel is not None:
                    self._keep(identifier, channel)
            reports += result.reports
        return reports

    def _take(self, offered: Offered, arriving: Arriving, opened: Opened) -> None:
        """Open an offer where no worker did; one that is new is to be stored."""
        if offered.channel not in self._channels:
            self._keep(offered.channel, open_offer(offered.wire, self._secrets, self._chain_id))
        if arriving.fresh.get(offered.channel):
            arriving.fresh[offered.channel] = False
            opened.offers.append((offered.channel, offered.wire))

    def _open(self, sent: Sent, parcel: Parcel) -> OpenedReport:
        """Open a report here; its signature is checked when it is executed."""
        channel = parcel.channel or self._channels.get(sent.channel)
        if channel is None:
            offer, _ = self._unopened.get(sent.channel, (None, None))
            if offer is None:
                raise CannotOpen(NOT_OFFERED)
            channel = self._keep(sent.channel, open_offer(offer, self._secrets, self._chain_id))
        return open_report(Parcel(sent.wire, channel, b""), {}, self._chain_id, verify=False)

    def _keep(self, identifier: bytes, channel: Channel) -> Channel:
        if len(self._channels) >= KEPT_CHANNELS:
            oldest = next(iter(self._channels))
            del self._channels[oldest]
            self._keys.pop(oldest, None)
        self._channels[identifier] = channel
        return channel
