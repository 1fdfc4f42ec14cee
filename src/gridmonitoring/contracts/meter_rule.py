"""Algorithm 1, the meter rule, as a literal table (paper V-A).

"Smart contracts can be described as finite state machines which execute laid down instructions when
predefined conditions are met." The states, the events and everything that may follow are in this file. A
script (`script`) is this rule with an agreement's terms written into it; grid and meter run the same one.

| Algorithm 1     | here                                                                     |
|-----------------|--------------------------------------------------------------------------|
| power_flow      | `INSTALLATION`: "Installation successful", access to electricity         |
| normal_flow     | `INTERVAL`: a report at the reporting interval, no message               |
| threshold_value | `LOW_CREDIT`: "Power running down, top up"                               |
| power_finished  | `OUT_OF_CREDIT`: "... has no power, system shutdown", the relay opens    |
| state_tamper    | `TAMPER`: "... has been tampered with", the relay opens until cleared    |
| data_tamper     | `BILLING_DISCREPANCY`, `INTEGRITY_FAILURE`: "You are being over charged" |

Where the algorithm cannot be taken by the letter: its `value <= threshold` comes before `value = 0`, so
that shutdown would never be reached; here zero is tested first (`credit_event`). It assigns with `==`, and
sends nothing at normal flow; the rule does what is plainly meant.

An event that a state does not expect raises `UnexpectedEvent` and changes nothing; the caller moves the
registers and records the violation. Left out: how a meter senses (`smart_meter`), what a violation costs
(`agreement`).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum, IntFlag
from typing import NamedTuple

from gridmonitoring.contracts.effects import (
    AlertConsumer,
    CutPower,
    Display,
    Effect,
    Effects,
    RecordViolation,
    Report,
    RestorePower,
)
from gridmonitoring.contracts.guards import Guard, evaluate
from gridmonitoring.contracts.messages import Message
from gridmonitoring.contracts.violations import Violation
from gridmonitoring.errors import UnexpectedEvent


class MeterState(IntEnum):
    """What the contract holds a meter to be; numbers are never reused."""

    NEW = 0
    """Registered; no device is installed, or it was removed."""
    ACTIVE = 1
    """In credit; the relay is closed."""
    LOW_CREDIT = 2
    """At the threshold or below; the relay is closed."""
    OUT_OF_CREDIT = 3
    """Credit is used up; the relay is open, but closed while no-cut hours or emergency credit last."""
    READY_FOR_RECONNECTION = 4
    """The relay is open and closes when the consumer accepts."""
    SUPPLY_OFF = 5
    """The relay is open by the consumer's wish."""
    TAMPERED = 6
    """The relay is open until two operators sign a clear."""
    CLOSED = 7
    """The account is closed, for good."""
    CUT_OFF = 8
    """The relay is open by an agreed action for a violation, until a signed order lifts it."""


class Event(IntEnum):
    """What a report is about; the closed list of a claim's event codes. Numbers are never reused.

    In brackets the event of the COSEM disconnector, fraud or standard event log, where there is one.
    """

    INSTALLATION = 1
    """power_flow: a device is installed, and the authenticator has verified it."""
    INSTALLATION_FAILED = 2
    """A device was tried and does not work, or was not verified."""
    INTERVAL = 3
    """normal_flow: the report of a reporting interval."""
    RATE_CHANGE = 4
    """Another register of the tariff takes over; settles the one before."""
    END_OF_BILLING = 5
    """The billing interval ends; settles it."""
    LOW_CREDIT = 6
    """threshold_value: credit came down to the threshold."""
    OUT_OF_CREDIT = 7
    """power_finished: credit came down to zero (64, local disconnection)."""
    GRACE_ENDED = 8
    """Out of credit, and now neither no-cut hours nor emergency credit keep the relay closed (64)."""
    CREDIT_RESTORED = 9
    """A command was carried out that brings credit: a purchase, a compensation, a penalty given back."""
    CREDIT_REVERSED = 10
    """A command was carried out that takes credit back: a bounced payment."""
    RECONNECTED = 11
    """The consumer accepted at the meter (61, manual connection)."""
    SUPPLY_OFF = 12
    """The consumer's order to switch off was carried out (60 or 62)."""
    SUPPLY_ON = 13
    """The consumer's order to switch on was carried out (63)."""
    CUT_OFF = 14
    """A disconnect command, an agreed action for a violation, was carried out, or now can be (62)."""
    CUT_OFF_LIFTED = 15
    """A reconnect command was carried out (59, ready for manual reconnection)."""
    POWER_LIMIT_EXCEEDED = 16
    """More power than the limit, for longer than the meter allows (65)."""
    TAMPER = 17
    """state_tamper: a cover, a magnet or a wrong password; the status word says which (40, 42, 44, 46)."""
    TAMPER_CLEARED = 18
    """A clear by two different operators was carried out."""
    BILLING_DISCREPANCY = 19
    """data_tamper: a statement has a unit more than the meter's own registers and tariff give."""
    INTEGRITY_FAILURE = 20
    """data_tamper: a statement or command without a valid proof, or a changed row."""
    POWER_FAILURE = 21
    """The grid's voltage is gone (1, power down); no tamper."""
    POWER_RESTORED = 22
    """The grid's voltage is back (2, power up)."""
    COMMAND_IGNORED = 23
    """A stale, repeated or unacceptable command was ignored."""
    SCRIPT_CHANGED = 24
    """A new script is in force from here on."""
    DEVICE_REMOVED = 25
    """The device is swapped; these are its last registers."""
    CLOSED = 26
    """The account is closed; these are its last registers."""
    PENALTY_CHARGED = 30
    """A penalty command, an agreed action for a violation, was carried out."""


