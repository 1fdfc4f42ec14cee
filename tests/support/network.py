"""A small embedded network for tests: founded, with meters that are registered, installed and in credit.

`small_network` makes one in a folder, `open_small` opens it again (also in another process: the meters' keys
are key files beside the others), `report_wires` makes sealed reports as a meter sends them. The meters here
know only what a test needs; the real one is `smart_meter`.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

from gridmonitoring.blockchain.bodies import Installation, Kind, Report, Settlement
from gridmonitoring.blockchain.genesis import Parameters
from gridmonitoring.blockchain.state_rows import MeterRow, Table
from gridmonitoring.blockchain.transactions import sign_transaction
from gridmonitoring.contracts.agreement import Agreement, CustomerClass
from gridmonitoring.contracts.meter_rule import Event, Relay
from gridmonitoring.encoding.bounds import IMPORT_TOTAL, Role
from gridmonitoring.encoding.cbor import encode
from gridmonitoring.energy_center.calendar import Calendar
from gridmonitoring.energy_center.credit import Account, BillingTerms, settle
from gridmonitoring.energy_center.tariffs import Tariff, TariffKind
from gridmonitoring.keys.channels import ChannelOffer, SealedReport, channel_id, channel_info, seal_context
from gridmonitoring.keys.sealed_boxes import SuiteNumber, report_nonce
from gridmonitoring.processing.rows import AgreementRow, TariffRow
from gridmonitoring.registration.installation_code import installation_document, prove_code
from gridmonitoring.runtime.clock import SimulatedClock
from gridmonitoring.runtime.directory import Directory
from gridmonitoring.runtime.entropy import KeyPair, new_keys, random_bytes, seal_aead, seal_box
from gridmonitoring.runtime.founding import Plan, found
from gridmonitoring.runtime.key_files import read_keys, write_keys
from gridmonitoring.runtime.network import Network
from gridmonitoring.runtime.offices import (
    NewMeter,
    agree,
    begin_supply,
    commitment,
    consumer_signer,
    give_access,
    new_meter,
    offer_capacity,
    publish,
    purchase,
    register,
)
from gridmonitoring.runtime.parties import Signer

START = 1_190_000_000_000
"""Time of genesis, ms."""
INTERVAL_MS = 900_000
"""Between two reports of a meter, ms."""
DAY_MS = 86_400_000
EASY = bytes.fromhex("207fffff")
"""A target that every second hash meets."""
CREDIT = 500_000_000_000
"""What each meter's consumer pays at first, money."""


class MeterInHand:
    """A meter with its keys; its sequence, time, registers and account go on from the ledger's rows."""

    def __init__(self, network: Network, mid: bytes, keys: KeyPair, consumer: Signer) -> None:
        self.mid = mid
        self.keys = keys
        self.consumer = consumer
        self._network = network
        self._channel: tuple[bytes, bytes, bytes] | None = None
        self.resume()

    def resume(self) -> None:
        """Go on from what the ledger has of this meter."""
        row: MeterRow | None = self._network.row(Table.METER, self.mid)
        assert row is not None
        self.sequence, self.time, self.carried_out = row.sequence, row.time, row.commands
        self._account: Account | None = self._network.row(Table.ACCOUNT, self.mid)
        registers = self._account.statement.registers if self._account else ((IMPORT_TOTAL, 0, 0),)
        self.register = registers[0][2]

    def start_over(self) -> None:
        """Go on from the ledger after trouble, and offer a channel anew."""
        self._channel = None
        self.resume()

    def claim(
        self,
        event: Event,
        relay: Relay,
        *,
        settles: bool,
        time: int,
        detail: bytes = b"",
        status: int = 0,
    ) -> bytes:
        """Return the next signed claim; `detail` is the ciphertext that it names."""
        self.sequence, self.time = self.sequence + 1, max(time, self.time + 1)
        reading = self._settlement() if settles else sha256(self.register.to_bytes(8, "big")).digest()
        body = Report(
            1,
            event,
            status,
            relay,
            self.carried_out,
            sha256(detail).digest(),
            sha256(b"key").digest(),
            reading,
        )
        return self.sign(Kind.REPORT, body)

    def sign(self, kind: Kind, body: object) -> bytes:
        """Return a transaction of this meter at its present sequence and time."""
        return sign_transaction(
            self.keys.seed,
            self._network.chain_id,
            Role.METER,
            self.mid,
            self.sequence,
            self.time,
            kind,
            body,
        )

    def _settlement(self) -> Settlement:
        registers = ((bytes(IMPORT_TOTAL), self.register),)
        row: AgreementRow = self._network.row(Table.AGREEMENT, self.mid)
        tariff: TariffRow = self._network.row(Table.TARIFF, row.agreement.tariff)
        assert self._account is not None
        self._account, settled = settle(
            self._account, tariff.tariff, row.agreement.billing, registers, self.time, self.sequence
        )
        return Settlement(registers, settled.statement.credit - settled.statement.debt)

    def wires(self, *, settles: bool, energy: int) -> list[bytes]:
        """Return the next interval's sealed report, after the offer of its channel where that is new."""
        self.register += energy
        detail = random_bytes(48)
        claim = self.claim(
            Event.INTERVAL, Relay.CONNECTED, settles=settles, time=self.time + INTERVAL_MS, detail=detail
        )
        offers: list[bytes] = []
        if self._channel is None:
            offers.append(self._offer())
        assert self._channel is not None
        identifier, key, _ = self._channel
        context = seal_context(self._network.chain_id, identifier)
        ciphertext = seal_aead(key, report_nonce(1, self.sequence), encode([claim, detail]), context)
        return [*offers, encode(SealedReport(identifier, self.sequence, ciphertext))]

    def _offer(self) -> bytes:
        key, contract = random_bytes(32), self._network.genesis.contract_key
        period = self.time // DAY_MS
        info = channel_info(self._network.chain_id, self.mid, 1, period, contract)
        box = seal_box(contract, info, key)
        offer = encode(ChannelOffer(self.mid, 1, period, SuiteNumber.X25519, contract, box))
        self._channel = (channel_id(offer), key, offer)
        return offer


