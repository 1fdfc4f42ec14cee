"""IV-A: registrar, authenticator, node, installation, verification; and only then electricity."""

from __future__ import annotations

import pytest

from gridmonitoring.blockchain.state_rows import Stage
from gridmonitoring.contracts.messages import Message
from gridmonitoring.contracts.meter_rule import Event, MeterState, Relay
from gridmonitoring.errors import Refused
from gridmonitoring.registration.installation_code import code_key
from gridmonitoring.runtime.offices import commitment
from tests.support.home import STEPS, Home, logged

AFTER = (None, Stage.REGISTERED, Stage.AUTHENTICATED, Stage.LINKED, Stage.LINKED, Stage.INSTALLED)
"""Stage of the supply point after each step but the last."""


def test_each_step_brings_the_registration_further(home: Home) -> None:
    for number, stage in enumerate(AFTER, 1):
        home.network.require(home.step(STEPS[number - 1]))
        home.wait()
        if stage is not None:
            assert home.point().stage == stage
    home.network.require(home.step("access"))
    assert home.point().stage == Stage.SUPPLIED


@pytest.mark.parametrize("taken", range(len(STEPS)))
def test_a_step_out_of_order_is_refused(home: Home, taken: int) -> None:
    """Whatever comes before the step that it needs is refused, and the right step is taken afterwards."""
    home.take_steps(taken)
    allowed = {STEPS[taken]} | ({"agreement"} if taken in (2, 3) else set())
    for name in STEPS[taken + 1 :]:
        if name not in allowed:
            with pytest.raises(Refused):
                home.network.require(home.step(name))
    home.wait()
    home.network.require(home.step(STEPS[taken]))


def test_the_registrar_makes_the_meter_id_and_nobody_else(home: Home) -> None:
    home.take_steps(1)
    raw = home.step("meter ID")
    body = home.network.application.decode(raw)
    assert not isinstance(body, Exception)
    for name in ("authenticator", "node-01", "utility"):
        other = home.network.signer(name).transaction(body.payload.kind, body.payload.body, home.now)
        with pytest.raises(Refused, match="wrong_role"):
            home.network.require(other)
    home.network.require(
        home.network.signer("registrar").transaction(body.payload.kind, body.payload.body, home.now)
    )
    assert home.point().consumer == home.consumer.id


def test_the_node_adds_the_area_code_and_links_a_device(home: Home) -> None:
    home.take_steps(3)
    assert (home.point().area, home.point().device) == ("", b"")
    home.network.require(home.step("link"))
    assert home.point().area == home.network.genesis.area
    assert home.point().device == bytes(32)


def test_no_personal_data_is_on_the_ledger(home: Home) -> None:
    """What the ledger has of the house number opens with the salt, and says nothing without."""
    home.take_steps()
    assert home.point().house == commitment(home.house_number, home.made.salt)
    raws = b"".join(raw for raw, _ in logged(home.small))
    assert home.made.salt not in raws
    assert home.house_number.encode() not in raws


def test_the_installation_code_is_used_once(home: Home) -> None:
    home.take_steps(5)
    assert home.point().code_key == code_key(home.made.code)
    home.network.require(home.step("installation"))
    assert home.point().code_key == b""


def test_there_is_no_power_before_access_was_given(home: Home) -> None:
    """The installed meter keeps its relay open until the authenticator's access reached it, proven."""
    home.take_steps(6)
    home.meet()
    assert home.relay() is Relay.DISCONNECTED
    assert home.meter().state == MeterState.NEW
    home.wait()
    home.network.require(home.step("access"))
    assert home.relay() is Relay.DISCONNECTED
    home.meet()
    assert home.relay() is Relay.CONNECTED
    assert home.agent.display().message is Message.INSTALLATION_SUCCESSFUL
    assert home.told() == [Message.INSTALLATION_SUCCESSFUL]


def test_a_meter_that_takes_power_by_itself_is_found_out(home: Home) -> None:
    """Reported as installed before access was given: no state changes, and a violation is recorded."""
    home.take_steps(6)
    home.small.clock.move_to(home.now + 1)
    meter = home.agent.meter
    draft = meter.contract.report(Event.INSTALLATION, home.now)
    home.agent._commit([draft])
    home.agent.flush()
    assert home.meter().state == MeterState.NEW
    assert home.told() == [Message.VIOLATION_RECORDED]
    assert home.parents() == []
