"""Every state and event of the meter rule, its conditions, and Algorithm 1's test of the credit."""

from __future__ import annotations

import pytest

from gridmonitoring.contracts.effects import (
    AlertConsumer,
    CutPower,
    Display,
    Effect,
    RecordViolation,
    Report,
    RestorePower,
)
from gridmonitoring.contracts.messages import Message
from gridmonitoring.contracts.meter_rule import (
    SETTLING_EVENTS,
    TABLE,
    TAMPER_BITS,
    Event,
    MeterState,
    Relay,
    Status,
    Step,
    credit_event,
    expects,
    relay_after,
    step,
)
from gridmonitoring.contracts.violations import Violation
from gridmonitoring.errors import ContractError, UnexpectedEvent
from tests.support.agreements import FIELDS

S, E, M = MeterState, Event, Message

LETTERS = {
    "N": S.NEW,
    "A": S.ACTIVE,
    "L": S.LOW_CREDIT,
    "O": S.OUT_OF_CREDIT,
    "R": S.READY_FOR_RECONNECTION,
    "S": S.SUPPLY_OFF,
    "T": S.TAMPERED,
    "X": S.CLOSED,
    "C": S.CUT_OFF,
}
# Where each event may lead from each state, in the order of LETTERS; a dot is an event that is not expected.
LEADS = """
INSTALLATION          A  .  .  O   R  S  T    .  C
INSTALLATION_FAILED   N  .  .  O   R  S  T    .  C
INTERVAL              .  A  L  O   R  S  T    .  C
RATE_CHANGE           .  A  L  O   R  S  T    .  C
END_OF_BILLING        .  A  L  O   R  S  T    .  C
LOW_CREDIT            .  L  .  .   .  .  .    .  .
OUT_OF_CREDIT         .  O  O  .   O  .  .    .  .
GRACE_ENDED           .  .  .  O   .  .  .    .  .
CREDIT_RESTORED       .  A  AL AOR R  S  T    .  C
CREDIT_REVERSED       .  A  L  O   R  S  T    .  C
PENALTY_CHARGED       .  A  L  O   R  S  T    .  C
RECONNECTED           .  .  .  .   AO .  .    .  .
SUPPLY_OFF            .  S  S  S   S  .  .    .  .
SUPPLY_ON             .  .  .  O   AO AO .    .  .
CUT_OFF               .  AC LC OC  RC SC T    .  .
CUT_OFF_LIFTED        .  A  L  O   R  S  T    .  OR
POWER_LIMIT_EXCEEDED  .  AR LR O   .  .  .    .  .
TAMPER                .  T  T  T   T  T  T    .  T
TAMPER_CLEARED        .  .  .  .   .  .  AORC .  .
BILLING_DISCREPANCY   .  A  L  O   R  S  T    X  C
INTEGRITY_FAILURE     .  A  L  O   R  S  T    X  C
POWER_FAILURE         .  A  L  O   R  S  T    .  C
POWER_RESTORED        .  A  L  O   R  S  T    .  C
COMMAND_IGNORED       .  A  L  O   R  S  T    .  C
SCRIPT_CHANGED        .  A  A  O   R  S  T    .  C
DEVICE_REMOVED        .  N  N  O   R  S  T    .  C
CLOSED                X  X  X  X   X  X  X    .  X
"""


def _leads() -> dict[tuple[MeterState, Event], set[MeterState]]:
    found = {}
    for line in LEADS.split("\n")[1:-1]:
        event, *cells = line.split()
        for state, cell in zip(LETTERS.values(), cells, strict=True):
            found[state, Event[event]] = {LETTERS[letter] for letter in cell.strip(".")}
    return found


EVERY_PAIR = [(state, event) for state in MeterState for event in Event]


@pytest.mark.parametrize(("state", "event"), EVERY_PAIR)
def test_every_state_and_event_leads_where_it_should(state: MeterState, event: Event) -> None:
    leads = _leads()[state, event]
    assert {rule.step.state for rule in TABLE.get((state, event), ())} == leads
    assert expects(state, event) is bool(leads)


@pytest.mark.parametrize(("state", "event"), EVERY_PAIR)
def test_an_event_that_is_not_expected_names_itself(state: MeterState, event: Event) -> None:
    if expects(state, event):
        assert step(state, event, FIELDS).state in _leads()[state, event]
        return
    with pytest.raises(UnexpectedEvent) as caught:
        step(state, event, FIELDS)
    assert (caught.value.state, caught.value.event) == (state.name, event.name)


