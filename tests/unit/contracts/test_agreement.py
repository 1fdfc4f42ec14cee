"""Agreements: the strict check, the round trip, and what is agreed for violations."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from gridmonitoring.contracts.agreement import (
    Agreement,
    NoCutWindow,
    agreed_action,
    agreement_fields,
    agreement_hash,
    check_agreement,
    decode_agreement,
    encode_agreement,
    no_cut_hours,
)
from gridmonitoring.contracts.guards import NAMES, evaluate
from gridmonitoring.contracts.violations import (
    BY_THE_GRID,
    ActionKind,
    AgreedAction,
    Violation,
    check_action,
    notice_only,
)
from gridmonitoring.encoding.cbor import encode, loads
from gridmonitoring.encoding.hashes import sha256d
from gridmonitoring.energy_center.credit import BillingTerms
from gridmonitoring.errors import ContractError, EncodingError
from tests.support.agreements import DAY, HOME, HOSPITAL, NIGHTS, QUARTER, STRICT

MINUTE = 60_000


def fine(violation: Violation, amount: int = 1, cut_off: bool = False) -> AgreedAction:
    return AgreedAction(violation, ActionKind.PENALTY, amount, cut_off, notice=True)


@pytest.mark.parametrize("agreement", [HOME, HOSPITAL, NIGHTS, STRICT])
def test_an_agreement_comes_back_from_its_bytes(agreement: Agreement) -> None:
    check_agreement(agreement)
    assert decode_agreement(encode_agreement(agreement)) == agreement
    assert agreement_hash(agreement) == sha256d(encode_agreement(agreement))


REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("same party", {"consumer": HOME.utility}),
    ("divides", {"reporting_interval_ms": 7 * MINUTE}),
    ("divides", {"billing_interval_ms": 20 * MINUTE}),
    ("divides", {"reporting_interval_ms": 5 * MINUTE, "billing_interval_ms": 7 * 3_600_000}),
    ("ends after", {"no_cut": (NoCutWindow((), 360, 360),)}),
    ("ends after", {"no_cut": (NoCutWindow((), 1320, 360),)}),
    ("day types", {"no_cut": (NoCutWindow((2, 1), 0, 360),)}),
    ("day types", {"no_cut": (NoCutWindow((1, 1), 0, 360),)}),
    ("in order", {"no_cut": (NoCutWindow((1,), 0, 360), NoCutWindow((), 0, 360))}),
    ("in order", {"no_cut": (NoCutWindow((), 0, 360), NoCutWindow((), 0, 360))}),
    ("too many", {"no_cut": tuple(NoCutWindow((0, 1, 2, 3), hour, 1440) for hour in range(4))}),
    ("never cut", {"never_cut": True, "no_cut": NIGHTS.no_cut}),
    ("in order", {"actions": (fine(Violation.TAMPER), fine(Violation.UNEXPECTED_EVENT))}),
    ("in order", {"actions": (fine(Violation.TAMPER), fine(Violation.TAMPER, 2))}),
    ("no penalty", {"actions": (fine(Violation.BILLING_DISCREPANCY),)}),
    ("never cut", {"never_cut": True, "actions": (fine(Violation.TAMPER, cut_off=True),)}),
]


@pytest.mark.parametrize(("reason", "changes"), REFUSED)
def test_terms_that_contradict_each_other_are_refused(reason: str, changes: dict[str, Any]) -> None:
    agreement = replace(HOME, **changes)
    with pytest.raises(ContractError, match=reason):
        check_agreement(agreement)
    with pytest.raises(ContractError, match=reason):
        decode_agreement(encode_agreement(agreement))


OUT_OF_SHAPE: list[dict[str, Any]] = [
    {"utility": b"short"},
    {"mid": b"x" * 17},
    {"tariff": b""},
    {"customer_class": 0},
    {"customer_class": 5},
    {"reporting_interval_ms": MINUTE - 1},
    {"billing_interval_ms": DAY + QUARTER},
    {"power_limit": -1},
    {"power_limit": 2**63},
    {"custodian_may_read": 1},
    {"never_cut": None},
    {"language": "English"},
    {"language": "en\n"},
    {"language": ""},
    {"no_cut": (NoCutWindow((), 0, 1441),)},
    {"no_cut": (NoCutWindow((16,), 0, 360),)},
    {"no_cut": tuple(NoCutWindow((), hour, 1440) for hour in range(5))},
    {"billing": BillingTerms(0, -1)},
    {"billing": BillingTerms(0, 0, 1001)},
    {"valid_from_ms": -1},
    {"actions": ((99, 0, 0, False, True),)},
    {"actions": ((2, 3, 0, False, True),)},
    {"actions": ((2, 0, -1, False, True),)},
]


@pytest.mark.parametrize("changes", OUT_OF_SHAPE)
def test_terms_out_of_bounds_are_not_decoded(changes: dict[str, Any]) -> None:
    with pytest.raises(EncodingError):
        decode_agreement(encode_agreement(replace(HOME, **changes)))


def test_fields_are_neither_left_out_nor_added() -> None:
    plain = loads(encode_agreement(HOME), 16_384)
    for changed in (plain[:-1], [*plain, 0], ["agreement/2", *plain[1:]], plain[1:]):
        with pytest.raises(EncodingError):
            decode_agreement(encode(changed))


@pytest.mark.parametrize(
    "action",
    [
        AgreedAction(Violation.TAMPER, ActionKind.PENALTY, 0, cut_off=False, notice=False),
        AgreedAction(Violation.TAMPER, ActionKind.NONE, 1, cut_off=False, notice=False),
        AgreedAction(Violation.TAMPER, ActionKind.COMPENSATION, 1, cut_off=False, notice=False),
        AgreedAction(Violation.DATA_USE, ActionKind.PENALTY, 1, cut_off=False, notice=False),
        AgreedAction(Violation.OVERCHARGE, ActionKind.COMPENSATION, 1, cut_off=True, notice=False),
    ],
)
def test_money_goes_the_right_way_and_the_grids_fault_cuts_nobody_off(action: AgreedAction) -> None:
    with pytest.raises(ContractError, match=action.violation.name):
        check_action(action)


@pytest.mark.parametrize("violation", Violation)
def test_each_violation_has_one_side_that_pays(violation: Violation) -> None:
    kind = ActionKind.COMPENSATION if violation in BY_THE_GRID else ActionKind.PENALTY
    check_action(AgreedAction(violation, kind, 1, cut_off=False, notice=True))
    check_action(notice_only(violation))


@pytest.mark.parametrize("violation", Violation)
def test_what_is_agreed_is_found_and_else_the_consumer_is_told(violation: Violation) -> None:
    listed = {action.violation: action for action in STRICT.actions}
    assert agreed_action(STRICT, violation) == listed.get(violation, notice_only(violation))


@pytest.mark.parametrize(
    ("minute", "day_type", "within"),
    [(0, 1, True), (359, 1, True), (360, 1, False), (1439, 1, False), (360, 2, True), (1439, 2, True)],
)
def test_no_cut_hours_hold_by_minute_and_day_type(minute: int, day_type: int, within: bool) -> None:
    fields = {"minute_of_day": minute, "day_type": day_type}
    assert any(evaluate(condition, fields) for condition in no_cut_hours(NIGHTS)) is within


def test_the_agreements_fields_are_names_of_guards() -> None:
    terms = replace(HOSPITAL, power_limit=6_000, billing=BillingTerms(0, 500, 1000, 250))
    assert agreement_fields(terms) == {
        "threshold": 500,
        "emergency_credit": 250,
        "power_limit": 6_000,
        "never_cut": 1,
    }
    assert set(agreement_fields(terms)) <= set(NAMES)


def test_numbers_of_violations_are_those_of_the_ledger() -> None:
    assert [violation.value for violation in Violation] == [*range(1, 17), 40]
    assert (Violation.TAMPER, Violation.USE_WHILE_DISCONNECTED, Violation.DATA_USE) == (2, 5, 14)
    assert [kind.value for kind in ActionKind] == [0, 1, 2]