class SmallNetwork:
    """A network with the meters that report to it."""

    def __init__(self, directory: Directory, network: Network, clock: SimulatedClock) -> None:
        self.directory = directory
        self.network = network
        self.clock = clock
        self.meters: list[MeterInHand] = []
        self.codes: list[bytes] = []
        """One-time codes that enrolled the meters of this process."""

    def submit(self, raws: Iterable[bytes]) -> None:
        """Decide transactions that must all be accepted."""
        for receipt in self.network.submit(list(raws)):
            if receipt.error is not None:
                raise receipt.error

    def deliver(self, wires: list[bytes]) -> list[int]:
        """Deliver sealed reports that must all be accepted; return their log indexes."""
        indexes: list[int] = []
        for outcome in self.network.deliver(wires):
            if isinstance(outcome, Exception):
                raise outcome
            if outcome is not None:
                indexes.append(outcome)
        return indexes

    def close(self) -> None:
        """Close the network; its files are whole then."""
        self.network.close()

    def reopen(self) -> SmallNetwork:
        """Close and open again."""
        self.close()
        return open_small(self.directory.root)


def small_network(path: Path, validators: int = 4, meters: int = 3, *, bits: int = 8) -> SmallNetwork:
    """Found a network in `path` with meters that are in credit and connected."""
    directory = Directory(path)
    directory.acquire()
    plan = Plan("tests", "A1", validators=validators, parameters=Parameters(EASY, bits))
    found(directory, plan, START)
    directory.release()
    clock = SimulatedClock(START)
    network = Network(directory, clock)
    small = SmallNetwork(directory, network, clock)
    tariff = _begin(small)
    for number in range(1, meters + 1):
        small.meters.append(_install(small, number, tariff))
    return small


def open_small(path: Path) -> SmallNetwork:
    """Open a network that `small_network` made; its clock goes on from the last block."""
    directory = Directory(path)
    clock = SimulatedClock(START)
    network = Network(directory, clock)
    small = SmallNetwork(directory, network, clock)
    clock.move_to(network.application.time)
    for file in sorted(directory.keys.glob("meter-*.json")):
        _, mid, keys = read_keys(file)
        _, _, own = read_keys(directory.key_file(file.stem.replace("meter", "consumer")))
        small.meters.append(MeterInHand(network, mid, keys, consumer_signer(network, file.stem, own)))
    return small


def report_wires(small: SmallNetwork, rounds: int, *, settle_every: int = 4, energy: int = 50) -> list[bytes]:
    """Return sealed reports of `rounds` intervals of every meter; the clock moves to the last one's time."""
    wires: list[bytes] = []
    for number in range(rounds):
        for meter in small.meters:
            settles = settle_every > 0 and number % settle_every == settle_every - 1
            wires += meter.wires(settles=settles, energy=energy)
            small.clock.move_to(meter.time)
    return wires