def test_of_a_pairs_rules_just_the_last_has_no_condition() -> None:
    for rules in TABLE.values():
        assert [rule.when is None for rule in rules] == [False] * (len(rules) - 1) + [True]


def test_normal_flow_is_a_report_without_a_message_and_no_condition() -> None:
    for (_, event), rules in TABLE.items():
        if event in (E.INTERVAL, E.RATE_CHANGE, E.END_OF_BILLING, E.POWER_FAILURE, E.POWER_RESTORED):
            assert [rule.step.effects for rule in rules] == [(Report(None),)]


NO_CREDIT = {"credit": 0, "debt": 3}
CASES: list[tuple[MeterState, Event, dict[str, int], MeterState, Message, list[Effect]]] = [
    # Algorithm 1
    (S.NEW, E.INSTALLATION, {}, S.ACTIVE, M.INSTALLATION_SUCCESSFUL, [RestorePower()]),
    (S.NEW, E.INSTALLATION_FAILED, {}, S.NEW, M.INSTALLATION_FAILED, []),
    (S.ACTIVE, E.LOW_CREDIT, {}, S.LOW_CREDIT, M.LOW_CREDIT, [AlertConsumer(M.LOW_CREDIT)]),
    (S.ACTIVE, E.OUT_OF_CREDIT, NO_CREDIT, S.OUT_OF_CREDIT, M.NO_POWER, [CutPower()]),
    (S.LOW_CREDIT, E.OUT_OF_CREDIT, NO_CREDIT, S.OUT_OF_CREDIT, M.NO_POWER, [CutPower()]),
    (S.ACTIVE, E.TAMPER, {}, S.TAMPERED, M.TAMPERED, [CutPower(), RecordViolation(Violation.TAMPER)]),
    (
        S.ACTIVE,
        E.BILLING_DISCREPANCY,
        {},
        S.ACTIVE,
        M.OVERCHARGED,
        [RecordViolation(Violation.BILLING_DISCREPANCY), AlertConsumer(M.OVERCHARGED)],
    ),
    (
        S.CLOSED,
        E.INTEGRITY_FAILURE,
        {},
        S.CLOSED,
        M.OVERCHARGED,
        [RecordViolation(Violation.INTEGRITY_FAILURE), AlertConsumer(M.OVERCHARGED)],
    ),
    # grace
    (S.ACTIVE, E.OUT_OF_CREDIT, {**NO_CREDIT, "never_cut": 1}, S.OUT_OF_CREDIT, M.SUPPLY_STAYS_ON, []),
    (S.ACTIVE, E.OUT_OF_CREDIT, {**NO_CREDIT, "no_cut_hours": 1}, S.OUT_OF_CREDIT, M.SUPPLY_STAYS_ON, []),
    (S.ACTIVE, E.OUT_OF_CREDIT, {**NO_CREDIT, "emergency_credit": 4}, S.OUT_OF_CREDIT, M.SUPPLY_STAYS_ON, []),
    (
        S.ACTIVE,
        E.OUT_OF_CREDIT,
        {**NO_CREDIT, "emergency_credit": 3},
        S.OUT_OF_CREDIT,
        M.NO_POWER,
        [CutPower()],
    ),
    (S.OUT_OF_CREDIT, E.GRACE_ENDED, NO_CREDIT, S.OUT_OF_CREDIT, M.NO_POWER, [CutPower()]),
    (S.OUT_OF_CREDIT, E.SUPPLY_ON, {"no_cut_hours": 1}, S.OUT_OF_CREDIT, M.SUPPLY_STAYS_ON, [RestorePower()]),
    (S.OUT_OF_CREDIT, E.SUPPLY_ON, {}, S.OUT_OF_CREDIT, M.NO_POWER, []),
    # credit comes back
    (S.LOW_CREDIT, E.CREDIT_RESTORED, {"credit": 500}, S.LOW_CREDIT, M.CREDIT_ADDED, []),
    (S.LOW_CREDIT, E.CREDIT_RESTORED, {"credit": 501}, S.ACTIVE, M.CREDIT_ADDED, []),
    (S.OUT_OF_CREDIT, E.CREDIT_RESTORED, {"credit": 0}, S.OUT_OF_CREDIT, M.CREDIT_ADDED, []),
    (S.OUT_OF_CREDIT, E.CREDIT_RESTORED, {"credit": 1}, S.ACTIVE, M.CREDIT_ADDED, []),
    (
        S.OUT_OF_CREDIT,
        E.CREDIT_RESTORED,
        {"relay_connected": 0},
        S.READY_FOR_RECONNECTION,
        M.CONFIRM_TO_RECONNECT,
        [],
    ),
    (S.READY_FOR_RECONNECTION, E.RECONNECTED, {}, S.ACTIVE, M.POWER_ON, [RestorePower()]),
    (S.READY_FOR_RECONNECTION, E.RECONNECTED, {"credit": 0}, S.OUT_OF_CREDIT, M.NO_POWER, []),
    (
        S.READY_FOR_RECONNECTION,
        E.SUPPLY_ON,
        {"credit": 0, "never_cut": 1},
        S.OUT_OF_CREDIT,
        M.SUPPLY_STAYS_ON,
        [RestorePower()],
    ),
    (S.READY_FOR_RECONNECTION, E.OUT_OF_CREDIT, NO_CREDIT, S.OUT_OF_CREDIT, M.NO_POWER, []),
    # the consumer's wish
    (S.LOW_CREDIT, E.SUPPLY_OFF, {}, S.SUPPLY_OFF, M.SWITCHED_OFF, [CutPower()]),
    (S.SUPPLY_OFF, E.SUPPLY_ON, {}, S.ACTIVE, M.POWER_ON, [RestorePower()]),
    (S.SUPPLY_OFF, E.SUPPLY_ON, {"credit": 0}, S.OUT_OF_CREDIT, M.NO_POWER, []),
    (S.ACTIVE, E.POWER_LIMIT_EXCEEDED, {}, S.READY_FOR_RECONNECTION, M.POWER_LIMIT_EXCEEDED, [CutPower()]),
    (S.ACTIVE, E.POWER_LIMIT_EXCEEDED, {"no_cut_hours": 1}, S.ACTIVE, M.POWER_LIMIT_EXCEEDED, []),
    # cut-off and tamper
    (S.ACTIVE, E.CUT_OFF, {}, S.CUT_OFF, M.CUT_OFF, [CutPower()]),
    (S.CUT_OFF, E.CUT_OFF_LIFTED, {}, S.READY_FOR_RECONNECTION, M.CONFIRM_TO_RECONNECT, []),
    (S.CUT_OFF, E.CUT_OFF_LIFTED, {"credit": 0}, S.OUT_OF_CREDIT, M.NO_POWER, []),
    (S.ACTIVE, E.TAMPER, {"never_cut": 1}, S.TAMPERED, M.TAMPERED, [RecordViolation(Violation.TAMPER)]),
    (S.TAMPERED, E.TAMPER_CLEARED, {"cut_off": 1}, S.CUT_OFF, M.CUT_OFF, []),
    (S.TAMPERED, E.TAMPER_CLEARED, {"credit": 0}, S.OUT_OF_CREDIT, M.SUPPLY_STAYS_ON, []),
    (S.TAMPERED, E.TAMPER_CLEARED, {"credit": 0, "relay_connected": 0}, S.OUT_OF_CREDIT, M.NO_POWER, []),
    (S.TAMPERED, E.TAMPER_CLEARED, {}, S.ACTIVE, M.POWER_ON, []),
    (
        S.TAMPERED,
        E.TAMPER_CLEARED,
        {"relay_connected": 0},
        S.READY_FOR_RECONNECTION,
        M.CONFIRM_TO_RECONNECT,
        [],
    ),
    # a swapped device
    (
        S.OUT_OF_CREDIT,
        E.INSTALLATION,
        {"no_cut_hours": 1},
        S.OUT_OF_CREDIT,
        M.INSTALLATION_SUCCESSFUL,
        [RestorePower()],
    ),
    (S.TAMPERED, E.INSTALLATION, {"never_cut": 1}, S.TAMPERED, M.INSTALLATION_SUCCESSFUL, [RestorePower()]),
    (S.TAMPERED, E.INSTALLATION, {}, S.TAMPERED, M.INSTALLATION_SUCCESSFUL, []),
    # the end
    (S.SUPPLY_OFF, E.CLOSED, {}, S.CLOSED, M.ACCOUNT_CLOSED, [CutPower()]),
]