SETTLING_EVENTS = frozenset(Event) - {Event.INTERVAL, Event.INSTALLATION_FAILED}
"""Events whose claim carries the registers and the credit left; an interval report may settle as well."""


class Status(IntFlag):
    """Status word of a claim; several bits may be set. In brackets the COSEM fraud event."""

    CLOCK_SUSPECT = 1
    """The clock is not synchronised."""
    POWER_FAILURE = 2
    """The voltage failed within the interval."""
    ESTIMATED = 4
    """Part of the reading is estimated."""
    TERMINAL_COVER = 8
    """The terminal cover is open (40)."""
    MAGNET = 16
    """A strong magnetic field (42)."""
    METER_COVER = 32
    """The meter cover is open (44)."""
    WRONG_PASSWORD = 64
    """Wrong passwords at the meter's port (46)."""


TAMPER_BITS = Status.TERMINAL_COVER | Status.MAGNET | Status.METER_COVER | Status.WRONG_PASSWORD
"""Status bits that are a tamper."""


class Relay(IntEnum):
    """Control state of the relay, as COSEM 0-0:96.3.10 has it."""

    DISCONNECTED = 0
    """Open."""
    CONNECTED = 1
    """Closed: there is power."""
    READY_FOR_RECONNECTION = 2
    """Open, until the consumer accepts."""


class Step(NamedTuple):
    """What follows an event."""

    state: MeterState
    """The new state."""
    effects: Effects
    """What is to be done, in order."""


class Rule(NamedTuple):
    """One line of the table; of a pair's lines, the first whose guard holds is taken."""

    when: Guard | None
    """Condition; none on the last line of a pair."""
    step: Step
    """What follows."""


Pair = tuple[MeterState, Event]
"""A state and the event that comes to it."""

# Conditions. `never_cut` and `no_cut_hours` are written out by the script of an agreement.
NEVER_CUT: Guard = ("=", "never_cut", 1)
NO_CUT_HOURS: Guard = ("=", "no_cut_hours", 1)
NEVER_CUT_NOW: Guard = ("or", NEVER_CUT, NO_CUT_HOURS)
IN_GRACE: Guard = ("or", NEVER_CUT, NO_CUT_HOURS, ("<", "debt", "emergency_credit"))
NO_CREDIT: Guard = ("<=", "credit", 0)
NO_CREDIT_IN_GRACE: Guard = ("and", NO_CREDIT, IN_GRACE)
GRACE_BUT_POWER: Guard = ("and", ("=", "relay_connected", 1), IN_GRACE)
STILL_LOW: Guard = ("<=", "credit", "threshold")
STILL_CUT_OFF: Guard = ("and", ("=", "cut_off", 1), ("not", NEVER_CUT))
RELAY_CLOSED: Guard = ("=", "relay_connected", 1)
NO_CREDIT_BUT_POWER: Guard = ("and", NO_CREDIT, RELAY_CLOSED)

