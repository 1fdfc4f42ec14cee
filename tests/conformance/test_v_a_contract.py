"""V-A: keys made at the installation, six messages, tampering and an empty account cut the power."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from gridmonitoring.blockchain.state_rows import DeviceRow, EntryKind, MessageRow, Table, device_key
from gridmonitoring.contracts.messages import Message, render
from gridmonitoring.contracts.meter_rule import MeterState, Relay, Status
from gridmonitoring.contracts.violations import Violation
from gridmonitoring.errors import CannotOpen
from gridmonitoring.keys.sealed_commands import open_command, read_command
from gridmonitoring.runtime.entropy import new_keys
from gridmonitoring.runtime.texts import load_texts
from tests.conformance.conftest import MONEY, use_up
from tests.support.home import Home

PAPER = {
    Message.INSTALLATION_SUCCESSFUL: "Installation successful",
    Message.TAMPERED: "Meter with 0a has been tampered with",
    Message.LOW_CREDIT: "Power running down, top up",
    Message.OVERCHARGED: "You are being over charged",
    Message.NO_POWER: "Meter with 0a has no power, system shutdown",
}
"""The texts of Algorithm 1; normal flow has none."""


def entries(home: Home) -> list[MessageRow]:
    """Return every entry of the thread's side blocks, in order."""
    blocks = [side for height in range(home.meter().next_height) for side in home.sides(height)]
    found = sorted((entry.number, entry.message) for block in blocks for entry in block.body.entries)
    return [message for _, message in found]


@pytest.mark.parametrize("message", PAPER)
def test_the_messages_have_the_papers_words(message: Message) -> None:
    assert render(message, {"mid": "0a"}, load_texts("en")) == PAPER[message]


def test_the_contract_makes_its_keys_on_the_meter_and_shares_the_public_ones(home: Home) -> None:
    """The grid knows no key of the device before its installation, and never the private ones."""
    home.take_steps(5)
    key = device_key(home.mid, 1)
    assert home.network.row(Table.DEVICE, key) is None
    home.wait()
    raw = home.step("installation")
    home.network.require(raw)
    device: DeviceRow = home.network.row(Table.DEVICE, key)
    assert (device.sign_key, device.hpke_key) == (home.keys.sign_key, home.keys.hpke_key)
    assert raw.find(home.keys.seed) < 0
    assert raw.find(home.keys.hpke_secret) < 0


def test_a_failed_installation_is_reported_and_gives_no_power(home: Home) -> None:
    home.take_steps(5)
    home.wait()
    home.network.require(home.agent.install(home.made.code, home.now, succeeded=False))
    assert home.network.row(Table.DEVICE, device_key(home.mid, 1)) is None
    assert home.relay() is Relay.DISCONNECTED
    home.wait()
    home.network.require(home.agent.install(home.made.code, home.now))
    assert home.network.row(Table.DEVICE, device_key(home.mid, 1)) is not None


def test_the_installation_is_reported_as_successful(lived: Home) -> None:
    first = entries(lived)[0]
    assert (first.kind, first.code, first.height) == (EntryKind.STATE, Message.INSTALLATION_SUCCESSFUL, 0)


def test_reports_are_sealed_and_read_after_opening_only(living: Home) -> None:
    """On the wire there is neither the meter's ID nor a register; a node without the key reads nothing."""
    living.line.sent.clear()
    living.live(20, 2000)
    reports = [wire for wire in living.line.sent if wire.startswith(b"\x84\x68sealed/1")]
    assert len(reports) > 0
    assert all(living.mid not in wire for wire in reports)


def test_power_at_its_minimum_is_told_by_meter_and_grid(living: Home) -> None:
    """The meter warns; the grid's contract sends an encrypted message, which is opened and displayed."""
    while living.agent.meter.state is not MeterState.LOW_CREDIT:
        living.live(60, 3000)
    assert living.told()[-1] is Message.LOW_CREDIT
    assert living.agent.display().message is Message.LOW_CREDIT
    assert living.agent.meter.contract.carried_out == living.meter().commands


def test_what_the_grid_sends_is_for_this_meter_alone(living: Home) -> None:
    living.buy(10**8)
    wires = living.line.commands(living.mid)
    assert wires
    for wire in wires:
        sealed = read_command(wire)
        other = new_keys()
        with pytest.raises(CannotOpen):
            open_command(sealed, other.hpke_secret, other.hpke_key, living.network.chain_id)
        assert open_command(sealed, living.keys.hpke_secret, living.keys.hpke_key, living.network.chain_id)


