"""Guards: the conditions of a script, small enough to be interpreted anywhere.

Paper V-A: "when predefined conditions are met". A guard is a prefix expression: an integer, a name, or
an array of an operator and its operands. `and` and `or` take two or more conditions, `not` one;
`= != < <= > >=` and `+ - *` take two numbers. A name stands for one integer field of the report, the
account or the agreement; yes and no are 1 and 0. There are no booleans, no text, no loops, no functions.

Evaluation is strict so that every implementation agrees: operands are evaluated from left to right, all
of them (no short cut past a missing name or an overflow), and whatever cannot be evaluated is
`ContractError`, never false.

Left out: division (rounding is where implementations differ) and assignment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import add, eq, ge, gt, le, lt, mul, ne, sub
from typing import TYPE_CHECKING, TypeAlias

from gridmonitoring.encoding.bounds import MAX_INT
from gridmonitoring.errors import ContractError

MAX_NODES = 64
"""Most nodes of a guard; an integer, a name and an array with its operator count one each."""
MAX_DEPTH = 8
"""Deepest nesting; an integer or a name alone has depth 1."""

Guard: TypeAlias = "int | str | tuple[Guard, ...]"
"""A guard: an integer, a name, or a tuple of an operator and its operands."""

if TYPE_CHECKING:
    EncodedGuard = Guard
else:
    EncodedGuard = int | str
    for _ in range(MAX_DEPTH - 1):
        EncodedGuard = int | str | tuple[EncodedGuard, ...]
    # A guard as a field of a structure: written out to its full depth, so that decoding refuses deeper ones.

NAMES: Mapping[str, str] = {
    # of the report
    "power": "the power",
    "relay_connected": "the relay is closed",
    "cover_open": "a cover is open",
    "magnet": "a magnetic field is present",
    "minute_of_day": "the local time",
    "day_type": "the day type",
    # of the account
    "credit": "the credit",
    "debt": "the debt",
    "cut_off": "an agreed cut-off is in force",
    "power_limit": "the power limit",
    # of the agreement
    "threshold": "the threshold",
    "emergency_credit": "the emergency credit",
    "never_cut": "the power is never cut",
    "no_cut_hours": "the time is within the no-cut hours",
}
"""The closed list of names, and how a sentence says them.

