"""Guards: what they mean, how they are said, and everything that is not a guard."""

from __future__ import annotations

from typing import Any, cast

import msgspec
import pytest

from gridmonitoring.contracts.guards import (
    FLAGS,
    MAX_DEPTH,
    MAX_NODES,
    NAMES,
    EncodedGuard,
    Guard,
    check_guard,
    evaluate,
    guard_sentence,
)
from gridmonitoring.contracts.meter_rule import TABLE
from gridmonitoring.encoding.bounds import MAX_INT
from gridmonitoring.encoding.cbor import decode, encode
from gridmonitoring.errors import ContractError, EncodingError, Malformed

YES: Guard = ("=", 0, 0)
NO: Guard = ("=", 0, 1)


class Holder(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    guard: EncodedGuard


def nested(depth: int) -> Guard:
    """Return a condition of this depth."""
    guard = YES
    for _ in range(depth - 2):
        guard = ("not", guard)
    return guard


def wide(nodes: int) -> Guard:
    """Return a condition with this number of nodes, 1 more than a multiple of 3."""
    return ("and", *(YES for _ in range((nodes - 1) // 3)))


@pytest.mark.parametrize(
    ("guard", "holds"),
    [
        (("=", "credit", 5), True),
        (("!=", "credit", 5), False),
        (("<", "credit", 5), False),
        (("<=", "credit", 5), True),
        ((">", "credit", 4), True),
        ((">=", "credit", 6), False),
        (("=", ("+", "credit", "debt"), 12), True),
        (("=", ("-", "credit", "debt"), -2), True),
        (("=", ("*", "credit", "debt"), 35), True),
        (("and", YES, NO), False),
        (("and", YES, YES, YES), True),
        (("or", NO, NO, YES), True),
        (("or", NO, NO), False),
        (("not", NO), True),
        (("<", ("-", 0, "credit"), ("*", -1, ("+", "debt", -7))), True),
    ],
)
def test_a_guard_means_what_it_says(guard: Guard, holds: bool) -> None:
    check_guard(guard)
    assert evaluate(guard, {"credit": 5, "debt": 7}) is holds


NOT_GUARDS: list[Any] = [
    1,
    "credit",
    (),
    (1, 2, 3),
    ("and",),
    ("and", YES),
    ("or", YES),
    ("not",),
    ("not", YES, NO),
    ("and", YES, 1),
    ("and", YES, "relay_connected"),
    ("=", 1),
    ("=", 1, 1, 1),
    ("=", 1, YES),
    ("=", "colour", 1),
    ("=", "", 1),
    ("=", ("+", 1), 1),
    ("=", ("+", 1, 1, 1), 1),
    ("=", ("+", 1, YES), 1),
    ("=", ("/", 4, 2), 2),
    ("=", ("and", YES, YES), 1),
    ("=", (), 1),
    ("+", 1, 1),
    ("xor", YES, NO),
    ("=", MAX_INT + 1, 1),
    ("=", -MAX_INT - 1, 1),
    ("=", True, 1),
    ("=", 1, False),
    ("and", YES, True),
    (YES, YES, YES),
]


@pytest.mark.parametrize("guard", NOT_GUARDS)
def test_what_is_not_a_guard_is_refused_when_checked_and_when_evaluated(guard: Guard) -> None:
    with pytest.raises(ContractError):
        check_guard(guard)
    with pytest.raises(ContractError):
        evaluate(guard, {"credit": 1, "relay_connected": 1, "colour": 1, "": 1})


@pytest.mark.parametrize(
    "guard", [None, 1.0, ["=", 1, 1], ("=", 1.0, 1), ("=", None, 1), ("=", b"credit", 1), {}]
)
def test_foreign_values_are_refused(guard: object) -> None:
    with pytest.raises(ContractError):
        check_guard(guard)


@pytest.mark.parametrize(
    ("guard", "fields"),
    [
        (("=", ("+", "credit", 1), 0), {"credit": MAX_INT}),
        (("=", ("-", "credit", 1), 0), {"credit": -MAX_INT}),
        (("=", ("*", "credit", 2), 0), {"credit": MAX_INT // 2 + 1}),
        (("=", ("-", ("*", "credit", "credit"), "credit"), 0), {"credit": MAX_INT}),
        (("=", "credit", 0), {"credit": MAX_INT + 1}),
        (("=", "credit", 0), {"credit": -MAX_INT - 1}),
        (("=", "credit", 0), {"credit": True}),
        (("=", "credit", 0), {"credit": cast(int, 1.0)}),
        (("=", "credit", 0), {"credit": cast(int, "1")}),
        (("=", "credit", 0), {}),
        (("or", YES, ("=", "credit", 0)), {}),
        (("and", NO, ("=", "credit", 0)), {}),
        (("or", YES, ("=", ("*", MAX_INT, 2), 0)), {}),
    ],
)
def test_what_cannot_be_evaluated_is_an_error_and_never_false(guard: Guard, fields: dict[str, int]) -> None:
    check_guard(guard)
    with pytest.raises(ContractError):
        evaluate(guard, fields)


def test_the_largest_numbers_are_still_numbers() -> None:
    assert evaluate(("=", ("+", "credit", 1), MAX_INT), {"credit": MAX_INT - 1})
    assert evaluate(("=", ("-", -1, "credit"), -MAX_INT), {"credit": MAX_INT - 1})


def test_depth_ends_at_eight() -> None:
    check_guard(nested(MAX_DEPTH))
    assert evaluate(nested(MAX_DEPTH), {}) is True
    with pytest.raises(ContractError, match="deep"):
        check_guard(nested(MAX_DEPTH + 1))
    with pytest.raises(ContractError, match="deep"):
        check_guard(nested(100_000))


def test_nodes_end_at_sixty_four() -> None:
    check_guard(wide(MAX_NODES))
    with pytest.raises(ContractError, match="64"):
        check_guard(wide(MAX_NODES + 3))
    with pytest.raises(ContractError, match="64"):
        check_guard(wide(1_000_000))


def test_a_guard_that_doubles_at_each_level_is_refused_at_once() -> None:
    guard: Guard = YES
    for _ in range(60):
        guard = ("and", guard, guard)
    with pytest.raises(ContractError):
        check_guard(guard)


def test_guards_travel_as_nested_arrays() -> None:
    guard: Guard = ("or", ("=", "never_cut", 1), ("<", "debt", ("+", "emergency_credit", -5)))
    assert encode(Holder(guard)) == encode(
        [["or", ["=", "never_cut", 1], ["<", "debt", ["+", "emergency_credit", -5]]]]
    )
    assert decode(encode(Holder(guard)), Holder) == Holder(guard)


@pytest.mark.parametrize(
    "value", [nested(MAX_DEPTH + 1), True, None, 1.5, b"x", ("=", True, 1), ("=", None, 1)]
)
def test_decoding_refuses_what_is_too_deep_or_of_another_sort(value: object) -> None:
    with pytest.raises(EncodingError):
        decode(encode([value]), Holder)


def test_the_deepest_guard_can_be_decoded() -> None:
    assert decode(encode(Holder(nested(MAX_DEPTH))), Holder).guard == nested(MAX_DEPTH)


def test_a_boolean_is_no_number_on_the_wire() -> None:
    with pytest.raises(Malformed):
        decode(b"\x81\x83\x61\x3d\xf5\x01", Holder)


@pytest.mark.parametrize(
    ("guard", "sentence"),
    [
        (("=", "never_cut", 1), "the power is never cut"),
        (("=", "never_cut", 0), "it is not so that the power is never cut"),
        (("<=", "credit", "threshold"), "the credit is at most the threshold"),
        ((">", ("-", "credit", "debt"), 0), "(the credit minus the debt) is more than 0"),
        (("not", ("=", "magnet", 1)), "it is not so that a magnetic field is present"),
        (
            (
                "and",
                (">=", "minute_of_day", 485),
                ("<", "minute_of_day", 1440),
                ("or", ("=", "day_type", 1), YES),
            ),
            (
                "the local time is at least 08:05 and the local time is less than 24:00"
                " and (the day type is 1 or 0 is 0)"
            ),
        ),
    ],
)
def test_a_guard_is_said_in_a_sentence(guard: Guard, sentence: str) -> None:
    assert guard_sentence(guard) == sentence


def test_flags_are_names() -> None:
    assert set(NAMES) >= FLAGS


def test_every_condition_of_the_meter_rule_is_a_guard() -> None:
    conditions = [rule.when for rules in TABLE.values() for rule in rules if rule.when is not None]
    assert conditions
    for condition in conditions:
        check_guard(condition)
