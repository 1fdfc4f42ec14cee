"""II-B: the authenticator contract key, rotated by governance while meters, near and far, go on reporting."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gridmonitoring.blockchain.bodies import Kind, TellContractKey
from gridmonitoring.blockchain.state_rows import CommandKind, MeterKeyRow, Table, height_key
from gridmonitoring.contracts.script import generate_script, script_hash
from gridmonitoring.encoding.bounds import Role
from gridmonitoring.errors import CannotOpen, Refused, UserError
from gridmonitoring.keys.channels import read_offer
from gridmonitoring.keys.sealed_boxes import Purpose, box_info, open_box
from gridmonitoring.processing.rows import AgreementRow
from gridmonitoring.runtime.contract_keys import contract_key_file
from gridmonitoring.runtime.ingest import OFFER_HEAD
from gridmonitoring.runtime.meter_agent import MeterAgent
from gridmonitoring.runtime.network import Network
from gridmonitoring.runtime.storage.database import open_database
from gridmonitoring.runtime.storage.details import DetailStore
from gridmonitoring.runtime.verification import verify_path
from tests.conformance.conftest import MONEY
from tests.support.billing import CENT, flat
from tests.support.contract_keys import announcing, readable, rotate_small, secret_of, successor
from tests.support.home import Home, tariff_of
from tests.support.houses import House
from tests.support.network import DAY_MS, SmallNetwork, report_wires, small_network
from tests.support.small_grid import SmallGrid

SWAPPED_AT = 1_700_000_100_000
"""When the house begins whose device is swapped."""


@pytest.fixture
def small(tmp_path: Path) -> Iterator[SmallNetwork]:
    """A network of its own for each test, as its key is rotated."""
    network = small_network(tmp_path / "data", 4, 1)
    yield network
    network.close()


def rotate_now(small: SmallNetwork, **changes: int) -> bytes:
    """Announce a successor; return its key."""
    wanted = successor(small.network, **changes)
    small.network.require(announcing(small.network, wanted))
    return wanted.key


def offered_to(wires: list[bytes]) -> set[bytes]:
    """Return the contract keys that offers among wires are for."""
    return {read_offer(wire).contract_key for wire in wires if wire.startswith(OFFER_HEAD)}


def standing(network: Network, mid: bytes) -> MeterKeyRow | None:
    row: MeterKeyRow | None = network.row(Table.METER_KEY, mid)
    return row


def rules_of(network: Network, wires: list[bytes]) -> set[str]:
    """Return the rules by which all of these wires are refused."""
    found = set()
    for outcome in network.deliver(wires):
        assert isinstance(outcome, Refused)
        found.add(outcome.rule)
    return found


def test_meters_are_told_by_a_command_and_their_scripts_name_the_new_key(living: Home) -> None:
    old = living.network.genesis.contract_key
    assert offered_to(living.line.sent) == {old}
    new = rotate_now(living.small)
    command = living.network.row(Table.COMMAND, height_key(living.mid, living.meter().commands))
    assert (command.kind, command.height) == (CommandKind.CONTRACT_KEY, 2)
    assert standing(living.network, living.mid) == MeterKeyRow(2, 1)
    living.line.sent.clear()
    living.live(30, 300)
    living.live(30, 300)
    assert standing(living.network, living.mid) == MeterKeyRow(2, 2)
    assert offered_to(living.line.sent) == {new}
    row: AgreementRow = living.network.row(Table.AGREEMENT, living.mid)
    assert row.script == script_hash(generate_script(row.agreement, new))
    assert row.script == living.agent.meter.contract.terms.script
    assert row.script != script_hash(generate_script(row.agreement, old))
    living.buy(MONEY)
    living.meet()
    assert living.account().credit == living.agent.meter.account.credit
    again = MeterAgent(living.device, living.keys, living.line, living.outbox)
    assert again.meter.contract.terms.contract_key == new
    assert not living.findings()


def test_a_stolen_old_key_opens_nothing_sealed_since(living: Home) -> None:
    """The thief has listened all the time. One report was on its way when the meter heard of the new key."""
    thief, chain = secret_of(living.network), living.network.chain_id
    living.live(30, 300)
    before, reported = len(living.line.sent), living.meter().sequence
    assert len(readable(living.line.sent, thief, chain)) > 5
    rotate_now(living.small, ends=0)
    living.wait(1)
    living.network.tick()
    living.live(15, 300)
    living.live(30, 300)
    since = [wire for wire in living.line.sent[before:] if wire not in living.line.sent[:before]]
    told = next(n for n, wire in enumerate(since) if offered_to([wire]) - set(thief))
    assert 0 < told < len(since) - 2
    assert readable(living.line.sent[:before] + since[told:], thief, chain) == readable(
        living.line.sent[:before], thief, chain
    )
    own = secret_of(living.network, "contract-2")
    assert len(readable(since[told:], own, chain)) == living.meter().sequence - reported
    assert living.meter().sequence == living.agent.meter.contract.sequence


def test_reports_under_the_old_key_are_taken_until_its_end_and_not_after(small: SmallNetwork) -> None:
    """The neighbour's meter never asks what it should know."""
    meter, network = small.meters[0], small.network
    small.deliver(report_wires(small, 1, settle_every=0))
    end = small.clock.now_ms() + DAY_MS
    rotate_now(small, ends=end)
    small.deliver(report_wires(small, 1, settle_every=1))
    small.clock.move_to(end)
    network.tick()
    small.deliver(report_wires(small, 1, settle_every=0))
    small.clock.move_to(end + 1)
    network.tick()
    wires = meter.wires(settles=True, energy=50)
    before = network.application.tree.root, network.row(Table.METER, meter.mid)
    assert rules_of(network, wires) == {"contract_key_ended"}
    meter.start_over()
    offered = meter.wires(settles=True, energy=50)
    assert len(offered) == 2
    assert rules_of(network, offered[:1]) == {"contract_key_ended"}
    assert (network.application.tree.root, network.row(Table.METER, meter.mid)) == before
    assert all(network.key_failures.entries(name) == [] for name in network.details)
    again = small.reopen()
    assert rules_of(again.network, wires) == {"contract_key_ended"}
    again.close()
    assert verify_path(small.directory.root).verified


