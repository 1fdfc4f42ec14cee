"""A node in this process: what commands and `service` ask of a network, over its files (paper II-A, IV-C).

Adds to `network` what others may read, the steps that need a node's own key (the form of a purchase, the link
of a meter), and writes that return before they are on disk, for group commit.

Left out: taking turns between threads; one thread calls it at a time.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from concurrent.futures import Future
from itertools import islice

from gridmonitoring.blockchain.bodies import Kind, LinkMeter, PurchaseRequest
from gridmonitoring.blockchain.checkpoint import app_hash
from gridmonitoring.blockchain.evidence_bundle import EvidenceKind
from gridmonitoring.blockchain.state_rows import PurchaseRow, Table
from gridmonitoring.encoding.cbor import decode
from gridmonitoring.errors import Refused, StorageError, UserError
from gridmonitoring.keys.signatures import split
from gridmonitoring.runtime.answer_desk import AnswerDesk
from gridmonitoring.runtime.clock import Clock, SimulatedClock, SystemClock
from gridmonitoring.runtime.consensus.application import Receipt
from gridmonitoring.runtime.consensus.engine import Decision
from gridmonitoring.runtime.directory import Directory
from gridmonitoring.runtime.evidence_requests import make_evidence
from gridmonitoring.runtime.forensics import ForensicReport
from gridmonitoring.runtime.grid_port import PAGE, Status, ValidatorStatus
from gridmonitoring.runtime.incidents import Incidents
from gridmonitoring.runtime.meter_gateway import MeterGateway
from gridmonitoring.runtime.monitoring import Monitor, MonitorStatus
from gridmonitoring.runtime.network import Network, Outcome, outcomes
from gridmonitoring.runtime.offices import form_body, make_form
from gridmonitoring.runtime.signature_checker import VerifierPool
from gridmonitoring.runtime.storage.details import WrappedKey
from gridmonitoring.runtime.storage.truth import StoredBlock
from gridmonitoring.runtime.under_watch import Suspicion
from gridmonitoring.runtime.views.contract_database import ContractDatabase, Query, Recorded

EMPTY_BLOCK_S = 60.0
"""Time between empty blocks, seconds."""
COMET_DUTIES_S = 1.0
"""How often a node under CometBFT looks whether others' blocks made something due for it, seconds."""

_LOG = logging.getLogger("gridmonitoring.node")