@pytest.mark.parametrize(("state", "event", "fields", "target", "message", "first"), CASES)
def test_conditions_decide_state_message_and_relay(
    state: MeterState,
    event: Event,
    fields: dict[str, int],
    target: MeterState,
    message: Message,
    first: list[Effect],
) -> None:
    found = step(state, event, {**FIELDS, **fields})
    assert found == Step(target, (*first, Report(message), Display(message)))


def test_never_cut_leaves_a_cut_off_undone() -> None:
    found = step(S.LOW_CREDIT, E.CUT_OFF, {**FIELDS, "never_cut": 1})
    assert found == Step(S.LOW_CREDIT, (Report(None),))


def test_a_condition_that_cannot_be_evaluated_is_an_error_and_never_false() -> None:
    fields = {name: value for name, value in FIELDS.items() if name != "debt"}
    with pytest.raises(ContractError, match="debt") as caught:
        step(S.ACTIVE, E.OUT_OF_CREDIT, {**fields, "never_cut": 1})
    assert not isinstance(caught.value, UnexpectedEvent)


@pytest.mark.parametrize(
    ("credit", "state", "event"),
    [
        (501, S.ACTIVE, None),
        (500, S.ACTIVE, E.LOW_CREDIT),
        (1, S.ACTIVE, E.LOW_CREDIT),
        (0, S.ACTIVE, E.OUT_OF_CREDIT),
        (-1, S.ACTIVE, E.OUT_OF_CREDIT),
        (500, S.LOW_CREDIT, None),
        (0, S.LOW_CREDIT, E.OUT_OF_CREDIT),
        (0, S.READY_FOR_RECONNECTION, E.OUT_OF_CREDIT),
        (400, S.READY_FOR_RECONNECTION, None),
        (0, S.OUT_OF_CREDIT, None),
        (0, S.SUPPLY_OFF, None),
        (0, S.TAMPERED, None),
        (0, S.CUT_OFF, None),
        (0, S.NEW, None),
        (0, S.CLOSED, None),
    ],
)
def test_zero_is_tested_before_the_threshold(credit: int, state: MeterState, event: Event | None) -> None:
    assert credit_event(credit, 500, state) is event


