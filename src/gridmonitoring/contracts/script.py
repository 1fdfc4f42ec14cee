"""The contract generator and its script (paper III-A-4, IV-D, V-A).

`generate_script` writes an agreement's terms into the meter rule: what is never cut and the no-cut hours go
into the guards, the agreed actions into the effects. The result is a literal table, in its own encoding,
named by its hash in forms and parent blocks, installed on the meter, and run by `ScriptMachine` on both
sides. It is data, not code; `format_script` prints it for people.

A script depends on terms, not on parties: meters under the same terms share one. It can only narrow the
meter rule, never add to it (`check_script`): no script leaves `TAMPERED` without a clear.

Left out: amounts that guards read by name (threshold, emergency credit), which are in the agreement.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import IntEnum
from itertools import groupby
from typing import Annotated

from msgspec import Meta, Struct

from gridmonitoring.contracts.agreement import Agreement, agreed_action, no_cut_hours
from gridmonitoring.contracts.effects import (
    AlertConsumer,
    CutPower,
    Display,
    Effect,
    Effects,
    Penalty,
    RecordViolation,
    Report,
    RestorePower,
    agreed_effects,
)
from gridmonitoring.contracts.guards import EncodedGuard, Guard, check_guard, guard_sentence
from gridmonitoring.contracts.meter_rule import (
    NEVER_CUT,
    NO_CUT_HOURS,
    TABLE,
    Event,
    MeterState,
    Pair,
    Rule,
    Step,
    choose,
)
from gridmonitoring.encoding.cbor import TRANSACTION_LIMIT, decode, encode
from gridmonitoring.encoding.hashes import sha256d
from gridmonitoring.errors import ContractError, UnexpectedEvent

MAX_ROWS = 512
"""Most rows of a script."""
MAX_MACHINES = 256
"""Scripts kept ready to run; the oldest gives way."""


class Row(Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """One line of the table; of the rows of a state and event, the first whose guard holds is taken."""

    state: MeterState
    """The state that the meter is in."""
    event: Event
    """The event that comes."""
    guard: EncodedGuard | None
    """Condition; none on the last row of a state and event."""
    target: MeterState
    """The new state."""
    effects: Annotated[tuple[Effect, ...], Meta(max_length=16)]
    """What is to be done, in order."""


class Script(Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="script/1"):
    """The contract of all meters under the same terms."""

    contract_key: Annotated[bytes, Meta(max_length=2048)]
    """HPKE public key of the network that reports are sealed to (II-B: the authenticator contract key)."""
    rows: Annotated[tuple[Row, ...], Meta(min_length=1, max_length=MAX_ROWS)]
    """The table, in order of state and event."""


def generate_script(agreement: Agreement, contract_key: bytes = b"") -> Script:
    """Return the script of a checked agreement, naming the network's contract key.

    The same terms and key give the same script.
    """
    rows: list[Row] = []
    for pair in sorted(TABLE):
        for rule in TABLE[pair]:
            guard = True if rule.when is None else _write_out(rule.when, agreement)
            if guard is False:
                continue
            effects = _agreed(rule.step.effects, agreement)
            rows.append(Row(*pair, None if guard is True else guard, rule.step.state, effects))
            if guard is True:
                break
    return Script(contract_key, tuple(rows))


def _write_out(guard: Guard, agreement: Agreement) -> Guard | bool:
    """Return a condition with the agreement's cuts written out; a bool where that decides it."""
    if guard == NEVER_CUT:
        return agreement.never_cut
    if guard == NO_CUT_HOURS:
        return _joined("or", no_cut_hours(agreement))
    if not isinstance(guard, tuple) or guard[0] not in ("and", "or", "not"):
        return guard
    parts = [_write_out(part, agreement) for part in guard[1:]]
    if guard[0] != "not":
        return _joined(str(guard[0]), parts)
    return not parts[0] if isinstance(parts[0], bool) else ("not", parts[0])


def _joined(operator: str, parts: list[Guard | bool] | tuple[Guard, ...]) -> Guard | bool:
    """Return parts under `and` or `or`, without those that are decided; like joins like."""
    decides = operator == "or"
    left: list[Guard] = []
    for part in parts:
        if isinstance(part, bool):
            if part is decides:
                return decides
        elif isinstance(part, tuple) and part[0] == operator:
            left += part[1:]
        else:
            left.append(part)
    if len(left) > 1:
        return (operator, *left)
    return left[0] if left else not decides


def _agreed(effects: Effects, agreement: Agreement) -> Effects:
    """Return effects with what is agreed for each violation right after it is recorded."""
    written: list[Effect] = []
    for effect in effects:
        written.append(effect)
        if isinstance(effect, RecordViolation):
            action = agreed_action(agreement, effect.violation)
            written += [following for following in agreed_effects(action) if following not in effects]
    return tuple(written)


def script_hash(script: Script) -> bytes:
    """Return the name of a script: sha256d of its bytes, 32 bytes."""
    return sha256d(encode(script))


def encode_script(script: Script) -> bytes:
    """Return the script's bytes."""
    return encode(script)


def decode_script(data: bytes) -> Script:
    """Read and check a script; raises an `EncodingError` or `ContractError`."""
    script = decode(data, Script, TRANSACTION_LIMIT)
    check_script(script)
    return script


