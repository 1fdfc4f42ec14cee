"""The agent around a smart meter: keys, entropy, outbox and port around the pure machine (paper IV-B, V-A).

What the meter reports is salted, sealed under the period key, signed, and sealed under the channel key; the
final bytes are stored with the meter's memory in one commit, then sent until they are acknowledged. A call
that returns has its reports on disk. After a crash a new agent on the same outbox goes on from the last
commit: minutes after `time` are to be measured again, everything else is there.

Left out: the timetable (when minutes, sending and polling happen), which the caller keeps, and the way to
the grid (`GridPort`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from msgspec import Struct

from gridmonitoring.blockchain.bodies import Installation, Kind
from gridmonitoring.blockchain.evidence_bundle import EvidenceKind
from gridmonitoring.blockchain.genesis import Genesis, chain_id, decode_genesis
from gridmonitoring.blockchain.transactions import sign_transaction
from gridmonitoring.contracts.agreement import Agreement
from gridmonitoring.contracts.consent import decode_readers, detail_parts, let_in
from gridmonitoring.contracts.meter_rule import Event, Status
from gridmonitoring.encoding.bounds import Role
from gridmonitoring.energy_center.tariffs import Tariff
from gridmonitoring.errors import (
    BadSignature,
    CannotOpen,
    CommandIgnored,
    EncodingError,
    EvidenceError,
    MeterError,
    TariffError,
)
from gridmonitoring.keys.detail_keys import ALL_PARTS
from gridmonitoring.keys.sealed_commands import Delivery, SealedCommand, open_command, read_command
from gridmonitoring.registration.installation_code import installation_document, prove_code
from gridmonitoring.runtime.entropy import KeyPair
from gridmonitoring.runtime.meter_accusing import Accusations
from gridmonitoring.runtime.meter_keys import DAY_MS
from gridmonitoring.runtime.meter_memory import changed_parts, recall
from gridmonitoring.runtime.meter_port import GridPort
from gridmonitoring.runtime.meter_sealing import Sealing
from gridmonitoring.runtime.meter_sending import BATCH, Flushed, send_pending
from gridmonitoring.runtime.storage.outbox import Outbox
from gridmonitoring.smart_meter.claims import Draft
from gridmonitoring.smart_meter.command_check import Ordered, Stated, check_command, check_delivery, in_order
from gridmonitoring.smart_meter.display import DisplayState
from gridmonitoring.smart_meter.memory import Handover, Identity, Memory
from gridmonitoring.smart_meter.meter import Meter, new_meter


class Device(Struct, frozen=True):
    """What an installer puts into a meter."""

    genesis: bytes
    """The genesis document: all that the meter trusts."""
    mid: bytes
    """Meter ID."""
    epoch: int
    """Meter epoch: 1 for the first device at the supply point."""
    agreement: Agreement
    """The agreement in force at installation."""
    tariffs: tuple[Tariff, ...]
    """Its tariff and those known to follow it, in order."""
    consumer_key: bytes
    """HPKE key of the consumer, who reads every detail."""
    custodian_key: bytes = b""
    """HPKE key of the utility's custodian, who reads where the agreement says so."""