def test_a_meter_that_was_away_past_the_end_hears_of_it_and_loses_nothing(living: Home) -> None:
    """It measured for two days without a line; what it has to say is sealed again, and charged."""
    start = living.agent.time
    for minute in range(2 * 24 * 60):
        living.agent.minute(start + minute * 60_000, 20)
    waiting, before_it = living.agent.waiting, sequences(living)
    assert len(before_it) > 190
    new = rotate_now(living.small, ends=0)
    living.small.clock.move_to(living.agent.time)
    living.network.tick()
    before = living.meter()
    assert rules_of(living.network, living.agent.outgoing()) == {"contract_key_ended"}
    assert living.agent.flush().waiting == waiting
    assert living.meter() == before
    living.line.sent.clear()
    living.agent.poll(living.now)
    assert sequences(living) == before_it
    resumed = MeterAgent(living.device, living.keys, living.line, living.outbox)
    assert resumed.flush().refused == 0
    assert resumed.waiting == 0
    assert living.meter().sequence == resumed.meter.contract.sequence
    assert living.account().statement == resumed.meter.account.statement
    assert living.outbox.refusals(living.mid) == []
    assert not living.findings()
    details = living.network.details["node-01"].details_of(living.mid)
    assert len(list(details)) == living.meter().sequence - 1
    assert new in offered_to(living.line.sent)


def sequences(living: Home) -> list[int]:
    """Return the sequences of the reports that wait at the meter, in order."""
    waiting = living.outbox.pending(living.mid, living.agent.waiting)
    return [pending.wire.sequence for pending in waiting if pending.wire.sequence]


def test_a_new_device_never_seals_to_a_key_that_has_ended(living: Home) -> None:
    new = rotate_now(living.small, ends=0)
    living.wait(1)
    living.network.tick()
    neighbour = Home(living.small, tariff_of(living.small), "another")
    neighbour.move_in(MONEY)
    neighbour.live(30, 300)
    assert offered_to(neighbour.line.sent) == {new}
    assert standing(living.network, neighbour.mid) == MeterKeyRow(2, 2)
    assert neighbour.meter().sequence == neighbour.agent.meter.contract.sequence


def test_a_device_that_replaces_another_begins_with_genesis_and_is_told_first() -> None:
    grid = SmallGrid()
    house = House(grid, flat(500 * CENT), start=SWAPPED_AT)
    house.install(SWAPPED_AT + 10)
    house.meet(SWAPPED_AT + 20)
    key = rotate_small(grid, SWAPPED_AT + 30, at_once=True)
    body = TellContractKey(house.mid, 2)
    grid.act("node-2", Role.NODE, Kind.TELL_CONTRACT_KEY, body, SWAPPED_AT + 31)
    house.meet(SWAPPED_AT + 40)
    first = house.agent.meter.contract.terms
    assert first.contract_key == key
    house.agent.remove(SWAPPED_AT + 50)
    house.meet(SWAPPED_AT + 60)
    assert grid.rows[Table.AGREEMENT, house.mid].script == first.script
    handover = house.swap(SWAPPED_AT + 70)
    assert (Table.METER_KEY, house.mid) not in grid.rows
    assert grid.rows[Table.AGREEMENT, house.mid].script != first.script
    channels = set(grid.channels)
    house.install(SWAPPED_AT + 80, handover)
    house.meet(SWAPPED_AT + 90)
    house.meet(SWAPPED_AT + 95)
    assert grid.rows[Table.METER_KEY, house.mid] == MeterKeyRow(2, 2)
    assert grid.rows[Table.AGREEMENT, house.mid].script == first.script
    assert house.agent.meter.contract.terms.script == first.script
    assert len(set(grid.channels) - channels) == 1
    assert not grid.violations(house.mid)