# Groups of states, and shorthands for the lines below.
S, E, M = MeterState, Event, Message
READY = S.READY_FOR_RECONNECTION
DRAWING = (S.ACTIVE, S.LOW_CREDIT)
OFF = (READY, S.SUPPLY_OFF)
HELD = (*OFF, S.TAMPERED, S.CUT_OFF)
INSTALLED = (*DRAWING, S.OUT_OF_CREDIT, *HELD)
BILLED = (*INSTALLED, S.CLOSED)
READINGS = (E.INTERVAL, E.RATE_CHANGE, E.END_OF_BILLING, E.POWER_FAILURE, E.POWER_RESTORED, E.COMMAND_IGNORED)
SAME = None
QUIET: Effects = (Report(None),)


def say(message: Message, *first: Effect) -> Effects:
    """Return the effects of a message: whatever comes first, then report and display."""
    return (*first, Report(message), Display(message))


RESTORE, CUT = RestorePower(), CutPower()
RECORD_TAMPER = RecordViolation(Violation.TAMPER)
RECORD_DISCREPANCY = RecordViolation(Violation.BILLING_DISCREPANCY)
RECORD_FAILURE = RecordViolation(Violation.INTEGRITY_FAILURE)
TELL_LOW, TELL_OVERCHARGED = AlertConsumer(M.LOW_CREDIT), AlertConsumer(M.OVERCHARGED)


class Line(NamedTuple):
    """A line of Algorithm 1 as it is written here: one rule for several states."""

    states: tuple[MeterState, ...]
    """States that it is for."""
    event: Event
    """Event that comes."""
    when: Guard | None
    """Condition; none: in every other case."""
    target: MeterState | None
    """The new state; none: the state stays."""
    effects: Effects
    """What is to be done."""


