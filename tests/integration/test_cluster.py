"""Four nodes under CometBFT as real processes: they agree, they prove it, and what was acknowledged stays."""

from __future__ import annotations

import os
import random
import shutil
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from gridmonitoring.blockchain.checkpoint import decode_note, require_minimal_quorum, verify_quorum
from gridmonitoring.blockchain.evidence import verify
from gridmonitoring.blockchain.evidence_bundle import Bundle, EvidenceKind
from gridmonitoring.blockchain.genesis import ValidatorSet
from gridmonitoring.blockchain.state_rows import Table
from gridmonitoring.contracts.agreement import Agreement, CustomerClass
from gridmonitoring.encoding.cbor import PACKAGE_LIMIT, decode, loads
from gridmonitoring.energy_center.credit import BillingTerms
from gridmonitoring.errors import CheckpointError, Refused, ServiceError, UserError
from gridmonitoring.keys.signatures import verify_signature
from gridmonitoring.runtime.client import Client, open_grid
from gridmonitoring.runtime.counter import install_meter, new_supply_point, pay, register_consumer
from gridmonitoring.runtime.grid_port import load_signer
from gridmonitoring.runtime.offices import offer_capacity, publish
from gridmonitoring.runtime.verification import verify_path
from gridmonitoring.user_layer.cli.standard_tariffs import Shape, fixed_offset, standard_tariff
from tests.support.acts import governance, proposal
from tests.support.cluster import LiveCluster, live_cluster, wait_until
from tools import verify_evidence

DAY = 86_400_000
CENT = 1_000_000
SEED = 20261123


class Offers:
    """The energy center's offers of capacity: transactions that can be told from each other."""

    def __init__(self, cluster: LiveCluster) -> None:
        self._cluster = cluster
        self.number = 0
        self.acknowledged: dict[bytes, int] = {}

    def make(self, node: Client) -> bytes:
        self.number += 1
        now = node.clock.now_ms()
        start = now + self.number * DAY
        return offer_capacity(node.signer("energy-center"), start, start + DAY - 1, 1000, now)

    def one(self, name: str = "node-01") -> None:
        """Have one made final through a node that has the office's keys."""
        with self._cluster.node(name) as node:
            receipt = node.require(self.make(node))
            self.acknowledged[receipt.id] = receipt.index


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveCluster]:
    with live_cluster(tmp_path_factory.mktemp("cluster") / "four") as found:
        yield found


@pytest.fixture(scope="module")
def offers(cluster: LiveCluster) -> Offers:
    return Offers(cluster)


def wait_until_all_have(cluster: LiveCluster, size: int) -> None:
    """Wait until every node has a log of this size, also one that was just started again."""
    for name in cluster.names:

        def there(name: str = name) -> bool:
            try:
                with cluster.node(name) as node:
                    return node.status().log_size >= size
            except ServiceError:
                return False

        wait_until(there)


def wait_for_the_last(cluster: LiveCluster) -> None:
    """Wait until every node has what the first one, which takes the offers, has."""
    with cluster.node("node-01") as node:
        size = node.status().log_size
    wait_until_all_have(cluster, size)


def require_all_the_same(cluster: LiveCluster, offers: Offers) -> None:
    """Require every node to have everything that was acknowledged, once, and the same state."""
    with cluster.node("node-01") as node:
        size, app_hash = node.status().log_size, node.status().app_hash
        logged = [node.transaction(index) for index in range(size)]
    assert len(set(logged)) == len(logged)
    wait_until_all_have(cluster, size)
    for name in cluster.names:
        with cluster.node(name) as node:
            assert node.status().app_hash == app_hash
            assert [node.transaction(index) for index in range(size)] == logged
            assert {found: node.find(found) for found in offers.acknowledged} == offers.acknowledged


def test_what_one_node_takes_all_have(cluster: LiveCluster, offers: Offers) -> None:
    for _ in range(3):
        offers.one()
    require_all_the_same(cluster, offers)


def test_what_breaks_a_rule_is_refused_and_changes_nothing(cluster: LiveCluster, offers: Offers) -> None:
    with cluster.node("node-01") as node:
        before = node.status()
        good, bad = offers.make(node), offers.make(node)
        first, second, again = node.submit([good, bad[:-1] + bytes([bad[-1] ^ 1]), good])
        assert first.error is None
        assert second.error is not None
        assert isinstance(again.error, Refused)
        offers.acknowledged[first.id] = first.index
        assert node.status().log_size == before.log_size + 1
    require_all_the_same(cluster, offers)