def _begin(small: SmallNetwork) -> Tariff:
    signer = small.network.signer
    utility, center = signer("utility"), signer("energy-center")
    calendar = Calendar("UTC+1", ((0, 60),), (0,) * 7, ())
    tariff = Tariff(
        utility.id,
        "flat",
        "EUR",
        START - 400 * DAY_MS,
        TariffKind.FLAT,
        ((1, 25_000_000),),
        (),
        (),
        30_000_000,
        0,
        calendar,
    )
    offered = offer_capacity(center, START - 1, START + 10_000 * DAY_MS, 10**12, START)
    small.submit([publish(utility, tariff, START), offered])
    return tariff


def _install(small: SmallNetwork, number: int, tariff: Tariff) -> MeterInHand:
    """Take a meter from registration to power (paper IV-A), with its first purchase."""
    network, keys = small.network, new_keys()
    consumer = consumer_signer(network, f"consumer-{number}", new_keys())
    made = new_meter(f"{number}")
    write_keys(small.directory.key_file(f"meter-{number}"), Role.METER, made.mid, keys)
    write_keys(small.directory.key_file(f"consumer-{number}"), Role.CONSUMER, consumer.id, consumer.keys)
    agreement = _agreement(small, made, consumer, tariff)
    small.clock.move_to(network.application.time + 1)
    time = small.clock.now_ms()
    registrar, authenticator = network.signer("registrar"), network.signer("authenticator")
    node, utility = network.signer("node-01"), network.signer("utility")
    small.submit([register(registrar, consumer, commitment(f"consumer {number}", bytes(32)), time)])
    small.submit(
        begin_supply(registrar, authenticator, node, "A1", consumer.id, utility.id, made, bytes(32), time)
    )
    small.submit([agree(utility, consumer, agreement, time)])
    return _connect(small, MeterInHand(network, made.mid, keys, consumer), made)


def _agreement(small: SmallNetwork, made: NewMeter, consumer: Signer, tariff: Tariff) -> Agreement:
    return Agreement(
        small.network.signer("utility").id,
        consumer.id,
        made.mid,
        CustomerClass.HOME,
        tariff.digest,
        BillingTerms(100, 100_000_000),
        INTERVAL_MS,
        DAY_MS,
        0,
        False,
        "en",
        False,
        (),
        (),
        START,
    )


def _connect(small: SmallNetwork, meter: MeterInHand, made: NewMeter) -> MeterInHand:
    network, clock = small.network, small.clock
    row: AgreementRow = network.row(Table.AGREEMENT, meter.mid)
    meter.sequence, meter.time = 1, clock.now_ms() + 1
    keys, script = meter.keys, row.script
    small.codes.append(made.code)
    first = ((bytes(IMPORT_TOTAL), 0),)
    document = installation_document(meter.mid, 1, keys.sign_key, keys.hpke_key, succeeded=True)
    proof = prove_code(made.code, network.chain_id, document)
    body = Installation(1, keys.sign_key, keys.hpke_key, proof, script, first, succeeded=True)
    small.submit([meter.sign(Kind.INSTALLATION, body)])
    small.submit([give_access(network.signer("authenticator"), meter.mid, 1, clock.now_ms())])
    meter.resume()
    now = meter.time + 1
    small.submit([meter.claim(Event.INSTALLATION, Relay.CONNECTED, settles=True, time=now)])
    small.submit([meter.claim(Event.OUT_OF_CREDIT, Relay.DISCONNECTED, settles=True, time=now)])
    buy(small, meter, CREDIT)
    small.submit([meter.claim(Event.CREDIT_RESTORED, Relay.READY_FOR_RECONNECTION, settles=True, time=now)])
    small.submit([meter.claim(Event.RECONNECTED, Relay.CONNECTED, settles=True, time=now)])
    return meter


def buy(small: SmallNetwork, meter: MeterInHand, amount: int, reference: bytes = b"") -> None:
    """Buy power for a meter, which then knows of it."""
    network = small.network
    small.clock.move_to(meter.time + 1)
    small.submit(
        [
            purchase(
                network,
                network.signer("node-01"),
                meter.consumer,
                network.signer("vendor"),
                meter.mid,
                amount,
                reference or random_bytes(8),
                small.clock.now_ms(),
            )
        ]
    )
    meter.resume()
