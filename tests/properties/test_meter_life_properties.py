"""One meter through any life, beside the real grid: both hold the same, and nothing but tampering
is a violation."""

from __future__ import annotations

from typing import Any

from hypothesis import note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import replace

from gridmonitoring.blockchain.bodies import Kind, TellContractKey
from gridmonitoring.blockchain.contract_keys import last_announced
from gridmonitoring.blockchain.state_rows import CommandKind, FindingState, Table
from gridmonitoring.contracts.agreement import NoCutWindow
from gridmonitoring.contracts.meter_rule import Event, MeterState, Relay, Status
from gridmonitoring.contracts.violations import ActionKind, AgreedAction, Violation
from gridmonitoring.encoding.bounds import Role
from gridmonitoring.energy_center.credit import BillingTerms
from gridmonitoring.energy_center.tariffs import Tariff
from tests.support.billing import CENT, DAY, HOUR, MINUTE, NIGHT_AND_DAY, flat, slabs, time_of_use
from tests.support.contract_keys import rotate_small
from tests.support.houses import NOVEMBER_30, House, publish
from tests.support.small_grid import SmallGrid

SLABS = ((500, 5 * CENT), (2_000, 400 * CENT), (None, 20 * CENT))
TARIFFS = (
    flat(500 * CENT, standing=20 * CENT),
    time_of_use(((1, 900 * CENT), (2, 300 * CENT)), NIGHT_AND_DAY, standing=15 * CENT),
    slabs(SLABS, standing=3 * CENT),
)
EVENING = NOVEMBER_30 + 20 * HOUR

tariffs = st.sampled_from(TARIFFS)
terms = st.builds(
    BillingTerms,
    st.sampled_from((0, 700 * CENT)),
    st.sampled_from((0, 90 * CENT)),
    st.sampled_from((1000, 1000, 400, 0)),
    st.sampled_from((0, 0, 120 * CENT)),
    st.sampled_from((0, 196_000)),
)
agreed = st.fixed_dictionaries(
    {
        "billing": terms,
        "power_limit": st.sampled_from((0, 0, 3_000)),
        "billing_interval_ms": st.sampled_from((DAY, 6 * HOUR)),
        "no_cut": st.sampled_from(((), (), (NoCutWindow((), 0, 300),))),
    }
)
actions = st.tuples(
    st.sampled_from((30 * CENT, 200 * CENT)), st.booleans(), st.booleans(), st.sampled_from((20 * CENT, 0))
).map(
    lambda how: (
        AgreedAction(Violation.TAMPER, ActionKind.PENALTY, how[0], cut_off=how[1], notice=how[2]),
        AgreedAction(
            Violation.INTEGRITY_FAILURE,
            ActionKind.COMPENSATION if how[3] else ActionKind.NONE,
            how[3],
            cut_off=False,
            notice=how[2],
        ),
    )
)
money = st.sampled_from((CENT, 95 * CENT, 140 * CENT, 300 * CENT, 1_000 * CENT)) | st.integers(1, 400 * CENT)
load = st.sampled_from((40, 700, 2_500, 6_000))
seldom = st.sampled_from((False, False, True))


