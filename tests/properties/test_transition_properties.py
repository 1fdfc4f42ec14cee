"""Properties of the state transition: what comes in can be refused, and nothing else goes wrong.

The order of accepted transactions decides everything, never how they were cut into blocks (1-architecture,
"Consensus"; paper IV-C and IV-D).
"""

from __future__ import annotations

from collections.abc import Sequence

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridmonitoring.errors import GridMonitoringError, Refused
from gridmonitoring.keys.signatures import assemble
from gridmonitoring.runtime.offices import offer_capacity
from tests.support.alterations import ANYTHING, altered
from tests.support.network import SmallNetwork, report_wires, small_network
from tests.support.replica import Replica
from tests.support.told_story import ToldStory

MANY = settings(max_examples=3 * settings().max_examples)
FEW = settings(max_examples=settings().max_examples // 3)
FUTURE = 15 * 60 * 1000
"""How far a signed time may be past block time, ms."""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> ToldStory:
    return ToldStory(tmp_path_factory.mktemp("story") / "network")


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> SmallNetwork:
    return small_network(tmp_path_factory.mktemp("wires") / "network", 1, 1)


@pytest.fixture(scope="module")
def wires(network: SmallNetwork) -> Sequence[bytes]:
    """A channel offer that was taken, and a sealed report that was not sent."""
    offer, first, second = report_wires(network, 2, settle_every=0)
    network.deliver([offer, first])
    return [offer, second]


def cut(raws: Sequence[bytes], places: set[int]) -> list[Sequence[bytes]]:
    """Return the transactions as blocks that end at these places."""
    ends = [*sorted(place for place in places if 0 < place < len(raws)), len(raws)]
    return [raws[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def told_again(told: ToldStory, blocks: Sequence[Sequence[bytes]], time: int) -> tuple[Replica, list[str]]:
    """Return the chain after these blocks and what became of each transaction."""
    replica = told.replica()
    rules = [outcome.rule for block in blocks for outcome in replica.block(block, time)]
    return replica, rules


def framed(value: object) -> st.SearchStrategy[bytes]:
    """An array that begins as a transaction does, in a frame as of a signature."""
    signer = st.binary(min_size=16, max_size=16)
    head = st.tuples(st.integers(0, 32), st.integers(0, 2), st.integers(0, 13), signer)
    payload = head.map(lambda start: cbor2.dumps([*start, 1, 1, value]))
    return payload.map(lambda encoded: assemble(encoded, bytes(64)))


@given(st.one_of(st.binary(max_size=300), ANYTHING.flatmap(framed)))
@MANY
def test_arbitrary_bytes_are_refused_and_change_nothing(told: ToldStory, raw: bytes) -> None:
    replica = told.replica()
    before = replica.app_hash
    assert replica.block([raw], told.time)[0].rule
    assert replica.app_hash == before


@given(st.data())
@MANY
def test_what_a_signer_alters_is_accepted_or_refused(told: ToldStory, data: st.DataObject) -> None:
    """Every field, document and shape of a valid transaction, altered and signed again by its own signer."""
    index = data.draw(st.integers(0, len(told.raws) - 1), label="transaction")
    raw = data.draw(altered(told.raws[index], told.known, told.signed_again), label="altered")
    replica = told.replica(index)
    before = replica.app_hash
    (outcome,) = replica.block([raw], told.time)
    assert bool(outcome.rule) == (replica.app_hash == before)
    replica.block(told.raws[index:], told.time)


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_a_flipped_bit_is_refused_and_changes_nothing(told: ToldStory, which: int, where: int) -> None:
    index = which % len(told.raws)
    raw = bytearray(told.raws[index])
    place = where % (8 * len(raw))
    raw[place // 8] ^= 1 << place % 8
    replica = told.replica(index)
    before = replica.app_hash
    assert replica.block([bytes(raw)], told.time)[0].rule
    assert replica.app_hash == before


@given(st.data())
@FEW
def test_the_root_depends_on_the_order_alone(told: ToldStory, data: st.DataObject) -> None:
    """Cut into any blocks at any times that allow it, with empty ones between: one app_hash, no refusal."""
    places = data.draw(st.sets(st.integers(1, len(told.raws) - 1)), label="ends of blocks")
    later = data.draw(st.integers(0, 10**12), label="later")
    blocks: list[Sequence[bytes]] = [block for part in cut(told.raws, places) for block in (part, [])]
    replica, rules = told_again(told, blocks, told.time + later)
    assert set(rules) == {""}
    assert replica.app_hash == told.replica(len(told.raws)).app_hash


@given(st.data())
@FEW
def test_any_order_is_decided_alike_however_it_is_cut(told: ToldStory, data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(len(told.raws))), label="order")
    raws = [told.raws[index] for index in order]
    places = data.draw(st.sets(st.integers(1, len(raws) - 1)), label="ends of blocks")
    whole, at_once = told_again(told, [raws], told.time)
    parts, in_parts = told_again(told, cut(raws, places), told.time)
    assert at_once == in_parts
    assert whole.app_hash == parts.app_hash
    accepted = [raw for raw, rule in zip(raws, at_once, strict=True) if not rule]
    alone, rules = told_again(told, [accepted], told.time)
    assert set(rules) <= {""}
    assert alone.app_hash == whole.app_hash


@given(st.integers(0, 10**6), st.integers(0, 3))
@FEW
def test_what_was_accepted_is_refused_from_then_on(told: ToldStory, which: int, later: int) -> None:
    index = which % len(told.raws)
    replica = told.replica(min(len(told.raws), index + 1 + later))
    before = replica.app_hash
    assert replica.block([told.raws[index]], told.time)[0].rule
    assert replica.app_hash == before


@given(
    st.one_of(st.binary(max_size=300), st.binary(max_size=200).map(lambda rest: b"\x84\x68sealed/1" + rest))
)
def test_arbitrary_bytes_as_a_sealed_report_are_answered(network: SmallNetwork, wire: bytes) -> None:
    application = network.network.application
    before = (application.tree.root, application.log.log.size)
    (outcome,) = network.network.deliver([wire])
    assert isinstance(outcome, GridMonitoringError)
    assert (application.tree.root, application.log.log.size) == before


@given(st.integers(0, 1), st.integers(0, 10**6))
def test_a_flipped_bit_of_a_sealed_report_is_answered(
    network: SmallNetwork, wires: Sequence[bytes], which: int, where: int
) -> None:
    wire = bytearray(wires[which])
    place = where % (8 * len(wire))
    wire[place // 8] ^= 1 << place % 8
    application = network.network.application
    before = (application.tree.root, application.log.log.size)
    (outcome,) = network.network.deliver([bytes(wire)])
    assert isinstance(outcome, GridMonitoringError)
    assert (application.tree.root, application.log.log.size) == before


@given(st.lists(st.integers(0, 3), max_size=6))
def test_a_bad_report_sinks_only_itself(
    network: SmallNetwork, wires: Sequence[bytes], bad_places: list[int]
) -> None:
    """Rubbish among good reports leaves the good ones as they are (IV-D: packages)."""
    good = report_wires(network, 2, settle_every=2)
    batch = list(good)
    for place in bad_places:
        batch.insert(place, b"rubbish" + bytes((place,)))
    outcomes = network.network.deliver(batch)
    taken = [outcome for wire, outcome in zip(batch, outcomes, strict=True) if wire in good]
    assert all(isinstance(outcome, int) for outcome in taken)
    assert sum(isinstance(outcome, GridMonitoringError) for outcome in outcomes) == len(bad_places)
    network.meters[0].resume()


@given(st.integers(1, 10**13))
def test_a_signed_time_past_the_bound_is_refused(network: SmallNetwork, ahead: int) -> None:
    center, now = network.network.signer("energy-center"), network.network.application.time
    time = max(now + 1, network.clock.now_ms()) + FUTURE + ahead
    (receipt,) = network.network.submit([offer_capacity(center, now, now + 1, 1, time)])
    assert isinstance(receipt.error, Refused)
    assert receipt.error.rule == "time_in_future"
