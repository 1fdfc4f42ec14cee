"""Meters are told of another contract key some at a time, each once, also across a restart."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gridmonitoring.blockchain.bodies import TellContractKey
from gridmonitoring.blockchain.state_rows import MeterKeyRow, Table
from gridmonitoring.blockchain.transactions import decode_payload
from gridmonitoring.keys.signatures import split
from gridmonitoring.runtime.consensus.engine import Decision
from gridmonitoring.runtime.key_rotation import KeyRotation
from gridmonitoring.runtime.network import Network
from tests.support.acts import closing
from tests.support.contract_keys import announcing, successor, telling
from tests.support.network import SmallNetwork, small_network


@pytest.fixture
def small(tmp_path: Path) -> Iterator[SmallNetwork]:
    network = small_network(tmp_path / "data", 1, 4)
    yield network
    network.close()


def decided(network: Network, raws: list[bytes]) -> Decision:
    """Decide transactions without what the nodes do after a block."""
    decision = network.engine.decide(raws, network.clock.now_ms())
    decision.durable.result()
    assert [receipt.error for receipt in decision.receipts] == [None] * len(raws)
    for signer in network.nodes.values():
        signer.resume_after(network.row(Table.PARTY, bytes((signer.role,)) + signer.id).nonce)
    return decision


def told_by(raws: list[bytes]) -> list[bytes]:
    bodies: list[TellContractKey] = [decode_payload(split(raw)[0]).body for raw in raws]
    assert {body.number for body in bodies} <= {2}
    return [body.mid for body in bodies]


def test_all_are_told_once_a_few_at_a_time(small: SmallNetwork) -> None:
    network = small.network
    mids = sorted(meter.mid for meter in small.meters)
    rotation = KeyRotation(network, 2)
    assert rotation.after(decided(network, [])) == []
    last = decided(network, [announcing(network, successor(network))])
    first = rotation.after(last)
    assert told_by(first) == mids[:2]
    assert told_by(rotation.after(last)) == mids[:2], "what was not decided is told again"
    last = decided(network, rotation.after(last))
    second = rotation.after(last)
    assert told_by(second) == mids[2:]
    assert told_by(KeyRotation(network, 2).after(last)) == mids[2:], "a restart forgets nothing"
    last = decided(network, rotation.after(last))
    assert rotation.after(last) == []
    rows: list[MeterKeyRow] = [network.row(Table.METER_KEY, mid) for mid in mids]
    assert [row.told for row in rows] == [2] * 4


def test_who_was_told_by_another_node_or_moved_out_is_left_out(tmp_path: Path) -> None:
    small = small_network(tmp_path / "data", 2, 3)
    network = small.network
    first, second, third = sorted(small.meters, key=lambda meter: meter.mid)
    rotation = KeyRotation(network, 2)
    last = decided(network, [announcing(network, successor(network))])
    assert told_by(rotation.after(last)) == [first.mid, second.mid]
    vendor = network.signer("vendor").id
    last = decided(network, [telling(network, first.mid, 2)])
    last = decided(network, [closing(network, second, small.clock.now_ms(), vendor=vendor)])
    assert told_by(rotation.after(last)) == [third.mid]
    small.close()
