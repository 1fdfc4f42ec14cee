"""A meter and the grid run one script through any history of events; what must always hold, holds."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gridmonitoring.contracts.agreement import Agreement, agreement_fields
from gridmonitoring.contracts.effects import CutPower, RestorePower
from gridmonitoring.contracts.meter_rule import (
    DRAWING,
    Event,
    MeterState,
    Relay,
    credit_event,
    expects,
    relay_after,
)
from gridmonitoring.contracts.script import ScriptMachine, decode_script, encode_script, generate_script
from gridmonitoring.errors import UnexpectedEvent
from tests.support.agreements import agreements

S, E = MeterState, Event
OPENED_BY_A_PERSON = (S.SUPPLY_OFF, S.CUT_OFF, S.CLOSED)
LEAVING = {
    S.TAMPERED: {E.TAMPER_CLEARED, E.CLOSED},
    S.CUT_OFF: {E.CUT_OFF_LIFTED, E.TAMPER, E.CLOSED},
    S.SUPPLY_OFF: {E.SUPPLY_ON, E.CUT_OFF, E.TAMPER, E.CLOSED},
    S.CLOSED: set[Event](),
}
"""What is held by a person is left by these events only."""


class MeterAndGrid(RuleBasedStateMachine):
    """The grid generates the script; the meter decodes it. Both take every event."""

    @initialize(agreement=agreements())
    def install(self, agreement: Agreement) -> None:
        script = generate_script(agreement)
        self.agreement = agreement
        self.grid, self.meter = ScriptMachine(script), ScriptMachine(decode_script(encode_script(script)))
        self.state, self.relay = S.NEW, Relay.DISCONNECTED
        self.device: bool = False
        self.cut_off: bool = False
        self.credit = self.debt = 0
        self.minute, self.day_type = 0, 0
        self.take(E.INSTALLATION)

    def fields(self) -> dict[str, int]:
        return {
            **agreement_fields(self.agreement),
            "credit": self.credit,
            "debt": self.debt,
            "relay_connected": int(self.powered()),
            "cut_off": int(self.cut_off),
            "minute_of_day": self.minute,
            "day_type": self.day_type,
        }

    def powered(self) -> bool:
        return self.relay is Relay.CONNECTED

    def take(self, event: Event) -> None:
        """Run one event on both sides and hold what came of it against what may."""
        before = self.state
        if not expects(before, event):
            for machine in (self.grid, self.meter):
                try:
                    machine.run(before, event, self.fields())
                except UnexpectedEvent:
                    continue
                raise AssertionError("an unexpected event was taken")
            return
        found = self.grid.run(before, event, self.fields())
        assert found == self.meter.run(before, event, self.fields())
        if found.state is not before and before in LEAVING:
            assert event in LEAVING[before]
        if RestorePower() in found.effects:
            assert event in (E.INSTALLATION, E.RECONNECTED, E.SUPPLY_ON)
        if CutPower() in found.effects and self.agreement.never_cut:
            assert event in (E.SUPPLY_OFF, E.CLOSED)
        self.relay = relay_after(found, self.relay)
        self.state = found.state
        self.cut_off = (self.cut_off or event is E.CUT_OFF) and event is not E.CUT_OFF_LIFTED
        if event is E.INSTALLATION:
            self.device = True
        if event is E.DEVICE_REMOVED:
            self.device, self.relay = False, Relay.DISCONNECTED

    @rule(event=st.sampled_from(Event))
    def report(self, event: Event) -> None:
        """Any event comes; without a device only an installation or the closing can."""
        if self.device is (event is not E.INSTALLATION) or event is E.CLOSED:
            self.take(event)

    @rule(minute=st.integers(0, 1439), day_type=st.integers(0, 3))
    def time_passes(self, minute: int, day_type: int) -> None:
        self.minute, self.day_type = minute, day_type

    @rule(amount=st.integers(1, 3))
    def top_up(self, amount: int) -> None:
        """A purchase: debt first, the rest is credit; the meter carries the command out."""
        self.debt, self.credit = max(self.debt - amount, 0), self.credit + max(amount - self.debt, 0)
        if self.device:
            self.take(E.CREDIT_RESTORED)

    @rule(amount=st.integers(1, 3))
    def use(self, amount: int) -> None:
        """Use is drawn from the credit, and past zero is debt; then comes Algorithm 1's test."""
        if not self.powered():
            return
        self.credit, self.debt = max(self.credit - amount, 0), self.debt + max(amount - self.credit, 0)
        found = credit_event(self.credit, self.agreement.billing.threshold, self.state)
        if found is not None:
            self.take(found)

    @rule()
    def look_at_the_clock(self) -> None:
        """Out of credit, the meter opens its relay once neither hours nor emergency credit forbid it."""
        if self.state is S.OUT_OF_CREDIT and self.powered() and self.grid.grace_is_over(self.fields()):
            self.take(E.GRACE_ENDED)
            assert not self.powered()

    @invariant()
    def power_flows_where_credit_is_drawn(self) -> None:
        if self.state in DRAWING:
            assert self.relay is Relay.CONNECTED

    @invariant()
    def no_power_where_a_person_holds_it(self) -> None:
        if self.state in OPENED_BY_A_PERSON:
            assert self.relay is Relay.DISCONNECTED
        if self.state is S.READY_FOR_RECONNECTION and self.device:
            assert self.relay is Relay.READY_FOR_RECONNECTION
        if self.state is S.TAMPERED and not self.agreement.never_cut:
            assert self.relay is Relay.DISCONNECTED


TestMeterAndGrid = MeterAndGrid.TestCase
