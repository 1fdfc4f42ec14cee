from __future__ import annotations

import pytest

from gridmonitoring.contracts.guards import (
    FLAGS,
    NAMES,
    Guard,
    check_guard,
    evaluate,
    guard_sentence,
    names_in,
)
from gridmonitoring.errors import ContractError

SENTENCES = {
    "power": "the power is more than 1",
    "power_limit": "the power limit is more than 1",
    "minute_of_day": "the local time is more than 00:01",
    "day_type": "the day type is more than 1",
    "credit": "the credit is more than 1",
    "debt": "the debt is more than 1",
    "threshold": "the threshold is more than 1",
    "emergency_credit": "the emergency credit is more than 1",
    "relay_connected": "the relay is closed",
    "cover_open": "a cover is open",
    "magnet": "a magnetic field is present",
    "cut_off": "an agreed cut-off is in force",
    "never_cut": "the power is never cut",
    "no_cut_hours": "the time is within the no-cut hours",
}


def test_the_list_of_names_is_closed() -> None:
    assert NAMES.keys() == SENTENCES.keys()
    assert {name for name in NAMES if "more than" not in SENTENCES[name]} == FLAGS
    for unknown in ("Power", "power ", "energy", ""):
        with pytest.raises(ContractError, match="not a name"):
            check_guard(("=", unknown, 1))


@pytest.mark.parametrize("name", sorted(SENTENCES))
def test_each_name_is_read_and_said(name: str) -> None:
    guard = ("=", name, 1) if name in FLAGS else (">", name, 1)
    check_guard(guard)
    assert guard_sentence(guard) == SENTENCES[name]
    if name in FLAGS:
        assert guard_sentence(("=", name, 0)) == f"it is not so that {SENTENCES[name]}"
    assert evaluate(guard, {name: 1 if name in FLAGS else 2})
    assert not evaluate(guard, {name: 0})


def test_a_guard_has_64_nodes_and_no_more() -> None:
    full: tuple[Guard, ...] = ("and", *[("=", 1, 1)] * 20)
    check_guard((*full, ("=", 1, 1)))
    with pytest.raises(ContractError, match="at most 64 nodes"):
        check_guard((*full, ("not", ("=", 1, 1))))


def test_a_guard_is_8_deep_and_no_more() -> None:
    guard: Guard = ("=", 1, 1)
    for _ in range(6):
        guard = ("not", guard)
    check_guard(guard)
    with pytest.raises(ContractError, match="at most 8 deep"):
        check_guard(("not", guard))


@pytest.mark.parametrize("wrong", ["unknown", 2**63, None, ("and", 1, 1), ("+", 1)])
@pytest.mark.parametrize("place", [1, 2])
def test_both_operands_are_checked(wrong: object, place: int) -> None:
    inner = tuple(wrong if at == place else part for at, part in enumerate(("+", 1, 1)))
    with pytest.raises(ContractError):
        check_guard(("=", inner, 1))
    with pytest.raises(ContractError):
        check_guard(("=", 1, inner))
    with pytest.raises(ContractError):
        check_guard(tuple(wrong if at == place else part for at, part in enumerate(("<", 1, 1))))


def test_names_that_a_guard_reads() -> None:
    guard: Guard = ("and", ("not", (">", "power", 5)), ("=", "debt", ("+", "credit", "power")))
    assert names_in(guard) == {"power", "debt", "credit"}
    assert names_in("power") == {"power"}
    assert names_in(5) == frozenset()


@pytest.mark.parametrize(
    ("guard", "sentence"),
    [
        (("=", "power", 5), "the power is 5"),
        (("!=", "power", 5), "the power is not 5"),
        (("<", "power", 5), "the power is less than 5"),
        (("<=", "power", 5), "the power is at most 5"),
        ((">", "power", 5), "the power is more than 5"),
        ((">=", "power", 5), "the power is at least 5"),
        (("=", "debt", ("+", "credit", 5)), "the debt is (the credit plus 5)"),
        (("=", "debt", ("-", "credit", 5)), "the debt is (the credit minus 5)"),
        (("=", "debt", ("*", "credit", 5)), "the debt is (the credit times 5)"),
        (
            ("or", ("and", ("=", "power", 1), ("=", "debt", 2)), (">", "credit", 3)),
            "(the power is 1 and the debt is 2) or the credit is more than 3",
        ),
        (
            ("and", ("not", ("=", "power", 1)), ("=", "debt", 2)),
            "(it is not so that the power is 1) and the debt is 2",
        ),
        (("=", "minute_of_day", 61), "the local time is 01:01"),
    ],
)
def test_each_operator_is_said(guard: Guard, sentence: str) -> None:
    assert guard_sentence(guard) == sentence