def test_a_key_is_in_force_from_a_place_of_the_log_also_after_a_restart(small: SmallNetwork) -> None:
    meter = small.meters[0]
    since = small.network.application.log.log.size + 4
    rotate_now(small, since=since)
    assert standing(small.network, meter.mid) is None
    again = small.reopen()
    while again.network.application.log.log.size < since:
        assert standing(again.network, meter.mid) is None
        again.deliver(report_wires(again, 1, settle_every=0))
    assert standing(again.network, meter.mid) == MeterKeyRow(2, 1)
    rotate_now(again)
    assert standing(again.network, meter.mid) == MeterKeyRow(3, 1)
    again.close()
    assert verify_path(small.directory.root).verified


def test_the_nodes_key_files(small: SmallNetwork) -> None:
    """They hold both; one that has ended may be destroyed, the one in force must be there."""
    rotate_now(small, ends=0)
    files = [contract_key_file(small.directory, number) for number in (1, 2)]
    assert [path.stat().st_mode & 0o777 for path in files] == [0o600, 0o600]
    small.clock.move_to(small.clock.now_ms() + 1)
    small.network.tick()
    small.close()
    files[0].unlink()
    small.reopen().close()
    hidden = files[1].rename(files[1].with_suffix(".away"))
    with pytest.raises(UserError, match="contract key 2"):
        small.reopen()
    hidden.rename(files[1])


def test_what_no_node_can_open_waits_at_the_meter(living: Home) -> None:
    """The key file was lost before the nodes went over."""
    wanted = successor(living.network)
    path = contract_key_file(living.small.directory, 2)
    hidden = path.rename(path.with_suffix(".away"))
    living.network.require(announcing(living.network, wanted))
    living.live(30, 300)
    living.live(30, 300)
    assert living.agent.waiting > 2
    assert living.outbox.refusals(living.mid) == []
    hidden.rename(path)
    living.network.go_over(2, wanted.key)
    living.meet()
    assert living.agent.waiting == 0


def test_a_validators_copy_and_the_old_key_read_nothing_since(living: Home) -> None:
    """Channels, details, keys of days, and the record of what failed, in a node's files."""
    network, chain = living.network, living.network.chain_id
    living.live(30, 300)
    forged = living.line.sent[-1][:-1] + bytes((living.line.sent[-1][-1] ^ 1,))
    assert isinstance(network.deliver([forged])[0], CannotOpen)
    old = secret_of(network)
    ((old_key, old_secret),) = old.items()
    failures = living.small.directory.node("node-01") / "failures.db"
    ((box,),) = boxes(failures)
    info = box_info(Purpose.FAILURE, chain, b"", 0, 0, old_key)
    assert open_box(1, old_secret, info, box)

    new = rotate_now(living.small)
    living.live(30, 300)
    living.live(30, 300)
    ((sealed_anew,),) = boxes(failures)
    with pytest.raises(CannotOpen):
        open_box(1, old_secret, info, sealed_anew)
    left = b"".join(path.read_bytes() for path in failures.parent.glob("failures.db*"))
    assert box[:32] not in left
    assert [entry.count for entry in network.key_failures.entries("node-01")] == [1]

    store = DetailStore(failures.parent / "details.db", read_only=True)
    offers = [offer for _, offer in store.channels() if read_offer(offer).mid == living.mid]
    assert {read_offer(offer).contract_key for offer in offers} == {old_key, new}
    assert readable([*offers, *living.line.sent[-2:]], old, chain) == []
    for contract in (old, secret_of(network, "contract-2")):
        ((public, secret),) = contract.items()
        for epoch, period, wrapped in store.wrapped(living.mid, living.consumer.keys.hpke_key):
            for recipient in (public, living.consumer.keys.hpke_key):
                place = box_info(Purpose.PERIOD_KEY, chain, living.mid, epoch, period, recipient)
                with pytest.raises(CannotOpen):
                    open_box(1, secret, place, wrapped)
    store.close()


def boxes(path: Path) -> list[tuple[bytes]]:
    """Return what the secure database of a node holds, as whoever copied it finds it."""
    database = open_database(path, "", read_only=True)
    found = [(bytes(box),) for (box,) in database.execute("SELECT box FROM failure")]
    database.close()
    return found