def check_script(script: Script) -> None:
    """Check that a script narrows the meter rule; raises `ContractError`.

    1 rows are in order of state and event; 2 they are for the pairs of the rule, all of them; 3 of a pair's
    rows, all but the last have a valid guard; 4 each leads where a line of the rule for this pair leads, and
    opens or closes the relay as that line does.
    """
    # 1
    pairs = [(row.state, row.event) for row in script.rows]
    if pairs != sorted(pairs):
        raise ContractError("the rows of a script are in order of state and event")
    # 2
    if set(pairs) != set(TABLE):
        raise ContractError("a script expects the events that the meter rule expects, no more and no fewer")
    for pair, group in groupby(script.rows, key=lambda row: (row.state, row.event)):
        rows = tuple(group)
        # 3
        if rows[-1].guard is not None or any(row.guard is None for row in rows[:-1]):
            raise ContractError(f"{_title(pair)}: just the last row has no guard")
        for row in rows[:-1]:
            check_guard(row.guard)
        # 4
        allowed = {(rule.step.state, _relay(rule.step.effects)) for rule in TABLE[pair]}
        if any((row.target, _relay(row.effects)) not in allowed for row in rows):
            raise ContractError(f"{_title(pair)}: the meter rule does not lead there")


def _relay(effects: Effects) -> Effects:
    return tuple(effect for effect in effects if isinstance(effect, CutPower | RestorePower))


def _title(pair: Pair) -> str:
    return f"{pair[0].name}, {pair[1].name}"


class ScriptMachine:
    """A script ready to run; the same on the grid and on the meter. It holds no state."""

    __slots__ = ("_guarded", "_plain")

    def __init__(self, script: Script) -> None:
        check_script(script)
        self._plain: dict[tuple[int, int], Step] = {}
        self._guarded: dict[tuple[int, int], tuple[Rule, ...]] = {}
        for pair, group in groupby(script.rows, key=lambda row: (row.state, row.event)):
            rules = tuple(Rule(row.guard, Step(row.target, row.effects)) for row in group)
            if len(rules) == 1:
                self._plain[pair] = rules[0].step
            else:
                self._guarded[pair] = rules

    def run(self, state: int, event: int, fields: Mapping[str, int]) -> Step:
        """Return what follows an event; `fields` are read only where the pair has guards.

        `event` may be any code that a claim carries. Raises `UnexpectedEvent`, or `ContractError` where a
        guard cannot be evaluated; nothing changes then.
        """
        step = self._plain.get((state, event))
        if step is not None:
            return step
        rules = self._guarded.get((state, event))
        if rules is None:
            raise UnexpectedEvent(_name(MeterState, state), _name(Event, event))
        return choose(rules, fields)

    def reads_fields(self, state: int, event: int) -> bool:
        """Tell whether running this pair reads fields, so that normal flow need not gather them."""
        return (state, event) in self._guarded

    def grace_is_over(self, fields: Mapping[str, int]) -> bool:
        """Tell whether a meter that is out of credit with its relay closed is to open it now."""
        return CutPower() in self.run(MeterState.OUT_OF_CREDIT, Event.GRACE_ENDED, fields).effects


def _name(codes: type[IntEnum], code: int) -> str:
    return next((known.name for known in codes if known == code), str(code))


_machines: dict[bytes, ScriptMachine] = {}


def machine_for(name: bytes, make: Callable[[], Script]) -> ScriptMachine:
    """Return the machine of the script with this hash, made once; `make` is called when it is not at hand.

    Raises `ContractError` where what is made has another hash.
    """
    machine = _machines.get(name)
    if machine is None:
        script = make()
        if script_hash(script) != name:
            raise ContractError("the script is not the one that its hash names")
        machine = ScriptMachine(script)
        if len(_machines) >= MAX_MACHINES:
            _machines.pop(next(iter(_machines)), None)
        _machines[name] = machine
    return machine


def format_script(script: Script) -> str:
    """Return a script as text that a consumer can read, one line per row."""
    lines = [f"Script {script_hash(script).hex()}"]
    before: MeterState | None = None
    for pair, group in groupby(script.rows, key=lambda row: (row.state, row.event)):
        if pair[0] is not before:
            before = pair[0]
            lines += ["", f"While {_words(before)}:"]
        for number, row in enumerate(group):
            lines.append(f"  on {_words(row.event)}{_condition(row.guard, number)}: {_follows(row)}")
    return "\n".join(lines) + "\n"


def _condition(guard: Guard | None, number: int) -> str:
    if guard is None:
        return ", otherwise" if number else ""
    return f", {'else ' if number else ''}if {guard_sentence(guard)}"


def _follows(row: Row) -> str:
    done = [effect_words(effect) for effect in row.effects]
    return "; ".join(done if row.target is row.state else [*done, f"then {_words(row.target)}"])


def effect_words(effect: Effect) -> str:
    """Return an effect in a few English words."""
    match effect:
        case Report(message):
            return "report the reading" if message is None else f"report {_words(message)}"
        case Display(message):
            return f"display {_words(message)}"
        case AlertConsumer(message):
            return f"alert the consumer of {_words(message)}"
        case CutPower():
            return "cut the power"
        case RestorePower():
            return "restore the power"
        case RecordViolation(violation):
            return f"record the violation {_words(violation)}"
        case Penalty(violation, kind, amount):
            return f"{_words(kind)} of {amount} for {_words(violation)}"


def _words(code: IntEnum) -> str:
    return code.name.lower().replace("_", " ")