LINES = (
    # power_flow: access to electricity; what only a person may lift outlives the device
    Line((S.NEW,), E.INSTALLATION, None, S.ACTIVE, say(M.INSTALLATION_SUCCESSFUL, RESTORE)),
    Line((S.OUT_OF_CREDIT,), E.INSTALLATION, IN_GRACE, SAME, say(M.INSTALLATION_SUCCESSFUL, RESTORE)),
    Line((S.TAMPERED,), E.INSTALLATION, NEVER_CUT, SAME, say(M.INSTALLATION_SUCCESSFUL, RESTORE)),
    Line((S.OUT_OF_CREDIT, *HELD), E.INSTALLATION, None, SAME, say(M.INSTALLATION_SUCCESSFUL)),
    Line((S.NEW, S.OUT_OF_CREDIT, *HELD), E.INSTALLATION_FAILED, None, SAME, say(M.INSTALLATION_FAILED)),
    Line(DRAWING, E.DEVICE_REMOVED, None, S.NEW, QUIET),
    Line((S.OUT_OF_CREDIT, *HELD), E.DEVICE_REMOVED, None, SAME, QUIET),
    # normal_flow: a reading, and what the meter logs
    *(Line(INSTALLED, event, None, SAME, QUIET) for event in READINGS),
    # threshold_value
    Line((S.ACTIVE,), E.LOW_CREDIT, None, S.LOW_CREDIT, say(M.LOW_CREDIT, TELL_LOW)),
    # power_finished
    Line(DRAWING, E.OUT_OF_CREDIT, IN_GRACE, S.OUT_OF_CREDIT, say(M.SUPPLY_STAYS_ON)),
    Line(DRAWING, E.OUT_OF_CREDIT, None, S.OUT_OF_CREDIT, say(M.NO_POWER, CUT)),
    Line((READY,), E.OUT_OF_CREDIT, None, S.OUT_OF_CREDIT, say(M.NO_POWER)),
    Line((S.OUT_OF_CREDIT,), E.GRACE_ENDED, IN_GRACE, SAME, QUIET),
    Line((S.OUT_OF_CREDIT,), E.GRACE_ENDED, None, SAME, say(M.NO_POWER, CUT)),
    # credit comes and goes
    Line((S.LOW_CREDIT,), E.CREDIT_RESTORED, STILL_LOW, SAME, say(M.CREDIT_ADDED)),
    Line(DRAWING, E.CREDIT_RESTORED, None, S.ACTIVE, say(M.CREDIT_ADDED)),
    Line((S.OUT_OF_CREDIT,), E.CREDIT_RESTORED, NO_CREDIT, SAME, say(M.CREDIT_ADDED)),
    Line((S.OUT_OF_CREDIT,), E.CREDIT_RESTORED, RELAY_CLOSED, S.ACTIVE, say(M.CREDIT_ADDED)),
    Line((S.OUT_OF_CREDIT,), E.CREDIT_RESTORED, None, READY, say(M.CONFIRM_TO_RECONNECT)),
    Line(HELD, E.CREDIT_RESTORED, None, SAME, say(M.CREDIT_ADDED)),
    Line(INSTALLED, E.CREDIT_REVERSED, None, SAME, say(M.PAYMENT_REVERSED)),
    Line(INSTALLED, E.PENALTY_CHARGED, None, SAME, say(M.PENALTY)),
    # the consumer switches
    Line((*DRAWING, S.OUT_OF_CREDIT, READY), E.SUPPLY_OFF, None, S.SUPPLY_OFF, say(M.SWITCHED_OFF, CUT)),
    Line(OFF, E.SUPPLY_ON, NO_CREDIT_IN_GRACE, S.OUT_OF_CREDIT, say(M.SUPPLY_STAYS_ON, RESTORE)),
    Line(OFF, E.SUPPLY_ON, NO_CREDIT, S.OUT_OF_CREDIT, say(M.NO_POWER)),
    Line(OFF, E.SUPPLY_ON, None, S.ACTIVE, say(M.POWER_ON, RESTORE)),
    Line((S.OUT_OF_CREDIT,), E.SUPPLY_ON, IN_GRACE, SAME, say(M.SUPPLY_STAYS_ON, RESTORE)),
    Line((S.OUT_OF_CREDIT,), E.SUPPLY_ON, None, SAME, say(M.NO_POWER)),
    Line((READY,), E.RECONNECTED, NO_CREDIT_IN_GRACE, S.OUT_OF_CREDIT, say(M.SUPPLY_STAYS_ON, RESTORE)),
    Line((READY,), E.RECONNECTED, NO_CREDIT, S.OUT_OF_CREDIT, say(M.NO_POWER)),
    Line((READY,), E.RECONNECTED, None, S.ACTIVE, say(M.POWER_ON, RESTORE)),
    Line(DRAWING, E.POWER_LIMIT_EXCEEDED, NEVER_CUT_NOW, SAME, say(M.POWER_LIMIT_EXCEEDED)),
    Line(DRAWING, E.POWER_LIMIT_EXCEEDED, None, READY, say(M.POWER_LIMIT_EXCEEDED, CUT)),
    Line((S.OUT_OF_CREDIT,), E.POWER_LIMIT_EXCEEDED, None, SAME, say(M.POWER_LIMIT_EXCEEDED)),
    # an agreed cut-off; where the relay may not open now, the meter opens it as soon as it may
    Line((*DRAWING, S.OUT_OF_CREDIT, *OFF, S.TAMPERED), E.CUT_OFF, NEVER_CUT, SAME, QUIET),
    Line(DRAWING, E.CUT_OFF, NO_CUT_HOURS, SAME, say(M.CUT_OFF_WAITS)),
    Line((S.OUT_OF_CREDIT,), E.CUT_OFF, GRACE_BUT_POWER, SAME, say(M.CUT_OFF_WAITS)),
    Line((*DRAWING, S.OUT_OF_CREDIT, *OFF), E.CUT_OFF, None, S.CUT_OFF, say(M.CUT_OFF, CUT)),
    Line((S.TAMPERED,), E.CUT_OFF, None, SAME, say(M.CUT_OFF)),
    Line((S.CUT_OFF,), E.CUT_OFF_LIFTED, NO_CREDIT, S.OUT_OF_CREDIT, say(M.NO_POWER)),
    Line((S.CUT_OFF,), E.CUT_OFF_LIFTED, None, READY, say(M.CONFIRM_TO_RECONNECT)),
    Line((*DRAWING, S.OUT_OF_CREDIT, *OFF, S.TAMPERED), E.CUT_OFF_LIFTED, None, SAME, QUIET),
    # state_tamper: the relay opens until a signed clear
    Line(INSTALLED, E.TAMPER, NEVER_CUT, S.TAMPERED, say(M.TAMPERED, RECORD_TAMPER)),
    Line(INSTALLED, E.TAMPER, None, S.TAMPERED, say(M.TAMPERED, CUT, RECORD_TAMPER)),
    Line((S.TAMPERED,), E.TAMPER_CLEARED, STILL_CUT_OFF, S.CUT_OFF, say(M.CUT_OFF)),
    Line((S.TAMPERED,), E.TAMPER_CLEARED, NO_CREDIT_BUT_POWER, S.OUT_OF_CREDIT, say(M.SUPPLY_STAYS_ON)),
    Line((S.TAMPERED,), E.TAMPER_CLEARED, NO_CREDIT, S.OUT_OF_CREDIT, say(M.NO_POWER)),
    Line((S.TAMPERED,), E.TAMPER_CLEARED, RELAY_CLOSED, S.ACTIVE, say(M.POWER_ON)),
    Line((S.TAMPERED,), E.TAMPER_CLEARED, None, READY, say(M.CONFIRM_TO_RECONNECT)),
    # data_tamper: also in the last statement of a closed account
    Line(BILLED, E.BILLING_DISCREPANCY, None, SAME, say(M.OVERCHARGED, RECORD_DISCREPANCY, TELL_OVERCHARGED)),
    Line(BILLED, E.INTEGRITY_FAILURE, None, SAME, say(M.OVERCHARGED, RECORD_FAILURE, TELL_OVERCHARGED)),
    # the contract itself
    Line(DRAWING, E.SCRIPT_CHANGED, None, S.ACTIVE, say(M.NEW_TERMS)),
    Line((S.OUT_OF_CREDIT, *HELD), E.SCRIPT_CHANGED, None, SAME, say(M.NEW_TERMS)),
    Line((S.NEW,), E.CLOSED, None, S.CLOSED, QUIET),
    Line(INSTALLED, E.CLOSED, None, S.CLOSED, say(M.ACCOUNT_CLOSED, CUT)),
)
"""The meter rule. The first line for a state and an event whose condition holds is taken; what has no line is
an event that the state does not expect."""