class MeterAgent:
    """One meter at work."""

    def __init__(self, device: Device, keys: KeyPair, port: GridPort, outbox: Outbox) -> None:
        """Start the meter, or go on where the outbox says it was.

        `keys` are made on the device at installation and stay the same. Raises `ContractError`,
        `TariffError` or `MeterError` for terms that cannot be run, `StorageError` or `EncodingError` for an
        outbox that cannot be read.
        """
        self._device = device
        self._keys = keys
        self._port = port
        self._outbox = outbox
        genesis = _genesis(device.genesis)
        self._chain = chain_id(device.genesis)
        self._mid = device.mid
        identity = Identity(self._chain, genesis.contract_key, device.mid, device.epoch)
        stored = outbox.memory(device.mid)
        self._sealing = Sealing(identity, keys.seed, outbox, stored)
        self._installation = stored.get("installation", b"")
        if "standing" in stored:
            self.meter = Meter(identity, recall(stored))
        else:
            self.meter = new_meter(identity, device.agreement, device.tariffs)
        """The meter itself."""
        self._kept: Memory | None = None
        self._distrusted = -DAY_MS
        self._ignored: set[int] = set()
        self._stated = -1
        self._heard = 0
        self._nodes = {party.id(): party.sign_key for party in genesis.parties if party.role == Role.NODE}
        self._source: dict[int, bytes] = {}
        self.accused = Accusations()
        """Nodes that told what is not so."""

    # what it is

    @property
    def time(self) -> int:
        """End of the last minute measured, ms: after a restart, go on measuring from here."""
        return self.meter.time

    @property
    def waiting(self) -> int:
        """Wire messages that are still to be sent."""
        return self._outbox.count(self._mid)

    def display(self) -> DisplayState:
        """Return what the in-home display shows."""
        return self.meter.display()

    # installation

    def install(
        self, code: bytes, time: int, handover: Handover | None = None, succeeded: bool = True
    ) -> bytes:
        """Return the signed INSTALLATION transaction, for anyone to submit; asked again, the same bytes.

        `code` is the registrar's one-time code, neither kept nor sent; a device that replaces another
        takes its `handover`. Where it did not succeed, the failure is signed instead, and installation can be
        tried again. Raises `MeterError`, `RegisterError` or `TariffError`.
        """
        if self._installation:
            return self._installation
        meter = self.meter
        if succeeded:
            sequence, registers = meter.install(time, handover)
        else:
            sequence, registers = meter.fail(time)
        keys, script = self._keys, meter.contract.terms.script
        epoch = self._device.epoch
        document = installation_document(self._mid, epoch, keys.sign_key, keys.hpke_key, succeeded)
        proof = prove_code(code, self._chain, document)
        body = Installation(epoch, keys.sign_key, keys.hpke_key, proof, script, registers, succeeded)
        raw = sign_transaction(
            keys.seed, self._chain, Role.METER, self._mid, sequence, time, Kind.INSTALLATION, body
        )
        memory = self._memory()
        if succeeded:
            self._installation = memory["installation"] = raw
        self._outbox.commit(self._mid, memory)
        return raw

    # the meter's day

    def minute(
        self,
        start: int,
        watts: int,
        kitchen: int = 0,
        laundry: int = 0,
        climate: int = 0,
        rest: int = 0,
        exported: int = 0,
    ) -> int:
        """Measure a minute of what the house would draw (`Meter.minute`); return how many reports it made."""
        drafts = self.meter.minute(start, watts, kitchen, laundry, climate, rest, exported)
        if drafts:
            self._commit(drafts)
        return len(drafts)

    def accept_reconnection(self, now: int) -> int:
        """The consumer accepts at the meter; return how many reports it made: none where none was offered."""
        return self._commit(self.meter.accept(now))

    def sense(self, inputs: Status, now: int) -> int:
        """Take what covers and magnet sensor show; return how many reports it made."""
        return self._commit(self.meter.sense(inputs, now))

    def wrong_password(self, now: int) -> int:
        """A wrong password came at the meter's port; return how many reports it made."""
        return self._commit(self.meter.wrong_password(now))

    def voltage(self, present: bool, now: int) -> int:
        """The grid's voltage is gone or back; return how many reports it made."""
        return self._commit(self.meter.voltage(present, now))

    def remove(self, now: int) -> int:
        """The device is taken out: report its last registers; return how many reports it made."""
        return self._commit(self.meter.remove(now))

    # commands

    def poll(self, now: int) -> int:
        """Fetch commands and statements, check them, carry them out in order; return how many were new.

        What the meter has to say is sent first: then the ledger has it before anything that is heard here,
        and grid and meter judge each command on the same account. What the port raises goes to the caller.
        """
        self.flush()
        if not self.meter.contract.installed:
            return 0
        orders: dict[int, Ordered] = {}
        statements: list[Stated] = []
        for wire in self._port.commands(self._mid):
            told = self._told(wire, now)
            if isinstance(told, Ordered):
                orders[told.number] = told
            elif told is not None:
                statements.append(told)
        due = in_order(orders, self.meter.contract.carried_out)
        self.meter.hear([(order.number, order.command) for order in due])
        self._heard = max([self._heard, *(order.size for order in due)])
        for stated in statements:
            self._hear(stated, now)
        self.accused.hand_over(self._port, self._mid)
        for order in due:
            self._commit(self.meter.command(order.number, order.command, now, order.tariffs))
        return len(due) + len(statements)

    def _told(self, wire: bytes, now: int) -> Ordered | Stated | None:
        """Return what a sealed command proves; what proves nothing, or is old, is reported instead."""
        meter = self.meter
        try:
            sealed = read_command(wire)
            if self._passed_over(sealed):
                return None
            signed = open_command(sealed, self._keys.hpke_secret, self._keys.hpke_key, self._chain)
            delivery = check_delivery(signed, self._nodes, self._chain, sealed)
            carried_out = meter.contract.carried_out
            return self._checked(signed, delivery, carried_out)
        except CommandIgnored as error:
            if error.number not in self._ignored:
                self._ignored.add(error.number)
                self._commit(meter.ignore(now))
        except (BadSignature, CannotOpen, EncodingError, EvidenceError, MeterError):
            # Anyone can send rubbish: it is told once in an interval, so that it cannot flood the ledger.
            if now - self._distrusted >= meter.contract.terms.agreement.reporting_interval_ms:
                self._distrusted = now
                self._commit(meter.distrust(now))
        return None

    def _checked(self, signed: bytes, delivery: Delivery, carried_out: int) -> Ordered | Stated:
        """Return what a delivery proves; of one that proves nothing the signature is kept."""
        device = self._device
        try:
            told = check_command(delivery.bundle, device.genesis, self._mid, device.epoch, carried_out)
        except EvidenceError:
            self.accused.note(signed)
            raise
        if isinstance(told, Stated):
            self._source[told.account.statement.sequence] = signed
        return told

    def _passed_over(self, sealed: SealedCommand) -> bool:
        """Tell whether this was dealt with and comes again only because the grid does not know yet."""
        if sealed.kind == EvidenceKind.COMMAND:
            acknowledged = self._outbox.acknowledged(self._mid)
            return acknowledged < sealed.number <= self.meter.contract.carried_out
        return sealed.number <= self._stated

    def _hear(self, stated: Stated, now: int) -> None:
        self._stated = max(self._stated, stated.account.statement.number)
        try:
            self.meter.learn(stated.tariffs)
        except (MeterError, TariffError):
            self._commit(self.meter.distrust(now))
        drafts = self.meter.statement(stated.account, stated.size >= self._heard, now)
        source = self._source.pop(stated.account.statement.sequence, b"")
        if source and any(draft.event is Event.BILLING_DISCREPANCY for draft in drafts):
            self.accused.note(source)
        self._commit(drafts)

    # sending

    def outgoing(self) -> list[bytes]:
        """Return the wire messages that `flush` sends first, for one who sends for several meters."""
        return [pending.wire.wire for pending in self._outbox.pending(self._mid, BATCH)]

    def flush(self) -> Flushed:
        """Send what waits, in order, and hand over wrapped keys, until all is told or something must wait.

        Whatever the port raises goes to the caller; nothing is lost by it.
        """
        return send_pending(self._port, self._outbox, self._mid)

    # sealing

    def _commit(self, drafts: Sequence[Draft]) -> int:
        """Seal and sign drafts, and store them with the meter's memory; return how many there were."""
        memory, contract_key = self._memory(), self.meter.contract.terms.contract_key
        made = self._sealing.prepare(drafts, contract_key, self._readers, memory)
        self._outbox.commit(self._mid, memory, made.wires, made.wrapped, anew=made.anew)
        return len(drafts)

    def _readers(self, day: int) -> dict[bytes, int]:
        """Return who may read the details of a day: the HPKE keys, and the parts that each may read."""
        contract = self.meter.contract
        granted = let_in(decode_readers(contract.readers), day)
        readers = {key: detail_parts(data) for key, data in granted.items()}
        if contract.terms.agreement.custodian_may_read and self._device.custodian_key:
            readers[self._device.custodian_key] = ALL_PARTS
        readers[self._device.consumer_key] = ALL_PARTS
        return readers

    def _memory(self) -> dict[str, bytes]:
        """Return the parts of the meter's memory that changed since they were last stored."""
        memory = self.meter.memory()
        parts = changed_parts(memory, self._kept)
        self._kept = memory
        return parts


@lru_cache(maxsize=8)
def _genesis(document: bytes) -> Genesis:
    return decode_genesis(document)
