"""What worker processes open is what a node opens itself: the same claims, details, channels and refusals."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool

import pytest
from msgspec.structs import replace

from gridmonitoring.encoding.cbor import decode, encode
from gridmonitoring.errors import CannotOpen, GridMonitoringError, Malformed, Refused
from gridmonitoring.keys.channels import ChannelOffer, SealedReport
from gridmonitoring.runtime.bench.population import ReportTask, Writers
from gridmonitoring.runtime.bench.setting import Setting, populate
from gridmonitoring.runtime.contract_keys import held_secrets
from gridmonitoring.runtime.ingest import OFFER_HEAD, Ingest, Opened
from gridmonitoring.runtime.network import Network, outcomes
from gridmonitoring.runtime.signature_checker import WORTH_A_WORKER, SignatureChecker, VerifierPool

METERS, ROUNDS = 4, 20


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Setting, ReportTask]:
    """Return a network with a few meters, which every test opens anew, and what its meters know."""
    root = tmp_path_factory.mktemp("opening")
    return Setting(root, ROUNDS), replace(populate(root, METERS, 1), rounds=ROUNDS)


@pytest.fixture
def network(made: tuple[Setting, ReportTask]) -> Iterator[Network]:
    """Open the network; nothing that a test opens is decided, so it stays as it was."""
    with made[0].open(None) as opened:
        yield opened


@pytest.fixture(scope="module")
def pool() -> Iterator[VerifierPool]:
    """Two workers."""
    workers = VerifierPool(2)
    yield workers
    workers.close()


def ingest(network: Network, pool: VerifierPool | None = None) -> Ingest:
    """Return a node's way in that knows no channel and no signature yet."""
    (details,) = network.details.values()
    network.application.checker = SignatureChecker(pool)
    return Ingest(network.application, details, held_secrets(network.directory), pool)


def comparable(opened: Opened) -> list[object]:
    """Return all of a batch; errors as their type and text."""
    slots = [
        (type(slot), str(slot)) if isinstance(slot, GridMonitoringError) else slot for slot in opened.slots
    ]
    return [slots, opened.transactions, opened.details, opened.offers]


def bad_wires(wires: list[bytes]) -> list[bytes]:
    """Return messages that do not open, each for another reason."""
    offer, report = wires[0], wires[1]
    sealed = decode(report, SealedReport)
    return [
        b"",
        b"no report",
        report[:20],
        report[:-1] + bytes((report[-1] ^ 1,)),
        report + b"\0",
        encode(SealedReport(bytes(16), 1, sealed.ciphertext)),
        encode(SealedReport(sealed.channel, sealed.sequence + 1, sealed.ciphertext)),
        offer[:-1],
        encode(replace(decode(offer, ChannelOffer), box=bytes(64))),
    ]


def test_workers_open_what_the_node_opens(
    network: Network, made: tuple[Setting, ReportTask], pool: VerifierPool
) -> None:
    wires = list(Writers(made[1]).rounds())
    bad = bad_wires(wires)
    mixed = [wires[1], *bad[:3], *wires, *bad, *wires[:4]]
    here = ingest(network).open(mixed)
    assert network.application.checker.checked == 0  # checked when they are executed
    there = ingest(network, pool).open(mixed)
    assert comparable(there) == comparable(here)
    assert isinstance(here.slots[0], CannotOpen)  # its channel was not offered yet
    refusals = here.slots[4 + len(wires) :][: len(bad)]
    assert [type(slot) for slot in refusals[:4]] == [Malformed, Malformed, Malformed, CannotOpen]
    assert [type(slot) for slot in refusals[4:7]] == [Malformed, CannotOpen, CannotOpen]
    assert [type(slot) for slot in refusals[7:]] == [Malformed, CannotOpen]
    assert len(here.offers) == METERS
    good = METERS * ROUNDS + sum(not wire.startswith(OFFER_HEAD) for wire in wires[:4])
    assert len(there.transactions) == network.application.checker.checked == good


def test_batches_begun_before_their_channels_are_open_open_as_well(
    network: Network, made: tuple[Setting, ReportTask], pool: VerifierPool
) -> None:
    wires = list(Writers(made[1]).rounds())
    half = METERS + WORTH_A_WORKER + 1
    node = ingest(network, pool)
    first, second = node.begin(wires[:half]), node.begin(wires[half:])
    opened = [node.finish(first), node.finish(second)]
    assert sum(len(one.transactions) for one in opened) == METERS * ROUNDS
    assert [len(one.offers) for one in opened] == [METERS, 0]


def test_a_channel_that_is_stored_is_opened_again(
    network: Network, made: tuple[Setting, ReportTask], pool: VerifierPool
) -> None:
    wires = list(Writers(made[1]).rounds())
    first = ingest(network).open(wires[:2])
    (details,) = network.details.values()
    details.write([], first.offers)
    for workers in (None, pool):
        again = ingest(network, workers).open([wires[1]] * WORTH_A_WORKER)
        assert len(again.transactions) == WORTH_A_WORKER
        assert not again.offers


def test_what_a_worker_cannot_verify_is_left_to_the_rules(
    network: Network, made: tuple[Setting, ReportTask], pool: VerifierPool
) -> None:
    task = made[1]
    wires = list(Writers(replace(task, seeds=[bytes(32)] * METERS)).rounds())
    opened = ingest(network, pool).open(wires)
    assert network.application.checker.checked == 0
    before = network.application.tree.root
    (name,) = network.ingests
    decision = network.decide_opened({name: opened})
    refused = [outcome for outcome in outcomes(opened, decision) if outcome is not None]
    assert len(refused) == METERS * ROUNDS
    assert all(isinstance(error, Refused) and error.rule == "bad_signature" for error in refused)
    assert network.application.tree.root == before


def test_a_worker_that_dies_takes_nothing_with_it(network: Network, made: tuple[Setting, ReportTask]) -> None:
    wires = list(Writers(made[1]).rounds())
    workers = VerifierPool(1)
    try:
        node = ingest(network, workers)
        dying = workers.run(os._exit, 1)
        opened = node.finish(node.begin(wires))
        with pytest.raises(BrokenProcessPool):
            dying.result()
        again = node.open(wires)
    finally:
        workers.close()
    assert len(opened.transactions) == len(again.transactions) == METERS * ROUNDS