def test_every_node_proves_the_state_by_a_light_block(cluster: LiveCluster, offers: Offers) -> None:
    offers.one()
    wait_for_the_last(cluster)
    for name in cluster.names:
        with cluster.node(name) as node:
            note, status = node.note(), node.status()
            validators = ValidatorSet(node.genesis.validators).powers()
            decoded = decode_note(note)
            assert decoded.light is not None
            assert decoded.checkpoint.app_hash == status.app_hash
            assert decoded.checkpoint.origin == node.genesis.origin()
            assert len(verify_quorum(note, validators, verify_signature)) == 3
            require_minimal_quorum(note, validators)
            stranger = verify_evidence.Sets(loads(node.document, PACKAGE_LIMIT))
            point = stranger.check(note)
            assert (point.size, point.state_root) == (status.log_size, decoded.checkpoint.state_root)
            for offset in random.Random(SEED).sample(range(len(note)), 60):
                altered = bytearray(note)
                altered[offset] ^= 1
                with pytest.raises(CheckpointError):
                    verify_quorum(bytes(altered), validators, verify_signature)
                with pytest.raises(verify_evidence._Wrong):
                    stranger.check(bytes(altered))


def test_a_purchase_is_proved_to_a_stranger_by_every_node(cluster: LiveCluster, tmp_path: Path) -> None:
    with cluster.node("node-01") as node:
        now = node.clock.now_ms()
        utility = node.signer("utility")
        tariff = standard_tariff(
            *(Shape.FLAT, utility.id, "flat", "EUR", 25 * CENT, 0, now - DAY, fixed_offset(0))
        )
        node.require(publish(utility, tariff, now))
        node.require(offer_capacity(node.signer("energy-center"), now, now + DAY // 2, 1_000_000, now))
        person = load_signer(node, register_consumer(node, "alice", tmp_path).key_file)
        meter = new_supply_point(node, "1")
        agreement = Agreement(
            *(utility.id, person.id, meter.mid),
            customer_class=CustomerClass.HOME,
            tariff=tariff.digest,
            billing=BillingTerms(0, 0),
            reporting_interval_ms=900_000,
            billing_interval_ms=DAY,
            power_limit=0,
            custodian_may_read=False,
            language="en",
            never_cut=False,
            no_cut=(),
            actions=(),
            valid_from_ms=now,
        )
        install_meter(node, person, meter, agreement, "serial 1")
        pay(node, person, meter.mid, 500 * CENT, b"receipt 1")
        document, size = node.document, node.status().log_size
        commands = node.commands(meter.mid)
        assert commands
    wait_until_all_have(cluster, size)
    for name in cluster.names:
        with cluster.node(name) as node:
            for kind in (EvidenceKind.PURCHASE, EvidenceKind.COMMAND, EvidenceKind.STATEMENT):
                bundle = node.evidence(kind, meter.mid)
                light = decode_note(decode(bundle, Bundle, PACKAGE_LIMIT).note).light
                assert light is not None
                assert len(light.precommits) == 3
                assert verify(bundle, document).checkpoint.size >= size
                assert verify_evidence.verify(bundle, document)["facts"]["meter"] == meter.mid.hex()


def test_empty_blocks_change_no_app_hash(cluster: LiveCluster, offers: Offers) -> None:
    offers.one()
    wait_for_the_last(cluster)
    with cluster.node("node-02") as node:
        before = node.status()

        def followed_by_an_empty_block() -> bool:
            block = node.block(node.status().height)
            return block is not None and block.header.count == 0

        wait_until(followed_by_an_empty_block)  # CometBFT makes one to sign the new app_hash
        after = node.status()
        assert (after.app_hash, after.log_size) == (before.app_hash, before.log_size)
        blocks = (node.block(height) for height in range(after.height, 0, -1))
        filled = next(block for block in blocks if block is not None and block.header.count)
        assert decode_note(filled.note).checkpoint.app_hash == after.app_hash
        assert decode_note(node.note()).checkpoint.app_hash == after.app_hash


@pytest.mark.parametrize("which", ["application", "CometBFT"])
def test_a_killed_process_comes_back_with_everything(
    cluster: LiveCluster, offers: Offers, which: str
) -> None:
    application, comet = cluster.processes("node-03")
    os.kill(application if which == "application" else comet, signal.SIGKILL)
    for _ in range(3):
        offers.one()  # three of four go on
    require_all_the_same(cluster, offers)
    again = cluster.processes("node-03")
    assert again[0] != application
    assert again[1] != comet


def test_all_killed_at_once_go_on(cluster: LiveCluster, offers: Offers) -> None:
    offers.one()
    victims = [process for name in cluster.names for process in cluster.processes(name)]
    random.Random(SEED).shuffle(victims)
    for process in victims:
        os.kill(process, signal.SIGKILL)

    def gone() -> bool:
        return not any(Path(f"/proc/{process}/cwd").exists() for process in victims)

    wait_until(gone)
    offers.one()
    require_all_the_same(cluster, offers)


def test_two_of_four_stopped_fork_nothing_and_it_goes_on(cluster: LiveCluster, offers: Offers) -> None:
    stopped = [process for name in ("node-03", "node-04") for process in cluster.processes(name)]
    for process in stopped:
        os.kill(process, signal.SIGSTOP)
    with cluster.node("node-01") as node:
        before = node.status().height
        raw = offers.make(node)
    pid = os.fork()
    if pid == 0:
        with cluster.node("node-01") as node:
            node.submit([raw])
        os._exit(0)
    with cluster.node("node-02") as node:
        assert node.status().height <= before + 1
    for process in stopped:
        os.kill(process, signal.SIGCONT)
    assert os.waitpid(pid, 0)[1] == 0
    offers.one()
    require_all_the_same(cluster, offers)


def test_in_the_end_every_node_is_replayed_from_genesis(cluster: LiveCluster, offers: Offers) -> None:
    for _ in range(8):
        offers.one()
    require_all_the_same(cluster, offers)
    for name in cluster.names:
        wait_until(partial(at_rest, cluster, name))
    cluster.stop()
    found = [verify_path(cluster.root / name) for name in cluster.names]
    assert [verification.findings for verification in found] == [()] * len(cluster.names)
    assert all(verification.verified for verification in found)
    assert len({verification.app_hash for verification in found}) == 1


def test_the_nodes_change_who_validates_and_the_chain_goes_on(tmp_path: Path) -> None:
    with live_cluster(tmp_path / "changing") as changing:
        offers, own = Offers(changing), changing.directory("node-01")
        for name in changing.names[1:3]:
            shutil.copy(changing.directory(name).key_file(name), own.key_file(name))
        with changing.node("node-01") as node:
            row: ValidatorSet = node.row(Table.VALIDATORS, b"")
            left = tuple(validator for validator in row.validators if validator.name != "node-04")
            change = proposal(node, validators=left)
            node.require(governance(node, change, changing.names[:3], node.clock.now_ms()))
        for _ in range(3):
            offers.one()
        wait_for_the_last(changing)
        with changing.node("node-02") as node:
            assert node.row(Table.VALIDATORS, b"") == ValidatorSet(left)
            note = node.note()
            assert len(verify_quorum(note, ValidatorSet(left).powers(), verify_signature)) == 3
            require_minimal_quorum(note, ValidatorSet(left).powers())
        wait_until(lambda: at_rest(changing, "node-01"))
    assert verify_path(own.root).verified


def at_rest(cluster: LiveCluster, name: str) -> bool:
    """Tell whether a node's file has the light block of its last block."""
    with cluster.node(name) as node:
        block = node.block(node.status().height)
    return block is not None and decode_note(block.note).light is not None


def test_a_stopped_node_is_replayed_from_genesis_and_wants_to_run_for_commands(tmp_path: Path) -> None:
    with live_cluster(tmp_path / "one", validators=1) as alone:
        Offers(alone).one()
    verification = verify_path(tmp_path / "one" / "node-01")
    assert verification.verified
    assert verification.transactions == 1
    with pytest.raises(UserError, match="is not running; start it with: gridmon node"):
        open_grid(tmp_path / "one" / "node-01")
