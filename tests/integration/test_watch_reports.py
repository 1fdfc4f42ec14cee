"""Copies that differ, silent meters and takeovers, as the ledger records them (paper II-A, IV-B, V-B)."""

from __future__ import annotations

from pathlib import Path

import pytest

from gridmonitoring.blockchain.bodies import CopyDiffers, CopyHealed, CopyProof, Kind, Part
from gridmonitoring.blockchain.state_rows import (
    CommandKind,
    CommandRow,
    ConductRow,
    CopyRow,
    MeterRow,
    SilenceRow,
    Table,
    height_key,
)
from gridmonitoring.blockchain.state_tree import row_key_hash, row_value_hash
from gridmonitoring.contracts.messages import Message
from gridmonitoring.contracts.meter_rule import Event, Relay
from gridmonitoring.contracts.violations import Violation
from gridmonitoring.errors import Refused
from gridmonitoring.processing.conduct import TAKEOVER_MS
from gridmonitoring.processing.monitoring import COPY_DOMAIN, copy_document, copy_key, silent_after
from gridmonitoring.runtime.verification import verify_path
from tests.support.acts import silence
from tests.support.home import Home
from tests.support.network import DAY_MS, INTERVAL_MS, SmallNetwork, buy, report_wires, small_network


@pytest.fixture
def small(tmp_path: Path) -> SmallNetwork:
    return small_network(tmp_path / "network", meters=2)


def report(small: SmallNetwork, found: bytes) -> bytes:
    """Return what node-01 can show of node-02, which signed that its copy of an account is `found`."""
    application, accused = small.network.application, small.network.signer("node-02")
    mid = small.meters[0].mid
    stored, block = application.truth.row(Table.ACCOUNT, mid), application.truth.block(application.height)
    assert stored is not None
    assert block is not None
    tree = application.tree.prove(row_key_hash(Table.ACCOUNT, mid))
    said = copy_document(application.height, Table.ACCOUNT, mid, found)
    proof = CopyProof(accused.document(COPY_DOMAIN, said), block.note, tree.bucket, tree.path)
    body = CopyDiffers(
        *(accused.id, Part.ROW, int(Table.ACCOUNT), mid, found, row_value_hash(stored), b"", 7, proof)
    )
    return small.network.signer("node-01").transaction(Kind.COPY_DIFFERS, body, small.clock.now_ms())


def conduct(small: SmallNetwork, node: str) -> ConductRow:
    row: ConductRow | None = small.network.row(Table.CONDUCT, small.network.signer(node).id)
    assert row is not None
    return row


def last_command(small: SmallNetwork, mid: bytes) -> CommandRow:
    meter: MeterRow = small.network.row(Table.METER, mid)
    command: CommandRow = small.network.row(Table.COMMAND, height_key(mid, meter.commands))
    return command


def test_a_copy_is_accused_by_its_own_signature_and_healed(small: SmallNetwork) -> None:
    mid, accused = small.meters[0].mid, small.network.signer("node-02")
    receipt = small.network.require(report(small, b"\7" * 32))

    key = copy_key(accused.id, Part.ROW, Table.ACCOUNT, mid)
    row: CopyRow = small.network.row(Table.COPY, key)
    assert (row.report, row.mid, row.proven) == (receipt.id, mid, True)
    assert (conduct(small, "node-02").differing, conduct(small, "node-02").unhealed) == (1, 1)
    command = last_command(small, mid)
    assert (command.kind, command.height) == (CommandKind.MESSAGE, Message.COPY_ALTERED)

    healed = CopyHealed(Part.ROW, int(Table.ACCOUNT), mid)
    small.submit([accused.transaction(Kind.COPY_HEALED, healed, small.clock.now_ms())])
    assert small.network.row(Table.COPY, key) is None
    assert (conduct(small, "node-02").healed, conduct(small, "node-02").unhealed) == (1, 0)
    assert last_command(small, mid).height == Message.COPY_RESTORED
    small.close()
    assert verify_path(small.directory.root).verified


def test_it_is_in_the_thread_and_on_the_display(small: SmallNetwork) -> None:
    home = Home(small, small.network.row(Table.TARIFF, _tariff_of(small)).tariff)
    home.move_in(10**9)
    body = CopyDiffers(
        small.network.signer("node-02").id, Part.DETAIL, 0, b"\1", b"", b"\1" * 32, home.mid, 0, None
    )
    node = small.network.signer("node-02")
    receipt = small.network.require(node.transaction(Kind.COPY_DIFFERS, body, home.now))
    (entry,) = [
        entry
        for side in home.sides(home.meter().height)
        for entry in side.body.entries
        if entry.message.violation == Violation.COPY_DIFFERS
    ]
    assert entry.message.evidence == (receipt.id,)
    assert home.meter().life_actions == 1
    home.meet()
    assert home.agent.meter.display().message is Message.COPY_ALTERED