@pytest.mark.parametrize("state", MeterState)
@pytest.mark.parametrize("credit", [-1, 0, 1, 500, 501])
def test_what_the_test_of_the_credit_finds_is_expected(state: MeterState, credit: int) -> None:
    found = credit_event(credit, 500, state)
    assert found is None or expects(state, found)


def test_everything_but_normal_flow_and_a_failed_installation_settles() -> None:
    assert set(Event) - SETTLING_EVENTS == {E.INTERVAL, E.INSTALLATION_FAILED}


@pytest.mark.parametrize(
    ("after", "before", "relay"),
    [
        (Step(S.ACTIVE, (Report(None),)), Relay.CONNECTED, Relay.CONNECTED),
        (Step(S.OUT_OF_CREDIT, (CutPower(), Report(M.NO_POWER))), Relay.CONNECTED, Relay.DISCONNECTED),
        (Step(S.READY_FOR_RECONNECTION, (CutPower(),)), Relay.CONNECTED, Relay.READY_FOR_RECONNECTION),
        (Step(S.READY_FOR_RECONNECTION, ()), Relay.DISCONNECTED, Relay.READY_FOR_RECONNECTION),
        (Step(S.TAMPERED, ()), Relay.READY_FOR_RECONNECTION, Relay.DISCONNECTED),
        (Step(S.ACTIVE, (RestorePower(),)), Relay.READY_FOR_RECONNECTION, Relay.CONNECTED),
    ],
)
def test_the_relay_follows_the_step(after: Step, before: Relay, relay: Relay) -> None:
    assert relay_after(after, before) is relay


def test_codes_are_those_of_the_ledger() -> None:
    """Numbers are part of the encoding: changing one changes what old blocks say."""
    assert [state.value for state in MeterState] == list(range(9))
    assert [event.value for event in Event] == [*range(1, 27), 30]
    assert [relay.value for relay in Relay] == [0, 1, 2]
    assert [bit.value for bit in Status] == [1, 2, 4, 8, 16, 32, 64]
    assert TAMPER_BITS == 8 + 16 + 32 + 64
    assert (E.INTERVAL, E.LOW_CREDIT, E.OUT_OF_CREDIT, E.TAMPER, E.CLOSED) == (3, 6, 7, 17, 26)
    assert (S.ACTIVE, S.OUT_OF_CREDIT, S.TAMPERED, S.CUT_OFF) == (1, 3, 6, 8)
