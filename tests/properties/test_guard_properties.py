"""Any guard against Python's own arithmetic, and any other value against the check."""

from __future__ import annotations

import operator
from collections.abc import Mapping

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridmonitoring.contracts.guards import (
    MAX_DEPTH,
    MAX_NODES,
    NAMES,
    EncodedGuard,
    Guard,
    check_guard,
    evaluate,
    guard_sentence,
)
from gridmonitoring.encoding.bounds import MAX_INT
from gridmonitoring.encoding.cbor import decode, encode
from gridmonitoring.errors import ContractError

ARITHMETIC = {"+": operator.add, "-": operator.sub, "*": operator.mul}
COMPARE = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}

integers = st.integers(-3, 3) | st.integers(-MAX_INT, MAX_INT)
names = st.sampled_from(sorted(NAMES))
numbers: st.SearchStrategy[Guard] = st.recursive(
    integers | names, lambda part: st.tuples(st.sampled_from(sorted(ARITHMETIC)), part, part), max_leaves=4
)
comparisons: st.SearchStrategy[Guard] = st.tuples(st.sampled_from(sorted(COMPARE)), numbers, numbers)
conditions: st.SearchStrategy[Guard] = st.recursive(
    comparisons,
    lambda part: (
        st.tuples(st.just("not"), part)
        | st.tuples(st.sampled_from(["and", "or"]), part, part)
        | st.tuples(st.sampled_from(["and", "or"]), part, part, part)
    ),
    max_leaves=6,
)
fields = st.dictionaries(names, integers, min_size=len(NAMES) - 1)
anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.sampled_from(["and", "=", "+"]),
    lambda part: st.lists(part, max_size=4) | st.lists(part, max_size=4).map(tuple),
    max_leaves=20,
)


class Holder(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    guard: EncodedGuard


class CannotTell(Exception):
    """The oracle's way to say that a guard has no value."""


def number(guard: Guard, values: Mapping[str, int]) -> int:
    """Return a number by Python's own arithmetic."""
    if isinstance(guard, tuple):
        found = ARITHMETIC[str(guard[0])](number(guard[1], values), number(guard[2], values))
    elif isinstance(guard, str):
        if guard not in values:
            raise CannotTell
        found = values[guard]
    else:
        found = guard
    if not -(2**63) < found < 2**63:
        raise CannotTell
    return int(found)


def truth(guard: Guard, values: Mapping[str, int]) -> bool:
    """Return whether a condition holds, every part of it looked at."""
    assert isinstance(guard, tuple)
    name = str(guard[0])
    if name in COMPARE:
        left, right = number(guard[1], values), number(guard[2], values)
        return bool(COMPARE[name](left, right))
    parts = [truth(part, values) for part in guard[1:]]
    if name == "not":
        return not parts[0]
    return min(parts) if name == "and" else max(parts)


def size(guard: Guard) -> tuple[int, int]:
    """Return (nodes, depth)."""
    parts = [size(part) for part in guard[1:]] if isinstance(guard, tuple) else []
    return 1 + sum(nodes for nodes, _ in parts), 1 + max((depth for _, depth in parts), default=0)


@given(conditions, fields)
def test_a_guard_equals_its_oracle_or_both_cannot_tell(guard: Guard, values: dict[str, int]) -> None:
    try:
        expected: bool | None = truth(guard, values)
    except CannotTell:
        expected = None
    try:
        found: bool | None = evaluate(guard, values)
    except ContractError:
        found = None
    assert found is expected


@given(conditions)
def test_a_guard_within_its_limits_comes_back_from_its_bytes_and_can_be_said(guard: Guard) -> None:
    nodes, depth = size(guard)
    if nodes > MAX_NODES or depth > MAX_DEPTH:
        with pytest.raises(ContractError, match="at most"):
            check_guard(guard)
    else:
        check_guard(guard)
        assert decode(encode(Holder(guard)), Holder).guard == guard
        sentence = guard_sentence(guard)
        assert "_" not in sentence
        assert sentence.count("(") == sentence.count(")")


@given(anything)
def test_whatever_is_checked_is_refused_by_one_error_or_can_be_evaluated(value: object) -> None:
    try:
        check_guard(value)
    except ContractError:
        return
    assert isinstance(value, tuple)
    assert evaluate(value, dict.fromkeys(NAMES, 0)) in (True, False)
