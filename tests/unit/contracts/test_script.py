"""Scripts: generated from terms, checked against the meter rule, run alike everywhere, readable."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from msgspec.structs import replace

from gridmonitoring.contracts.effects import (
    AlertConsumer,
    CutPower,
    Display,
    Effect,
    Penalty,
    RecordViolation,
    Report,
    RestorePower,
    agreed_effects,
)
from gridmonitoring.contracts.guards import Guard
from gridmonitoring.contracts.messages import Message
from gridmonitoring.contracts.meter_rule import TABLE, Event, MeterState, step
from gridmonitoring.contracts.script import (
    MAX_MACHINES,
    Row,
    Script,
    ScriptMachine,
    check_script,
    decode_script,
    encode_script,
    format_script,
    generate_script,
    machine_for,
    script_hash,
)
from gridmonitoring.contracts.violations import ActionKind, AgreedAction, Violation, notice_only
from gridmonitoring.encoding.cbor import encode, loads
from gridmonitoring.encoding.hashes import sha256d
from gridmonitoring.errors import ContractError, EncodingError, UnexpectedEvent
from tests.support.agreements import FIELDS, HOME, HOSPITAL, NIGHTS, STRICT

S, E = MeterState, Event
KEY = b"k" * 32
SCRIPT = generate_script(HOME, KEY)


def row_of(script: Script, state: MeterState, event: Event) -> Row:
    """Return the first row of a state and event."""
    return next(row for row in script.rows if (row.state, row.event) == (state, event))


def changed(state: MeterState, event: Event, **changes: Any) -> Script:
    """Return the script with the first row of a state and event changed."""
    old = row_of(SCRIPT, state, event)
    rows = tuple(replace(row, **changes) if row is old else row for row in SCRIPT.rows)
    return replace(SCRIPT, rows=rows)


@pytest.mark.parametrize("agreement", [HOME, HOSPITAL, NIGHTS, STRICT])
def test_a_script_comes_back_from_its_bytes_and_is_named_by_their_hash(agreement: Any) -> None:
    script = generate_script(agreement, KEY)
    assert decode_script(encode_script(script)) == script
    assert script_hash(script) == sha256d(encode_script(script))
    assert script.contract_key == KEY


def test_the_same_terms_give_the_same_script_whoever_agrees() -> None:
    other = replace(HOME, consumer=b"another consumer", mid=b"another meter id", language="fr")
    assert generate_script(other, KEY) == SCRIPT


@pytest.mark.parametrize("agreement", [HOSPITAL, NIGHTS, STRICT])
def test_other_terms_or_another_key_give_another_script(agreement: Any) -> None:
    assert script_hash(generate_script(agreement, KEY)) != script_hash(SCRIPT)
    assert script_hash(generate_script(HOME, b"j" * 32)) != script_hash(SCRIPT)


def test_no_name_of_the_rule_is_left_that_the_agreement_decides() -> None:
    for agreement in (HOME, HOSPITAL, NIGHTS, STRICT):
        text = repr(generate_script(agreement).rows)
        assert "never_cut" not in text
        assert "no_cut_hours" not in text


@pytest.mark.parametrize("state", MeterState)
@pytest.mark.parametrize("event", Event)
def test_a_plain_household_runs_the_rule_itself(state: MeterState, event: Event) -> None:
    machine = ScriptMachine(SCRIPT)
    if (state, event) not in TABLE:
        with pytest.raises(UnexpectedEvent, match=f"{state.name} .* {event.name}"):
            machine.run(state, event, FIELDS)
        return
    found, rule = machine.run(state, event, FIELDS), step(state, event, FIELDS)
    assert found.state is rule.state
    assert [effect for effect in found.effects if effect in rule.effects] == list(rule.effects)


def test_a_code_that_is_no_event_is_unexpected() -> None:
    with pytest.raises(UnexpectedEvent) as caught:
        ScriptMachine(SCRIPT).run(S.ACTIVE, 999, FIELDS)
    assert (caught.value.state, caught.value.event) == ("ACTIVE", "999")


def test_a_hospital_is_cut_by_its_own_wish_or_at_closing_only() -> None:
    cuts = {row.event for row in generate_script(HOSPITAL).rows if CutPower() in row.effects}
    assert cuts == {E.SUPPLY_OFF, E.CLOSED}
    assert all(
        row.target is not S.CUT_OFF or row.state is S.CUT_OFF for row in generate_script(HOSPITAL).rows
    )


@pytest.mark.parametrize(("minute", "cut"), [(359, False), (360, True)])
def test_inside_no_cut_hours_the_relay_stays_closed(minute: int, cut: bool) -> None:
    fields = {**FIELDS, "credit": 0, "minute_of_day": minute}
    machine = ScriptMachine(generate_script(NIGHTS))
    found = machine.run(S.LOW_CREDIT, E.OUT_OF_CREDIT, fields)
    assert (CutPower() in found.effects) is cut
    assert found.state is S.OUT_OF_CREDIT
    assert machine.grace_is_over(fields) is cut


@pytest.mark.parametrize(("debt", "over"), [(0, False), (249, False), (250, True)])
def test_emergency_credit_keeps_the_relay_closed_until_it_is_used(debt: int, over: bool) -> None:
    fields = {**FIELDS, "credit": 0, "debt": debt, "emergency_credit": 250}
    assert ScriptMachine(SCRIPT).grace_is_over(fields) is over


def test_an_agreed_penalty_follows_its_violation() -> None:
    found = ScriptMachine(generate_script(STRICT)).run(S.ACTIVE, E.TAMPER, {})
    assert found.effects == (
        CutPower(),
        RecordViolation(Violation.TAMPER),
        Penalty(Violation.TAMPER, ActionKind.PENALTY, 7_000),
        AlertConsumer(Message.TAMPERED),
        Report(Message.TAMPERED),
        Display(Message.TAMPERED),
    )


def test_an_agreed_compensation_follows_an_over_charge_and_alerts_once() -> None:
    found = ScriptMachine(generate_script(STRICT)).run(S.LOW_CREDIT, E.BILLING_DISCREPANCY, {})
    assert found.effects == (
        RecordViolation(Violation.BILLING_DISCREPANCY),
        Penalty(Violation.BILLING_DISCREPANCY, ActionKind.COMPENSATION, 5_000),
        AlertConsumer(Message.OVERCHARGED),
        Report(Message.OVERCHARGED),
        Display(Message.OVERCHARGED),
    )


@pytest.mark.parametrize(
    ("action", "effects"),
    [
        (notice_only(Violation.SILENCE), (AlertConsumer(Message.VIOLATION_RECORDED),)),
        (notice_only(Violation.DATA_USE), (AlertConsumer(Message.DATA_REFUSED),)),
        (
            AgreedAction(Violation.RELAY_FAULT, ActionKind.PENALTY, 9, cut_off=True, notice=False),
            (Penalty(Violation.RELAY_FAULT, ActionKind.PENALTY, 9), CutPower()),
        ),
        (AgreedAction(Violation.SEQUENCE_GAP, ActionKind.NONE, 0, cut_off=False, notice=False), ()),
    ],
)
def test_what_is_agreed_comes_as_effects(action: AgreedAction, effects: tuple[Effect, ...]) -> None:
    assert agreed_effects(action) == effects


def test_normal_flow_reads_no_fields() -> None:
    machine = ScriptMachine(generate_script(NIGHTS))
    assert not machine.reads_fields(S.ACTIVE, E.INTERVAL)
    assert machine.run(S.ACTIVE, E.INTERVAL, {}) == (S.ACTIVE, (Report(None),))
    assert machine.reads_fields(S.ACTIVE, E.OUT_OF_CREDIT)
    with pytest.raises(ContractError, match="minute_of_day"):
        machine.run(S.ACTIVE, E.OUT_OF_CREDIT, {})


DEEP: Guard = ("not", ("not", ("not", ("not", ("not", ("not", ("not", ("=", 1, 1))))))))
CROOKED: list[tuple[str, Script]] = [
    ("events that the meter rule expects", replace(SCRIPT, rows=SCRIPT.rows[1:])),
    ("in order", replace(SCRIPT, rows=SCRIPT.rows[::-1])),
    ("just the last", replace(SCRIPT, rows=(SCRIPT.rows[0], *SCRIPT.rows))),
    ("just the last", changed(S.ACTIVE, E.OUT_OF_CREDIT, guard=None)),
    ("just the last", changed(S.ACTIVE, E.INTERVAL, guard=("=", 1, 1))),
    ("not a name", changed(S.ACTIVE, E.OUT_OF_CREDIT, guard=("=", "colour", 1))),
    ("deep", changed(S.ACTIVE, E.OUT_OF_CREDIT, guard=DEEP)),
    ("does not lead there", changed(S.TAMPERED, E.CREDIT_RESTORED, target=S.ACTIVE)),
    ("does not lead there", changed(S.CLOSED, E.BILLING_DISCREPANCY, target=S.ACTIVE)),
    ("does not lead there", changed(S.TAMPERED, E.INTERVAL, effects=(RestorePower(), Report(None)))),
    ("does not lead there", changed(S.ACTIVE, E.INTERVAL, effects=(CutPower(),))),
    ("does not lead there", changed(S.ACTIVE, E.TAMPER, effects=(CutPower(), RestorePower()))),
]


@pytest.mark.parametrize(("reason", "script"), CROOKED)
def test_a_script_that_adds_to_the_meter_rule_is_refused(reason: str, script: Script) -> None:
    with pytest.raises(ContractError, match=reason):
        check_script(script)
    with pytest.raises(ContractError, match=reason):
        ScriptMachine(script)
    with pytest.raises((ContractError, EncodingError)):
        decode_script(encode_script(script))


def test_a_script_of_another_shape_is_not_decoded() -> None:
    plain = loads(encode_script(SCRIPT), 16_384)
    row = plain[2][0]
    for rows in (
        [],
        [row[:-1]],
        [[99, *row[1:]]],
        [[*row[:4], [["explode"]]]],
        [[*row[:4], [["report", 999]]]],
    ):
        with pytest.raises(EncodingError):
            decode_script(encode([plain[0], plain[1], rows]))


def test_a_script_fits_into_one_document() -> None:
    assert len(encode_script(generate_script(replace(STRICT, no_cut=NIGHTS.no_cut), bytes(1216)))) < 12 * 1024


def test_a_machine_is_made_once_for_each_hash() -> None:
    name = script_hash(SCRIPT)
    made = machine_for(name, lambda: SCRIPT)
    assert machine_for(name, lambda: pytest.fail("made again")) is made


def test_a_script_under_a_wrong_hash_is_refused() -> None:
    with pytest.raises(ContractError, match="hash"):
        machine_for(bytes(32), lambda: SCRIPT)


def test_the_oldest_machine_gives_way() -> None:
    scripts = [replace(SCRIPT, contract_key=number.to_bytes(2, "big")) for number in range(MAX_MACHINES + 1)]
    first = machine_for(script_hash(scripts[0]), lambda: scripts[0])
    by_hash = {script_hash(script): script for script in scripts[1:]}
    for name in by_hash:
        machine_for(name, partial(by_hash.__getitem__, name))
    assert machine_for(script_hash(scripts[0]), lambda: scripts[0]) is not first


READABLE = """
While low credit:
  on interval: report the reading
  on credit restored, if the credit is at most the threshold: report credit added; display credit added
  on credit restored, otherwise: report credit added; display credit added; then active
  on out of credit, otherwise: cut the power; report no power; display no power; then out of credit
  on tamper cleared, else if the relay is closed: report power on; display power on; then active
  on supply on, otherwise: restore the power; report power on; display power on; then active
"""


def test_a_consumer_can_read_the_script() -> None:
    lines = format_script(generate_script(replace(STRICT, no_cut=NIGHTS.no_cut))).splitlines()
    assert set(READABLE.strip().splitlines()) <= set(lines)
    windows = (
        "  on out of credit, if (the local time is at least 00:00 and the local time is less than 06:00)"
        " or (the local time is at least 06:00 and the local time is less than 24:00 and the day type is 2)"
        " or the debt is less than the emergency credit:"
        " report supply stays on; display supply stays on; then out of credit"
    )
    money = (
        "  on tamper: cut the power; record the violation tamper; penalty of 7000 for tamper;"
        " alert the consumer of tampered; report tampered; display tampered; then tampered"
    )
    assert {windows, money} <= set(lines)