def test_power_used_up_shuts_down_and_is_reported(living: Home) -> None:
    use_up(living)
    assert living.relay() is Relay.DISCONNECTED
    assert living.meter().relay == Relay.DISCONNECTED
    assert living.meter().state == MeterState.OUT_OF_CREDIT
    assert living.told()[-1] is Message.NO_POWER
    before = living.agent.meter.registers()
    living.live(30, 3000)
    assert living.agent.meter.registers() == before


@pytest.mark.parametrize(
    "sensor", [Status.TERMINAL_COVER, Status.METER_COVER, Status.MAGNET], ids=lambda sensor: sensor.name
)
def test_tampering_is_reported_and_cuts_the_power(living: Home, sensor: Status) -> None:
    living.agent.sense(sensor, living.now)
    living.meet()
    assert living.relay() is Relay.DISCONNECTED
    assert living.meter().state == MeterState.TAMPERED
    assert Message.TAMPERED in living.told()
    violations = [e.violation for e in entries(living) if e.kind == EntryKind.VIOLATION]
    assert violations == [Violation.TAMPER]
    living.agent.accept_reconnection(living.now)
    living.meet()
    assert living.relay() is Relay.DISCONNECTED


def test_a_bill_that_is_a_unit_too_high_is_found_and_told(living: Home) -> None:
    """The meter recomputes each statement; one that charges more is data_tamper, told and recorded."""
    settled = living.agent.meter.account.statement.number
    while living.agent.meter.account.statement.number == settled:
        living.agent.minute(max(living.agent.time, living.now), 30_000)
    living.small.clock.move_to(living.agent.time)
    living.agent.flush()
    theirs = living.network.row(Table.ACCOUNT, living.mid)
    statement = replace(theirs.statement, charge=theirs.statement.charge + 1)
    drafts = living.agent.meter.statement(
        replace(theirs, statement=statement), whole=True, time=living.now + 1
    )
    assert living.agent._commit(drafts) == 1
    living.wait(2)
    living.meet()
    assert Message.OVERCHARGED in living.told()
    assert Violation.BILLING_DISCREPANCY in [e.violation for e in entries(living)]
    living.meet()
    assert living.agent.display().message is Message.OVERCHARGED


def test_a_false_proof_is_an_integrity_failure(living: Home) -> None:
    """A command that no quorum proves is not carried out; the consumer is told."""
    living.buy(10**8)
    wire = bytearray(living.line.commands(living.mid)[0])
    wire[-1] ^= 1
    living.line.instead = [bytes(wire)]
    before = living.agent.meter.account.credit
    living.wait(10**6)
    living.agent.poll(living.now)
    assert living.agent.meter.account.credit == before
    living.line.instead = None
    living.meet()
    assert Violation.INTEGRITY_FAILURE in [e.violation for e in entries(living)]
    assert Message.OVERCHARGED in living.told()


def test_normal_flow_is_reported_and_has_no_message(living: Home) -> None:
    before, told = living.meter().sequence, living.told()
    living.live(45, 100)
    assert living.meter().sequence == before + 3
    assert living.told() == told


def test_the_six_messages_reach_the_screen_and_a_side_block_each_with_its_time(living: Home) -> None:
    """Algorithm 1 from end to end: what the meter displays is in a side block, with the time of the state."""
    shown: dict[Message, int] = {Message.INSTALLATION_SUCCESSFUL: 0}

    def look() -> None:
        display = living.agent.display()
        if display.message is not None:
            shown.setdefault(display.message, display.message_time)

    while living.agent.meter.account.credit:
        living.live(30, 3000)
        look()
    living.buy(MONEY)
    living.meet()
    living.agent.accept_reconnection(living.now)
    living.agent.sense(Status.METER_COVER, living.now)
    look()
    living.meet()
    living.wait()
    living.agent._commit(living.agent.meter.distrust(living.now))
    look()
    for _ in range(3):
        living.meet()
    times: dict[int, list[int]] = {}
    for entry in entries(living):
        times.setdefault(entry.code, []).append(entry.tsm)
    for message in PAPER:
        assert times[message][0] > 0
        assert message in shown
    del shown[Message.INSTALLATION_SUCCESSFUL]
    assert all(since >= times[message][0] for message, since in shown.items())
