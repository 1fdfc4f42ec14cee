"""The state diagram of the meter rule, generated from its table (paper V-A; figure for the documents).

Left out: what a single agreement narrows; `script.format_script` prints that.
"""

from __future__ import annotations

from collections.abc import Iterator

from gridmonitoring.contracts.guards import guard_sentence
from gridmonitoring.contracts.meter_rule import TABLE, Event, MeterState, Pair


def state_diagram() -> str:
    """Return the transitions between states as Mermaid text; what leaves a state as it is, is left out."""
    edges: dict[tuple[MeterState, MeterState], list[str]] = {}
    for source, target, label in _transitions():
        labels = edges.setdefault((source, target), [])
        if label not in labels:
            labels.append(label)
    lines = ["stateDiagram-v2", f"    [*] --> {MeterState.NEW.name}"]
    for (source, target), labels in sorted(edges.items()):
        lines.append(f"    {source.name} --> {target.name} : {'<br/>'.join(labels)}")
    return "\n".join([*lines, f"    {MeterState.CLOSED.name} --> [*]"]) + "\n"


def _transitions() -> Iterator[tuple[MeterState, MeterState, str]]:
    for (source, event), rules in sorted(TABLE.items()):
        leads = {rule.step.state for rule in rules}
        for rule in rules:
            if rule.step.state is source:
                continue
            # A condition is only worth its place where another line leads elsewhere.
            condition = "" if len(leads) == 1 else _condition(source, event, rule.step.state)
            yield source, rule.step.state, _words(event) + condition


def _condition(source: MeterState, event: Event, target: MeterState) -> str:
    """Return when an event leads to a target, in square brackets."""
    sentences = [
        "otherwise" if rule.when is None else guard_sentence(rule.when)
        for rule in TABLE[source, event]
        if rule.step.state is target
    ]
    return f" [{' / '.join(sentences)}]"


def expected_table() -> str:
    """Return a Markdown table of every event and state: the new state, `same`, or empty where unexpected."""
    states = list(MeterState)
    rows = [["event", *(state.name for state in states)], ["---"] * (len(states) + 1)]
    rows += [[event.name, *(_cell((state, event)) for state in states)] for event in Event]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _cell(pair: Pair) -> str:
    targets = dict.fromkeys(rule.step.state for rule in TABLE.get(pair, ()))
    return " or ".join("same" if target is pair[0] else target.name for target in targets)


def diagram_page() -> str:
    """Return `docs/meter_state_diagram.md`."""
    return _PAGE.format(diagram=state_diagram(), table=expected_table())


def _words(event: Event) -> str:
    return event.name.lower().replace("_", " ")


_PAGE = """# States of a meter

Generated from `contracts/meter_rule.py` by `tools/write_state_diagram.py`; a test compares.

What an event does, by state. "Same" is an event that is expected and leaves the state as it is; an empty
cell is an event that the state does not expect: the registers move, and the violation `unexpected_event` is
recorded. Where there are several, conditions decide; the diagram says which.

{table}
```mermaid
{diagram}```
"""