def _tariff_of(small: SmallNetwork) -> bytes:
    tariff: bytes = small.network.row(Table.AGREEMENT, small.meters[0].mid).agreement.tariff
    return tariff


def test_silence_is_noticed_once_for_each_last_report(small: SmallNetwork) -> None:
    quiet, other = small.meters
    small.deliver(report_wires(small, 2))
    bound = silent_after(INTERVAL_MS, small.network.genesis.parameters.future_bound)
    last: MeterRow = small.network.row(Table.METER, quiet.mid)
    small.clock.move_to(last.time + bound)
    with pytest.raises(Refused, match="not_silent"):
        small.network.require(silence(small.network, "node-03", quiet.mid, small.clock.now_ms()))
    small.clock.move_to(last.time + bound + 1)
    small.network.require(silence(small.network, "node-03", quiet.mid, small.clock.now_ms()))
    row: SilenceRow = small.network.row(Table.SILENCE, quiet.mid)
    assert (row.sequence, row.last, row.node) == (
        last.sequence,
        last.time,
        small.network.signer("node-03").id,
    )
    assert last_command(small, quiet.mid).height == Message.NOT_HEARD
    with pytest.raises(Refused, match="already_recorded"):
        small.network.require(silence(small.network, "node-01", quiet.mid, small.clock.now_ms()))

    quiet.resume()
    time = small.clock.now_ms()
    small.submit([quiet.claim(Event.INTERVAL, Relay.CONNECTED, settles=False, time=time)])
    with pytest.raises(Refused, match="not_silent"):
        small.network.require(silence(small.network, "node-01", quiet.mid, small.clock.now_ms()))
    small.clock.move_to(quiet.time + DAY_MS)
    small.network.require(silence(small.network, "node-01", quiet.mid, small.clock.now_ms()))
    assert small.network.row(Table.SILENCE, other.mid) is None


def test_nobody_hurries_a_silence_by_signing_ahead(small: SmallNetwork) -> None:
    """However far ahead a node may sign, three intervals have passed when it is believed."""
    quiet, ahead = small.meters[0], small.network.genesis.parameters.future_bound
    now = quiet.time + 3 * INTERVAL_MS
    small.clock.move_to(now)
    with pytest.raises(Refused, match="not_silent"):
        small.network.require(silence(small.network, "node-01", quiet.mid, now + ahead))
    with pytest.raises(Refused, match="time_in_future"):
        small.network.require(silence(small.network, "node-01", quiet.mid, now + 2 * ahead))


def test_a_node_that_signed_ahead_keeps_nobody_from_going_on(small: SmallNetwork) -> None:
    """Its side blocks are refused until its clock has caught up, or another node takes over."""
    quiet, other = small.meters
    small.clock.move_to(quiet.time + 3 * INTERVAL_MS + 1)
    ahead = small.clock.now_ms() + small.network.genesis.parameters.future_bound
    small.network.require(silence(small.network, "node-01", quiet.mid, ahead))
    assert list(small.network.application.truth.rows_of(Table.MESSAGE, quiet.mid))
    other.time = small.clock.now_ms()
    small.submit([other.claim(Event.INTERVAL, Relay.CONNECTED, settles=False, time=other.time + 1)])
    small.clock.move_to(ahead + 4 * TAKEOVER_MS)
    small.network.duties.after(small.network.tick())
    assert not list(small.network.application.truth.rows_of(Table.MESSAGE, quiet.mid))


def test_a_node_that_is_down_when_its_block_is_due_is_noticed(small: SmallNetwork) -> None:
    """The form's node stands still; the next locks the block after the wait, and both are counted."""
    meter = small.meters[0]
    buy(small, meter, 10**9)
    first = next(v for v in small.network.engine.validators if v.name == "node-01")
    first.halt("it is down")
    meter.register += 40_000_000
    used = meter.claim(Event.OUT_OF_CREDIT, Relay.DISCONNECTED, settles=True, time=meter.time + INTERVAL_MS)
    small.clock.move_to(meter.time)
    small.submit([used])
    assert small.network.row(Table.CONDUCT, first.node) is None
    due = sum(1 for _ in small.network.application.truth.rows_of(Table.DUE, meter.mid))
    assert due == 2
    small.clock.move_to(small.clock.now_ms() + TAKEOVER_MS)
    small.network.duties.after(small.network.tick())
    assert (conduct(small, "node-01").missed, conduct(small, "node-02").taken) == (due, due)
    assert not list(small.network.application.truth.rows_of(Table.DUE, meter.mid))