def _expand(lines: tuple[Line, ...]) -> dict[Pair, tuple[Rule, ...]]:
    table: dict[Pair, tuple[Rule, ...]] = {}
    for line in lines:
        for state in line.states:
            target = state if line.target is None else line.target
            table[state, line.event] = (
                *table.get((state, line.event), ()),
                Rule(line.when, Step(target, line.effects)),
            )
    return table


TABLE: Mapping[Pair, tuple[Rule, ...]] = _expand(LINES)
"""(state, event) -> its rules in order, the last without a condition. What is not here is not expected."""


def step(state: MeterState, event: Event, fields: Mapping[str, int]) -> Step:
    """Return what follows an event by the rule itself; its conditions read `fields` (`guards.NAMES`).

    Raises `UnexpectedEvent`, or `ContractError` where a condition cannot be evaluated.
    """
    rules = TABLE.get((state, event))
    if rules is None:
        raise UnexpectedEvent(state.name, event.name)
    return choose(rules, fields)


def expects(state: MeterState, event: Event) -> bool:
    """Tell whether a state expects an event, under any agreement; other orders are refused."""
    return (state, event) in TABLE


def choose(rules: tuple[Rule, ...], fields: Mapping[str, int]) -> Step:
    """Return the step of the first rule whose condition holds; the last has none.

    Raises `ContractError` where a condition cannot be evaluated.
    """
    return next(rule.step for rule in rules if rule.when is None or evaluate(rule.when, fields))


def credit_event(credit: int, threshold: int, state: MeterState) -> Event | None:
    """Return what Algorithm 1's test of the meter's value finds, zero first; none where nothing is new.

    `credit` and `threshold` are money; credit is 0 (or less) when it is used up. States that know already,
    or that another reason than credit holds, have no such event.
    """
    if credit <= 0:
        return E.OUT_OF_CREDIT if state in (*DRAWING, READY) else None
    if credit <= threshold and state is S.ACTIVE:
        return E.LOW_CREDIT
    return None


def relay_after(after: Step, before: Relay) -> Relay:
    """Return where the relay is to be after a step."""
    closed = before is Relay.CONNECTED
    for effect in after.effects:
        if isinstance(effect, CutPower | RestorePower):
            closed = isinstance(effect, RestorePower)
    if closed:
        return Relay.CONNECTED
    return Relay.READY_FOR_RECONNECTION if after.state is READY else Relay.DISCONNECTED
