from __future__ import annotations

import pytest

from gridmonitoring.contracts.guards import FLAGS, NAMES, Guard, check_guard, evaluate, guard_sentence
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