class MeterLife(RuleBasedStateMachine):
    """People, grid and meter act in any order; messages are delivered when `meet` says so."""

    def __init__(self) -> None:
        super().__init__()
        self.payments: list[bytes] = []

    @initialize(
        tariff=tariffs, agreed=agreed, first=money, rough=seldom, moving=seldom, done=st.none() | actions
    )
    def install(
        self, tariff: Tariff, agreed: dict[str, Any], first: int, rough: bool, moving: bool, done: Any
    ) -> None:
        self.grid = SmallGrid()
        self.key = self.grid.founding.contract_key
        self.now = EVENING
        self.rough, self.moving, self.done = rough or bool(done), moving, done
        self.house = House(self.grid, tariff, start=self.now, **self.agreed_on(agreed))
        self.house.install(self.now + 1)
        self.payments.append(self.house.buy(first, self.now + 5))

    def agreed_on(self, agreed: dict[str, Any]) -> dict[str, Any]:
        """Return terms with what is agreed for violations."""
        return {**agreed, "actions": self.done} if self.done else agreed

    @property
    def open(self) -> bool:
        """Whether the account is open on the grid."""
        return bool(self.grid.rows[Table.SUPPLY_POINT, self.house.mid].stage == 5)

    def tick(self) -> int:
        self.now += 10
        return self.now

    # time

    @rule(minutes=st.integers(1, 240), watts=load)
    def live(self, minutes: int, watts: int) -> None:
        start = -(-self.now // MINUTE) * MINUTE
        for minute in range(minutes):
            self.house.agent.minute(start + minute * MINUTE, watts, watts // 3, 0, watts // 5, watts // 2, 1)
        self.now = start + minutes * MINUTE

    @precondition(lambda self: self.moving)
    @rule(days=st.integers(1, 40))
    def stand_still(self, days: int) -> None:
        self.now += days * DAY + 7

    # people

    @precondition(lambda self: self.open)
    @rule(amount=money)
    def buy(self, amount: int) -> None:
        self.payments.append(self.house.buy(amount, self.tick()))

    @precondition(lambda self: self.payments)
    @rule(which=st.integers(0, 10))
    def bounce(self, which: int) -> None:
        self.house.bounce(self.payments.pop(which % len(self.payments)), self.tick())

    @precondition(lambda self: self.open)
    @rule(on=st.booleans(), limit=st.sampled_from((0, 1_000)))
    def wish(self, on: bool, limit: int) -> None:
        self.house.wish(on, self.tick(), limit)

    @precondition(lambda self: self.house.agent.meter.relay is not Relay.CONNECTED)
    @rule()
    def accept(self) -> None:
        self.house.agent.accept_reconnection(self.tick())

    @precondition(lambda self: self.rough)
    @rule(inputs=st.sampled_from((Status(0), Status.METER_COVER, Status.MAGNET | Status.TERMINAL_COVER)))
    def sense(self, inputs: Status) -> None:
        self.house.agent.sense(inputs, self.tick())

    @rule(present=st.booleans())
    def voltage(self, present: bool) -> None:
        self.house.agent.voltage(present, self.tick())

    @precondition(lambda self: self.rough)
    @rule()
    def wrong_password(self) -> None:
        self.house.agent.wrong_password(self.tick())

    @precondition(lambda self: self.grid.meter(self.house.mid).state == MeterState.TAMPERED)
    @rule()
    def clear(self) -> None:
        self.house.clear(self.tick())

    @precondition(lambda self: self.open and self.moving)
    @rule(tariff=tariffs, agreed=agreed)
    def new_terms(self, tariff: Tariff, agreed: dict[str, Any]) -> None:
        own = publish(self.grid, tariff, self.tick())
        terms = self.agreed_on(agreed)
        self.house.agree(
            replace(self.house.agreement, tariff=own.digest, valid_from_ms=self.now, **terms), self.now
        )

    @precondition(lambda self: self.done)
    @rule()
    def rubbish(self) -> None:
        agent = self.house.agent
        agent._commit(agent.meter.distrust(self.tick()))

    @precondition(lambda self: self.house.findings())
    @rule(which=st.integers(0, 10), upheld=st.booleans())
    def contest(self, which: int, upheld: bool) -> None:
        findings = self.house.findings()
        number = list(findings)[which % len(findings)]
        young = max(self.now, self.grid.meter(self.house.mid).time) < findings[number].time + 29 * DAY
        if findings[number].state is FindingState.RECORDED and young:
            self.house.dispute(number, self.tick())
        elif findings[number].state is FindingState.DISPUTED:
            self.house.decide(number, self.tick(), upheld=upheld)

    @precondition(lambda self: self.grid.meter(self.house.mid).cut_off)
    @rule()
    def lift(self) -> None:
        self.house.lift(self.tick())

    @precondition(lambda self: self.open and self.rough)
    @rule(kind=st.sampled_from((CommandKind.DISCONNECT, CommandKind.RECONNECT, CommandKind.MESSAGE)))
    def order(self, kind: CommandKind) -> None:
        cause = self.grid.decoded(len(self.grid.raws) - 1)
        self.grid.order(cause, self.house.mid, kind, height=23 if kind is CommandKind.MESSAGE else 0)

    @precondition(lambda self: self.open and self.moving and len(self.grid.raws) > 60)
    @rule()
    def close(self) -> None:
        self.house.close(self.tick())

    @precondition(lambda self: not self.open and self.grid.account(self.house.mid).credit)
    @rule()
    def pay_out(self) -> None:
        self.house.pay_out(self.grid.account(self.house.mid).credit, self.tick())
        assert self.grid.account(self.house.mid).lots == ()

    # the nodes

    @precondition(lambda self: self.open)
    @rule(at_once=st.booleans())
    def rotate(self, at_once: bool) -> None:
        key = rotate_small(self.grid, self.tick(), at_once=at_once)
        body = TellContractKey(self.house.mid, last_announced(self.grid.row_of))
        self.grid.act("node-3", Role.NODE, Kind.TELL_CONTRACT_KEY, body, self.tick())
        self.key = key

    # the line

    @rule()
    def flush(self) -> None:
        self.house.agent.flush()

    @rule()
    def poll(self) -> None:
        self.house.agent.poll(self.tick())

    @rule()
    def fall_asleep(self) -> None:
        self.house.wake()

    @rule()
    def meet(self) -> None:
        for _ in range(3):  # what the meter answers can make the grid alert it, and it answers that
            self.house.meet(self.tick())
        meter, row = self.house.agent.meter, self.grid.meter(self.house.mid)
        assert (meter.state, meter.relay) == (row.state, row.relay)
        assert meter.contract.carried_out == row.commands
        assert meter.contract.cut_off == row.cut_off
        assert meter.account == self.grid.account(self.house.mid)
        if row.carried_out == row.commands:
            assert meter.contract.terms.script == self.grid.rows[Table.AGREEMENT, self.house.mid].script
        assert meter.contract.terms.contract_key == self.key
        assert self.house.agent.waiting == 0
        assert self.house.outbox.refusals(self.house.mid) == []
        self.nothing_but_tampering_is_a_violation()

    @invariant()
    def nothing_but_tampering_is_a_violation(self) -> None:
        if hasattr(self, "house"):
            expected = {Violation.TAMPER, *([Violation.INTEGRITY_FAILURE] if self.done else [])}
            assert set(self.grid.violations(self.house.mid)) <= expected

    @invariant()
    def no_power_without_reason(self) -> None:
        if hasattr(self, "house"):
            meter = self.house.agent.meter
            if meter.state in (MeterState.TAMPERED, MeterState.SUPPLY_OFF, MeterState.CLOSED):
                assert meter.relay is not Relay.CONNECTED

    def teardown(self) -> None:
        if hasattr(self, "house"):
            self.meet()
            events = [Event(t.payload.body.event).name for t in self.grid.reports(self.house.mid)]
            note(" ".join(events))


TestMeterLife = MeterLife.TestCase
TestMeterLife.settings = settings(max_examples=60, stateful_step_count=40)