class LocalGrid(Network):
    """The owner of a data directory, as a `grid_port.Grid`."""

    _monitor: Monitor | None = None

    def __init__(
        self, directory: Directory, clock: Clock | None = None, pool: VerifierPool | None = None
    ) -> None:
        """Open a directory and own it; raises `UserError`, `DirectoryBusy` or `StorageError`."""
        self._contract_view: ContractDatabase | None = None
        simulated = SimulatedClock(0) if directory.simulated.exists() else None
        super().__init__(directory, clock or simulated or SystemClock(), pool)
        if simulated is not None:
            simulated.move_to(self.application.time)
        self._simulated = simulated
        self._gateway = MeterGateway(self)
        self._desk = AnswerDesk(self)
        self._last: Future[None] | None = None
        self._given_up: dict[str, str] = {}
        self._monitor = Monitor(self)
        self._incidents = Incidents(self, self._monitor)

    # reading

    def rows(
        self, table: Table, prefix: bytes = b"", after: bytes = b"", limit: int = PAGE
    ) -> list[tuple[bytes, object]]:
        """Return up to `limit` rows of a table past a key, each checked against the state tree."""
        found = (key for key, _ in self.application.truth.rows_of(table, prefix) if key > after or not after)
        return [(key, self.row(table, key)) for key in islice(found, min(limit, PAGE))]

    def transaction(self, index: int) -> bytes:
        """Return the transaction at a log index; raises `UserError` where the log ends before."""
        if not 0 <= index < self.application.log.log.size:
            raise UserError(f"the log has {self.application.log.log.size} entries, there is no entry {index}")
        return self.application.truth.transaction(index)

    def find(self, identifier: bytes) -> int | None:
        """Return the log index of a transaction ID, or None."""
        return self.application.log.find(identifier)

    def block(self, height: int) -> StoredBlock | None:
        """Return a consensus block, or None."""
        return self.application.truth.block(height)

    def note(self) -> bytes:
        """Return the last signed checkpoint; raises `UserError` before the first block."""
        if self.application.witness is not None:
            return self.application.signed_note()
        block = self.block(self.application.height)
        if block is None:
            raise UserError("this network has decided no block yet")
        return block.note

    def consistency(self, size1: int, size2: int) -> tuple[bytes, ...]:
        """Return the proof that the log of `size2` extends that of `size1`; raises `UserError`."""
        if not 0 < size1 <= size2 <= self.application.log.log.size:
            raise UserError(f"the log has {self.application.log.log.size} entries, not {size1} to {size2}")
        return self.application.log.consistency(size1, size2)

    def status(self) -> Status:
        """Return how the network stands."""
        application = self.application
        validators = (ValidatorStatus(v.name, v.height, v.halted or "") for v in self.engine.validators)
        return Status(
            application.height,
            application.time,
            application.log.log.size,
            app_hash(application.log.log.root(), application.log.log.size, application.tree.root),
            sum(1 for _ in application.truth.rows_of(Table.SUPPLY_POINT)),
            self._simulated is not None,
            os.getpid(),
            tuple(validators),
        )

    def details_of(self, mid: bytes, after: int = -1, limit: int = PAGE) -> list[tuple[int, int, bytes]]:
        """Return (log index, time, ciphertext) of a meter's details past a log index, in order."""
        store = self.details[self.engine.voting()[0].name]
        return list(islice((found for found in store.details_of(mid) if found[0] > after), min(limit, PAGE)))

    def wrapped(self, mid: bytes, reader: bytes) -> list[tuple[int, int, bytes]]:
        """Return (meter epoch, day, box) of the days' keys that were wrapped for an HPKE key, in order."""
        return list(self.details[self.engine.voting()[0].name].wrapped(mid, reader))

    def challenge(self) -> bytes:
        """Return a challenge to log on with, good once and for a minute."""
        return self._desk.challenge()

    def answer(self, log_on: bytes, mid: bytes, number: int) -> bytes:
        """Return the sealed answer to a request of who logs on; raises `AccessDenied`."""
        return self._desk.answer(log_on, mid, number)

    def failures(self, log_on: bytes) -> bytes:
        """Return what the nodes' secure databases have, sealed to the auditor who logs on."""
        return self._desk.failures(log_on)

    def commands(self, mid: bytes) -> Sequence[bytes]:
        """Return sealed commands that a meter has not acknowledged, and its last statement if new."""
        return self._gateway.commands(mid)

    def evidence(self, kind: EvidenceKind, mid: bytes, number: int | None = None) -> bytes:
        """Return a verified bundle about a meter, as `make_evidence` does."""
        return make_evidence(self.application, self.document, kind, mid, number)

    def recorded(self, query: Query) -> list[Recorded]:
        """Return what the contract database has, brought up to the last block."""
        view = self._contracts()
        view.follow(self.application)
        return view.find(query)

    def rebuild_views(self) -> list[tuple[str, int]]:
        """Drop every view and make it anew from the truth; return (name, entries) of each."""
        view = self._contracts()
        view.clear()
        return [("contracts", view.follow(self.application))]

    def _contracts(self) -> ContractDatabase:
        if self._contract_view is None:
            self._contract_view = ContractDatabase(self.directory.view("contracts"))
        return self._contract_view

    # a node's office

    def send(self, wires: Sequence[bytes]) -> Sequence[Outcome]:
        """Take sealed reports of meters; one outcome each."""
        return self.deliver(wires)

    def wrap(self, keys: Sequence[WrappedKey]) -> None:
        """Keep period keys wrapped for their readers, at every node."""
        self._gateway.wrap(keys)

    def accuse(self, mid: bytes, delivery: bytes) -> Outcome:
        """Have a node name another that signed a delivery whose proof does not hold."""
        return self._gateway.accuse(mid, delivery)

    def process(self, request: bytes, confirmation: bytes) -> Receipt:
        """Make the form of a paid request and have it decided; the same request gets the first receipt."""
        asked = decode(split(request)[0], PurchaseRequest)
        first: PurchaseRow | None = self.row(Table.PURCHASE, asked.payer + asked.idempotency)
        now = self.clock.now_ms()
        body = form_body(self, request, confirmation, asked.mid, asked.amount, now)
        try:
            return self.require(make_form(self.node_for(asked.mid), body, now))
        except Refused as refusal:
            if refusal.rule != "already_processed" or first is None:
                raise
            return Receipt(first.form, first.index, None, ())

    def link(self, mid: bytes, device: bytes) -> Receipt:
        """Have a node add the area code and link a device to a supply point; raises `Refused`."""
        body = LinkMeter(mid, self.genesis.area, device)
        return self.require(self.node_for(mid).transaction(Kind.LINK_METER, body, self.clock.now_ms()))

    # watching

    @property
    def watcher(self) -> Monitor:
        """The monitor of the validators' files."""
        assert self._monitor is not None
        return self._monitor

    def close(self) -> None:
        """Finish writes under way, close every file and give the directory up."""
        if self._monitor is not None:
            self._monitor.give_up_pass()
        if self._contract_view is not None:
            self._contract_view.close()
            self._contract_view = None
        super().close()

    def monitor(self) -> MonitorStatus:
        """Return how far the monitor is."""
        return self.watcher.status()

    def watch(self) -> MonitorStatus:
        """Make a whole pass of the monitor, attend to what it finds, and return how it stands."""
        if self.directory.under_comet:
            raise UserError("under CometBFT a node's files are checked as they are read, and when it starts")
        self.settle()
        self.attend(self.watcher.whole_pass())
        return self.watcher.status()

    def attend(self, suspicions: Sequence[Suspicion]) -> list[ForensicReport]:
        """Confirm suspicions, record and heal what is true of them, and meters that went silent."""
        self.settle()
        reports: list[ForensicReport] = []
        for name in sorted({suspicion.node for suspicion in suspicions}):
            try:
                found = self._incidents.attend(name, [one for one in suspicions if one.node == name])
            except StorageError as error:
                _LOG.error("%s: %s", name, error)
                continue
            for report in found:
                _LOG.warning("%s: %s %s differed, healed: %s", *_said(report))
            reports += found
        self._incidents.note_silence()
        return reports

    # time

    def move_clock(self, now_ms: int) -> int:
        """Move simulated time forward and return it; raises `UserError` where time is the machine's."""
        if self._simulated is None:
            raise UserError("time is the machine's here; `gridmon init --start` makes a network whose is not")
        self._simulated.move_to(now_ms)
        return self._simulated.now_ms()

    # group commit

    def begin_submit(self, raws: Sequence[bytes]) -> tuple[list[Receipt], Future[None]]:
        """As `submit`, but return with the future that is done when all is on disk."""
        self.settle()
        decision = self.decide(raws)
        return decision.receipts, self._begun(decision)

    def begin_deliver(self, wires: Sequence[bytes]) -> tuple[list[Outcome], Future[None]]:
        """As `deliver`, but return with the future that is done when all is on disk."""
        opened = self.open(wires)
        self.settle()
        decision = self.decide_opened(opened)
        return outcomes(opened[decision.proposer], decision), self._begun(decision)

    def _begun(self, decision: Decision) -> Future[None]:
        self._last = decision.durable
        self.duties.after(decision)
        return decision.durable

    def settle(self) -> None:
        """Wait until everything decided is on disk; a failed write was answered where it was begun."""
        if self._last is not None:
            self._last.exception()

    @property
    def fresh_every_s(self) -> float:
        """Time between two calls of `keep_fresh`, seconds; CometBFT makes its empty blocks itself."""
        return COMET_DUTIES_S if self.directory.under_comet else EMPTY_BLOCK_S

    def keep_fresh(self) -> None:
        """Heal validators that stand still, decide an empty block, and do what became due meanwhile.

        What cannot be healed is tried again only when it stands still for another reason. Under CometBFT a
        validator that stands still ends with it, and its supervisor starts it again.
        """
        if self.directory.under_comet:
            self.duties.after(self.tick())
            return
        for validator in self.engine.validators:
            reason = validator.halted
            if reason is not None and self._given_up.get(validator.name) != reason:
                self._heal_or_give_up(validator.name, reason)
        self.duties.after(self.tick())

    def _heal_or_give_up(self, name: str, reason: str) -> None:
        try:
            reports = self._incidents.attend(name)
            halted = any(v.halted for v in self.engine.validators if v.name == name)
            actions = self.heal(name) if halted else [one for report in reports[:1] for one in report.healed]
            done = "; ".join(actions) or "nothing had to be mended"
        except StorageError as error:
            self._given_up[name] = reason
            _LOG.error("%s stands still: %s", name, error)
        else:
            _LOG.warning("%s votes again after: %s; healed: %s", name, reason, done)

    def recover(self) -> None:
        """Take back what an unforeseen error left half decided."""
        for validator in self.engine.voting():
            validator.application.abandon()


def _said(report: ForensicReport) -> tuple[str, str, str, str]:
    where = f"{report.table} {report.key}".strip()
    return report.node, report.part, where, "; ".join(report.healed)
