"""Any agreement: its script says what the meter rule says under these terms, and no other can be had."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gridmonitoring.contracts.agreement import (
    Agreement,
    agreed_action,
    check_agreement,
    decode_agreement,
    encode_agreement,
)
from gridmonitoring.contracts.effects import Effects, RecordViolation, agreed_effects
from gridmonitoring.contracts.meter_rule import TABLE, Event, MeterState, step
from gridmonitoring.contracts.script import (
    ScriptMachine,
    decode_script,
    encode_script,
    format_script,
    generate_script,
    script_hash,
)
from gridmonitoring.encoding.bounds import MAX_INT
from gridmonitoring.encoding.cbor import encode, loads
from gridmonitoring.errors import ContractError, EncodingError
from tests.support.agreements import HOME, STRICT, agreements

pairs = st.sampled_from(sorted(TABLE))
amounts = st.integers(0, 5) | st.integers(0, MAX_INT)
situations = st.fixed_dictionaries(
    {
        "credit": amounts,
        "debt": amounts,
        "relay_connected": st.integers(0, 1),
        "cut_off": st.integers(0, 1),
        "minute_of_day": st.integers(0, 1439),
        "day_type": st.integers(0, 3),
    }
)


def terms(agreement: Agreement, situation: dict[str, int]) -> dict[str, int]:
    """Return what the meter rule reads of an agreement, worked out without the guards of its script."""
    within = any(
        window.from_minute <= situation["minute_of_day"] < window.to_minute
        and (not window.day_types or situation["day_type"] in window.day_types)
        for window in agreement.no_cut
    )
    return {
        "threshold": agreement.billing.threshold,
        "emergency_credit": agreement.billing.emergency_credit,
        "never_cut": int(agreement.never_cut),
        "no_cut_hours": int(within),
    }


def without_agreed(agreement: Agreement, effects: Effects) -> Effects:
    """Return effects without what is agreed for the violations among them."""
    agreed = [
        following
        for effect in effects
        if isinstance(effect, RecordViolation)
        for following in agreed_effects(agreed_action(agreement, effect.violation))
    ]
    return tuple(effect for effect in effects if effect not in agreed)


@given(agreements(), pairs, situations)
def test_a_script_says_what_the_rule_says_under_these_terms(
    agreement: Agreement, pair: tuple[MeterState, Event], situation: dict[str, int]
) -> None:
    check_agreement(agreement)
    known = terms(agreement, situation)
    fields = {name: value for name, value in known.items() if name not in ("never_cut", "no_cut_hours")}
    found = ScriptMachine(generate_script(agreement)).run(*pair, {**situation, **fields})
    rule = step(*pair, {**situation, **known})
    assert found.state is rule.state
    assert without_agreed(agreement, found.effects) == without_agreed(agreement, rule.effects)
    for effect in rule.effects:
        if isinstance(effect, RecordViolation):
            assert set(agreed_effects(agreed_action(agreement, effect.violation))) <= set(found.effects)
    assert len(set(found.effects)) == len(found.effects)


@given(agreements(), st.binary(max_size=64))
def test_agreements_and_scripts_come_back_from_their_bytes(agreement: Agreement, key: bytes) -> None:
    assert decode_agreement(encode_agreement(agreement)) == agreement
    script = generate_script(agreement, key)
    assert decode_script(encode_script(script)) == script
    assert format_script(script).startswith(f"Script {script_hash(script).hex()}\n")


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_neither(data: bytes) -> None:
    for decode in (decode_agreement, decode_script):
        try:
            decode(data)
        except (EncodingError, ContractError):
            continue
        raise AssertionError("arbitrary bytes were taken for a document")


@st.composite
def altered(draw: st.DrawFn, plain: Any) -> Any:
    """Return plain arrays with one value somewhere in them replaced."""
    if isinstance(plain, list) and plain and draw(st.integers(0, 5)):
        place = draw(st.integers(0, len(plain) - 1))
        return [*plain[:place], draw(altered(plain[place])), *plain[place + 1 :]]
    return draw(
        st.none() | st.booleans() | st.integers() | st.text(max_size=4) | st.binary(max_size=40) | st.just([])
    )


AGREEMENT = loads(encode_agreement(STRICT), 16_384)
SCRIPT = loads(encode_script(generate_script(HOME)), 16_384)


@given(altered(AGREEMENT))
def test_an_altered_agreement_is_refused_or_another_agreement(plain: Any) -> None:
    data = encode(plain)
    try:
        agreement = decode_agreement(data)
    except (EncodingError, ContractError):
        return
    assert encode_agreement(agreement) == data


@given(altered(SCRIPT), st.sampled_from(MeterState), st.sampled_from(Event))
def test_an_altered_script_is_refused_or_still_narrows_the_rule(
    plain: Any, state: MeterState, event: Event
) -> None:
    try:
        script = decode_script(encode(plain))
    except (EncodingError, ContractError):
        return
    leads = {rule.step.state for rule in TABLE.get((state, event), ())}
    assert {row.target for row in script.rows if (row.state, row.event) == (state, event)} <= leads
    ScriptMachine(script)
