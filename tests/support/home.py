"""A home on a small network: a consumer with the real meter, step by step through the paper's registration.

The meter is `runtime.meter_agent` over `runtime.meter_gateway`: sealed reports go to four validators, proven
commands come back. Each step of IV-A is a method, so that a test can leave one out or take it too early.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from gridmonitoring.blockchain.bodies import Kind
from gridmonitoring.blockchain.parent_block import ParentBlock, decode_parent
from gridmonitoring.blockchain.side_block import SideBlock, decode_side
from gridmonitoring.blockchain.state_rows import (
    FindingRow,
    MessageRow,
    MeterRow,
    SupplyPointRow,
    Table,
    height_key,
)
from gridmonitoring.blockchain.transactions import Payload, decode_payload
from gridmonitoring.contracts.agreement import Agreement, CustomerClass
from gridmonitoring.contracts.messages import Message
from gridmonitoring.contracts.meter_rule import Relay
from gridmonitoring.energy_center.credit import Account, BillingTerms
from gridmonitoring.energy_center.tariffs import Tariff
from gridmonitoring.keys.signatures import split
from gridmonitoring.processing.rows import AgreementRow, TariffRow
from gridmonitoring.runtime.entropy import new_keys, random_bytes
from gridmonitoring.runtime.meter_agent import Device, MeterAgent
from gridmonitoring.runtime.meter_gateway import MeterGateway
from gridmonitoring.runtime.meter_port import Outcome
from gridmonitoring.runtime.offices import (
    agree,
    begin_supply,
    commitment,
    consumer_signer,
    give_access,
    new_meter,
    purchase,
    register,
)
from gridmonitoring.runtime.storage.details import WrappedKey
from gridmonitoring.runtime.storage.outbox import Outbox
from tests.support.network import DAY_MS, INTERVAL_MS, SmallNetwork

MINUTE_MS = 60_000
STEPS = ("registration", "meter ID", "verification", "link", "agreement", "installation", "access")
"""The steps of IV-A, in order."""


class Line:
    """The line between meter and grid, on which somebody listens and can put something else."""

    def __init__(self, gateway: MeterGateway) -> None:
        self._gateway = gateway
        self.sent: list[bytes] = []
        """What went from the meter to the grid."""
        self.instead: list[bytes] | None = None
        """What reaches the meter in the place of what the grid says."""

    def send(self, wires: Sequence[bytes]) -> Sequence[Outcome]:
        """Hand sealed reports over."""
        self.sent.extend(wires)
        return self._gateway.send(wires)

    def commands(self, mid: bytes) -> Sequence[bytes]:
        """Return what the meter hears."""
        return self._gateway.commands(mid) if self.instead is None else self.instead

    def accuse(self, mid: bytes, delivery: bytes) -> Outcome:
        """Hand a delivery over whose proof does not hold."""
        return self._gateway.accuse(mid, delivery)

    def wrap(self, keys: Sequence[WrappedKey]) -> None:
        """Hand wrapped keys over."""
        self._gateway.wrap(keys)


class Home:
    """One consumer and what belongs to the supply point."""

    def __init__(
        self,
        small: SmallNetwork,
        tariff: Tariff,
        house_number: str = "12b",
        custodian: bytes = b"",
        custodian_may_read: bool = False,
        **agreed: Any,
    ) -> None:
        """`custodian` is the HPKE key of the utility's custodian, who reads where the agreement says so."""
        self.small = small
        self.network = small.network
        self.house_number = house_number
        self.consumer = consumer_signer(self.network, f"consumer {house_number}", new_keys())
        self.made = new_meter(house_number)
        self.mid = self.made.mid
        agreement = Agreement(
            self.network.signer("utility").id,
            self.consumer.id,
            self.mid,
            CustomerClass.HOME,
            tariff.digest,
            BillingTerms(0, 5 * 10**8),
            INTERVAL_MS,
            DAY_MS,
            0,
            custodian_may_read,
            "en",
            False,
            (),
            (),
            small.clock.now_ms(),
        )
        self.agreement = replace(agreement, **agreed)
        self.keys = new_keys()
        self.device = Device(
            *(self.network.document, self.mid, 1, self.agreement, (tariff,)),
            self.consumer.keys.hpke_key,
            custodian,
        )
        self.line = Line(MeterGateway(self.network))
        self.outbox = Outbox()
        self.agent = MeterAgent(self.device, self.keys, self.line, self.outbox)

    @property
    def now(self) -> int:
        """The clock's time, ms."""
        return self.small.clock.now_ms()

    # IV-A, step by step

    def step(self, name: str) -> bytes:
        """Return the transaction of a step of IV-A."""
        signer = self.network.signer
        if name == "registration":
            return register(signer("registrar"), self.consumer, commitment("name", bytes(32)), self.now)
        if name == "agreement":
            return agree(signer("utility"), self.consumer, self.agreement, self.now)
        if name == "installation":
            return self.agent.install(self.made.code, self.now)
        if name == "access":
            return give_access(signer("authenticator"), self.mid, 1, self.now)
        offices = signer("registrar"), signer("authenticator"), signer("node-02")
        utility = signer("utility").id
        raws = begin_supply(*offices, "A1", self.consumer.id, utility, self.made, bytes(32), self.now)
        return raws[("meter ID", "verification", "link").index(name)]

    def take_steps(self, upto: int = len(STEPS)) -> None:
        """Take the first steps of IV-A."""
        for name in STEPS[:upto]:
            self.wait()
            self.network.require(self.step(name))

    # living in it

    def wait(self, ms: int = 1) -> None:
        """Let time pass."""
        self.small.clock.move_to(self.now + ms)

    def meet(self) -> None:
        """The meter sends what waits, hears what there is, and sends again."""
        self.wait()
        self.agent.flush()
        self.agent.poll(self.now)
        self.agent.flush()

    def move_in(self, money: int) -> None:
        """Take every step, report the installation, pay and have power."""
        self.take_steps()
        self.meet()
        self.live(1, 0)
        self.buy(money)
        self.meet()
        self.agent.accept_reconnection(self.now)
        self.meet()

    def buy(self, money: int) -> bytes:
        """Pay, and return the form's transaction."""
        self.wait()
        node, vendor = self.network.signer("node-03"), self.network.signer("vendor")
        form = purchase(
            *(self.network, node, self.consumer, vendor, self.mid, money, random_bytes(8), self.now)
        )
        self.network.require(form)
        return form

    def live(self, minutes: int, watts: int) -> None:
        """Use power, and let the meter and the grid meet after it."""
        start = max(self.agent.time, self.now) // MINUTE_MS * MINUTE_MS + MINUTE_MS
        for minute in range(minutes):
            self.agent.minute(start + minute * MINUTE_MS, watts)
        self.small.clock.move_to(start + minutes * MINUTE_MS)
        self.meet()

    # what the ledger says

    def meter(self) -> MeterRow:
        """Return the meter's row."""
        row: MeterRow = self.network.row(Table.METER, self.mid)
        return row

    def point(self) -> SupplyPointRow:
        """Return the supply point."""
        row: SupplyPointRow = self.network.row(Table.SUPPLY_POINT, self.mid)
        return row

    def parents(self) -> list[ParentBlock]:
        """Return the locked parent blocks of the thread, in order."""
        return [decode_parent(body.block) for body in self._blocks(Kind.LOCK)]

    def sides(self, height: int) -> list[SideBlock]:
        """Return the side blocks of a parent, in order."""
        return [decode_side(body.block) for body in self._blocks(Kind.SIDE_BLOCK) if body.height == height]

    def told(self) -> list[Message]:
        """Return the messages of the contract that are in side blocks, in order."""
        blocks = [decode_side(body.block) for body in self._blocks(Kind.SIDE_BLOCK)]
        entries = sorted((e.number, e.message.code) for block in blocks for e in block.body.entries)
        return [Message(code) for _, code in entries]

    def findings(self) -> dict[int, FindingRow]:
        """Return the violations of the meter with their receipts, by number."""
        numbers = range(1, self.meter().messages + 1)
        rows = {n: self.network.row(Table.FINDING, height_key(self.mid, n)) for n in numbers}
        return {number: row for number, row in rows.items() if row is not None}

    def entries(self) -> dict[int, MessageRow]:
        """Return what the side blocks of the thread hold, by number."""
        blocks = [decode_side(body.block) for body in self._blocks(Kind.SIDE_BLOCK)]
        return {entry.number: entry.message for block in blocks for entry in block.body.entries}

    def account(self) -> Account:
        """Return the account that the ledger has."""
        row: Account = self.network.row(Table.ACCOUNT, self.mid)
        return row

    def relay(self) -> Relay:
        """Return where the meter's relay is."""
        return self.agent.meter.relay

    def _blocks(self, kind: Kind) -> list[Any]:
        payloads = [payload for _, payload in logged(self.small)]
        return [p.body for p in payloads if p.kind == kind and p.body.mid == self.mid]


def logged(small: SmallNetwork) -> list[tuple[bytes, Payload[Any]]]:
    """Return every transaction of the log with what it says, in order."""
    application = small.network.application
    raws = [application.truth.transaction(index) for index in range(application.log.log.size)]
    return [(raw, decode_payload(split(raw)[0])) for raw in raws]


def tariff_of(small: SmallNetwork) -> Tariff:
    """Return the tariff of the network's meters."""
    agreed: AgreementRow = small.network.row(Table.AGREEMENT, small.meters[0].mid)
    published: TariffRow = small.network.row(Table.TARIFF, agreed.agreement.tariff)
    return published.tariff
