"""A population of meters for measurements, brought onto the ledger by the real transactions.

Each meter is registered, installed and paid for as any other; only its readings are made up, so
that millions of signed, sealed reports can be written beforehand by another process.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256

from msgspec import Struct

from gridmonitoring.blockchain.bodies import Installation, Kind, Report, Settlement
from gridmonitoring.blockchain.genesis import Parameters
from gridmonitoring.blockchain.header import target_of_bits
from gridmonitoring.blockchain.state_rows import MAX_METERS
from gridmonitoring.blockchain.transactions import sign_transaction
from gridmonitoring.contracts.agreement import Agreement, CustomerClass
from gridmonitoring.contracts.meter_rule import Event, Relay
from gridmonitoring.contracts.script import generate_script, script_hash
from gridmonitoring.encoding.bounds import IMPORT_TOTAL, Role
from gridmonitoring.encoding.cbor import encode
from gridmonitoring.energy_center.calendar import Calendar
from gridmonitoring.energy_center.credit import Account, BillingTerms, add_lot, open_account, settle
from gridmonitoring.energy_center.tariffs import Tariff, TariffKind
from gridmonitoring.keys.channels import ChannelOffer, SealedReport, channel_id, channel_info, seal_context
from gridmonitoring.keys.sealed_boxes import SuiteNumber, report_nonce
from gridmonitoring.keys.signatures import SecretSeed, public_key_of
from gridmonitoring.registration.installation_code import installation_document, prove_code
from gridmonitoring.runtime import offices
from gridmonitoring.runtime.clock import SimulatedClock
from gridmonitoring.runtime.entropy import new_keys, random_bytes, seal_aead, seal_box
from gridmonitoring.runtime.founding import Plan, bucket_bits_for
from gridmonitoring.runtime.network import Network
from gridmonitoring.runtime.parties import Signer

START_MS = 1_190_000_000_000
"""Simulated time at which the population is installed, ms."""
WARM_UP_MS = 600_000
"""Simulated time within which the population is brought in, ms."""
DAY_MS = 86_400_000
INTERVAL_MS = 900_000
"""Time between reports, ms."""
PAID = 10_000 * 100_000_000
"""What each meter has paid: enough never to run out."""
WATT_HOURS = 120
"""Energy per reporting interval."""
ONBOARDING_STEP = 200
"""Meters brought in per block."""
SINGLES = 200
"""Meters that send one report more, each by itself."""


class BenchMeter(Struct, array_like=True, frozen=True):
    """One meter of the population."""

    mid: bytes
    seed: bytes
    tariff: Tariff
    terms: BillingTerms


class ReportTask(Struct, array_like=True, frozen=True):
    """What the writing process needs to make reports."""

    chain_id: bytes
    contract_key: bytes
    mids: list[bytes]
    seeds: list[bytes]
    tariff: Tariff
    terms: BillingTerms
    rounds: int
    """Reports per meter; every second one settles."""


def bench_plan(validators: int, meters: int) -> Plan:
    """Return a network for measurements: as any other of its size, with a target that takes no work."""
    parameters = Parameters(target=target_of_bits(0), bucket_bits=bucket_bits_for(meters))
    return Plan("bench", "BENCH", validators=validators, parameters=parameters)


def bench_tariff(utility: bytes) -> Tariff:
    """Return a flat tariff with a standing charge."""
    calendar = Calendar("UTC", ((0, 0),), (0,) * 7, ())
    valid_from = START_MS - 400 * DAY_MS
    rates = ((1, 25_000_000),)
    return Tariff(
        utility, "bench", "EUR", valid_from, int(TariffKind.FLAT), rates, (), (), 30_000_000, 0, calendar
    )


def bring_in(network: Network, clock: SimulatedClock, count: int) -> ReportTask:
    """Register, install and pay for `count` meters through the ledger; returns what to report for."""
    utility, vendor = network.signer("utility"), network.signer("vendor")
    registrar, authenticator = network.signer("registrar"), network.signer("authenticator")
    center = network.signer("energy-center")
    node = next(iter(network.nodes.values()))
    tariff = bench_tariff(utility.id)
    terms = BillingTerms(500_000_000, 1_000_000)
    _all(
        network,
        [
            offices.publish(utility, tariff, START_MS),
            offices.offer_capacity(center, START_MS, START_MS + 30 * DAY_MS, 2**60, START_MS),
        ],
    )
    mids: list[bytes] = []
    seeds: list[bytes] = []
    for first in range(0, count, ONBOARDING_STEP):
        now = START_MS + 10 * (first // ONBOARDING_STEP)
        step = [offices.new_meter(str(n)) for n in range(first, min(first + ONBOARDING_STEP, count))]
        consumers = [_consumer(network) for _ in range(0, len(step), MAX_METERS)]
        points = [offices.register(registrar, consumer, bytes(32), now) for consumer in consumers]
        installs: list[bytes] = []
        reports: list[bytes] = []
        for number, meter in enumerate(step):
            consumer = consumers[number // MAX_METERS]
            agreement = _agreement(utility.id, consumer.id, meter.mid, tariff, terms)
            points += offices.begin_supply(
                registrar,
                authenticator,
                node,
                network.genesis.area,
                consumer.id,
                utility.id,
                meter,
                bytes(32),
                now,
            )
            points.append(offices.agree(utility, consumer, agreement, now))
            seed, raw = _install(network, agreement, meter, now + 1)
            installs.append(raw)
            body = _report(Event.INSTALLATION, 1, Settlement(((IMPORT_TOTAL, 0),), 0))
            reports.append(_sign(seed, network.chain_id, meter.mid, 2, now + 3, body))
            mids.append(meter.mid)
            seeds.append(seed)
        access = [offices.give_access(authenticator, meter.mid, 1, now + 2) for meter in step]
        clock.move_to(now + 3)
        _all(network, [*points, *installs, *access, *reports])
        clock.move_to(now + 4)
        forms = [
            offices.purchase(
                *(network, node, consumers[number // MAX_METERS], vendor, meter.mid, PAID, meter.mid, now + 4)
            )
            for number, meter in enumerate(step)
        ]
        _all(network, forms)
    return ReportTask(network.chain_id, network.genesis.contract_key, mids, seeds, tariff, terms, 0)


def _consumer(network: Network) -> Signer:
    return offices.consumer_signer(network, "population", new_keys())


def _all(network: Network, raws: Sequence[bytes]) -> None:
    for receipt in network.submit(raws):
        if receipt.error is not None:
            raise receipt.error


def _agreement(utility: bytes, consumer: bytes, mid: bytes, tariff: Tariff, terms: BillingTerms) -> Agreement:
    return Agreement(
        utility,
        consumer,
        mid,
        CustomerClass.HOME,
        tariff.digest,
        terms,
        INTERVAL_MS,
        DAY_MS,
        0,
        False,
        "en",
        False,
        (),
        (),
        START_MS,
    )


def _install(
    network: Network, agreement: Agreement, meter: offices.NewMeter, now: int
) -> tuple[bytes, bytes]:
    keys = new_keys()
    script = script_hash(generate_script(agreement, network.genesis.contract_key))
    document = installation_document(meter.mid, 1, keys.sign_key, keys.hpke_key, succeeded=True)
    proof = prove_code(meter.code, network.chain_id, document)
    body = Installation(1, keys.sign_key, keys.hpke_key, proof, script, ((IMPORT_TOTAL, 0),), True)
    raw = sign_transaction(
        keys.seed, network.chain_id, Role.METER, meter.mid, 1, now, Kind.INSTALLATION, body
    )
    return keys.seed, raw


def _report(event: Event, carried_out: int, reading: bytes | Settlement, detail: bytes = bytes(32)) -> Report:
    return Report(1, int(event), 0, int(Relay.CONNECTED), carried_out, detail, bytes(32), reading)


def _sign(seed: bytes, chain_id: bytes, mid: bytes, sequence: int, time: int, body: Report) -> bytes:
    return sign_transaction(SecretSeed(seed), chain_id, Role.METER, mid, sequence, time, Kind.REPORT, body)


class Writers:
    """All meters of a population, as they would send their reports."""

    def __init__(self, task: ReportTask) -> None:
        self._rounds = task.rounds
        self._meters = [_Writer(task, mid, seed) for mid, seed in zip(task.mids, task.seeds, strict=True)]

    def rounds(self) -> Iterator[bytes]:
        """Yield reports round by round, of every meter; its channel is offered before its first."""
        for number in range(self._rounds):
            for meter in self._meters:
                yield from meter.report(number)

    def singles(self) -> Iterator[bytes]:
        """Yield the report after all rounds of a few meters."""
        for meter in self._meters[:SINGLES]:
            yield from meter.report(self._rounds)


class _Writer:
    """One meter's side of the benchmark: signs and seals, keeps its own account."""

    def __init__(self, task: ReportTask, mid: bytes, seed: bytes) -> None:
        self._task = task
        self._mid = mid
        self._seed = SecretSeed(seed)
        self._key = random_bytes(32)
        self._channel = b""
        account = open_account(task.tariff, ((IMPORT_TOTAL, 0),), START_MS + 1, 1)
        account, _ = settle(account, task.tariff, task.terms, ((IMPORT_TOTAL, 0),), START_MS + 2, 2)
        self._account: Account = add_lot(account, 1, PAID, 1000)[0]
        public_key_of(self._seed)

    def report(self, number: int) -> Iterator[bytes]:
        """Yield the wire messages of the meter's report of one round."""
        task = self._task
        if not self._channel:
            yield self._offer()
        sequence, time = 3 + number, START_MS + WARM_UP_MS + (number + 1) * 1000
        registers = ((IMPORT_TOTAL, WATT_HOURS * (number + 1)),)
        reading: bytes | Settlement = random_bytes(32)
        if number % 2:
            self._account, settled = settle(self._account, task.tariff, task.terms, registers, time, sequence)
            reading = Settlement(registers, settled.statement.credit - settled.statement.debt)
        detail = random_bytes(160)
        body = _report(Event.INTERVAL, 2, reading, sha256(detail).digest())
        raw = _sign(self._seed, task.chain_id, self._mid, sequence, time, body)
        nonce = report_nonce(1, sequence)
        context = seal_context(task.chain_id, self._channel)
        sealed = seal_aead(self._key, nonce, encode([raw, detail]), context)
        yield encode(SealedReport(self._channel, sequence, sealed))

    def _offer(self) -> bytes:
        task, period = self._task, START_MS // DAY_MS
        info = channel_info(task.chain_id, self._mid, 1, period, task.contract_key)
        box = seal_box(task.contract_key, info, self._key)
        offer = encode(ChannelOffer(self._mid, 1, period, SuiteNumber.X25519, task.contract_key, box))
        self._channel = channel_id(offer)
        return offer