Money in millionths of the minor unit (`credit` is what all lots have left), power in watts, `minute_of_day`
0 .. 1439 and `day_type` as the wall clock of the tariff in force shows them at the signed time; the rest are
1 for yes and 0 for no.
"""

FLAGS = frozenset({"relay_connected", "cover_open", "magnet", "cut_off", "never_cut", "no_cut_hours"})
"""Names whose value is 1 or 0."""

_COMPARE: Mapping[str, Callable[[int, int], bool]] = {"=": eq, "!=": ne, "<": lt, "<=": le, ">": gt, ">=": ge}
_ARITHMETIC: Mapping[str, Callable[[int, int], int]] = {"+": add, "-": sub, "*": mul}
_LOGIC: Mapping[str, Callable[[list[bool]], bool]] = {"and": all, "or": any, "not": lambda held: not held[0]}


def evaluate(guard: Guard, fields: Mapping[str, int]) -> bool:
    """Tell whether a guard holds for these fields.

    Raises `ContractError` where it cannot be told: a missing name, an integer past +-(2^63-1), an operand of
    the wrong sort or number. For guards from outside, `check_guard` comes first.
    """
    if not isinstance(guard, tuple):
        raise ContractError(f"{guard!r} is a number, not a condition")
    operator, operands = guard[0] if guard else "", guard[1:]
    if isinstance(operator, str) and operator in _LOGIC and _fits(operator, len(operands)):
        return _LOGIC[operator]([evaluate(operand, fields) for operand in operands])
    if isinstance(operator, str) and operator in _COMPARE and len(operands) == 2:
        return _COMPARE[operator](_number(operands[0], fields), _number(operands[1], fields))
    raise ContractError(f"{operator!r} with {len(operands)} operands is not a condition")


def _number(guard: Guard, fields: Mapping[str, int]) -> int:
    if isinstance(guard, tuple):
        operator = guard[0] if guard else ""
        if not isinstance(operator, str) or operator not in _ARITHMETIC or len(guard) != 3:
            raise ContractError(f"{operator!r} with {len(guard) - 1} operands is not a number")
        return _checked(_ARITHMETIC[operator](_number(guard[1], fields), _number(guard[2], fields)))
    if isinstance(guard, str):
        if guard not in NAMES or guard not in fields:
            raise ContractError(f"the field {guard!r} is not known here")
        return _checked(fields[guard])
    return _checked(guard)


def _checked(value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ContractError(f"{value!r} is not an integer")
    if abs(value) > MAX_INT:
        raise ContractError("a number of a guard is past +-(2^63-1)")
    return value


def _fits(operator: str, operands: int) -> bool:
    return operands == 1 if operator == "not" else operands >= 2


def check_guard(guard: object) -> None:
    """Check that a guard is a condition within its limits and of known names; raises `ContractError`."""
    _check_size(guard)
    _check_condition(guard)


def _check_size(guard: object) -> None:
    nodes, waiting = 0, [(guard, 1)]
    while waiting:
        node, depth = waiting.pop()
        nodes += 1
        if nodes > MAX_NODES or depth > MAX_DEPTH:
            raise ContractError(f"a guard has at most {MAX_NODES} nodes and is at most {MAX_DEPTH} deep")
        if isinstance(node, tuple):
            waiting.extend((operand, depth + 1) for operand in node[1:])


def _check_condition(guard: object) -> None:
    if isinstance(guard, tuple) and guard and isinstance(guard[0], str):
        operator, operands = guard[0], guard[1:]
        if operator in _LOGIC and _fits(operator, len(operands)):
            for operand in operands:
                _check_condition(operand)
            return
        if operator in _COMPARE and len(operands) == 2:
            for operand in operands:
                _check_number(operand)
            return
    raise ContractError(f"{guard!r} is not a condition")


def _check_number(guard: object) -> None:
    if isinstance(guard, str):
        if guard not in NAMES:
            raise ContractError(f"{guard!r} is not a name that guards know")
    elif isinstance(guard, int):
        _checked(guard)
    elif isinstance(guard, tuple) and len(guard) == 3 and guard[0] in ("+", "-", "*"):
        _check_number(guard[1])
        _check_number(guard[2])
    else:
        raise ContractError(f"{guard!r} is not a number")


def names_in(guard: Guard) -> frozenset[str]:
    """Return the names that a guard reads."""
    if isinstance(guard, str):
        return frozenset({guard})
    if isinstance(guard, tuple):
        return frozenset().union(*(names_in(operand) for operand in guard[1:]))
    return frozenset()


_WORDS: Mapping[str, str] = {
    "=": "is",
    "!=": "is not",
    "<": "is less than",
    "<=": "is at most",
    ">": "is more than",
    ">=": "is at least",
    "+": "plus",
    "-": "minus",
    "*": "times",
}


def guard_sentence(guard: Guard) -> str:
    """Return a checked guard as an English sentence, without capital and full stop."""
    if not isinstance(guard, tuple):
        return NAMES[guard] if isinstance(guard, str) else str(guard)
    operator, operands = str(guard[0]), guard[1:]
    if operator == "not":
        return f"it is not so that {_part(operands[0])}"
    if operator in _LOGIC:
        return f" {operator} ".join(_part(operand) for operand in operands)
    if operator == "=" and operands[0] in FLAGS and operands[1] in (0, 1):
        return ("" if operands[1] else "it is not so that ") + NAMES[str(operands[0])]
    if operands[0] == "minute_of_day" and isinstance(operands[1], int):
        return f"{NAMES['minute_of_day']} {_WORDS[operator]} {operands[1] // 60:02}:{operands[1] % 60:02}"
    return f"{_part(operands[0])} {_WORDS[operator]} {_part(operands[1])}"


def _part(guard: Guard) -> str:
    """Return a part of a sentence, in brackets where it has parts of its own that could be misread."""
    compound = isinstance(guard, tuple) and guard[0] in ("and", "or", "not", "+", "-", "*")
    return f"({guard_sentence(guard)})" if compound else guard_sentence(guard)
