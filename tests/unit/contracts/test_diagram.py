"""The state diagram in the documents is the one that the table gives."""

from __future__ import annotations

import re

from gridmonitoring.contracts.diagram import diagram_page, expected_table, state_diagram
from gridmonitoring.contracts.meter_rule import TABLE, Event, MeterState
from tests.support.project import ROOT


def test_the_page_in_the_documents_is_up_to_date() -> None:
    page = (ROOT / "docs" / "meter_state_diagram.md").read_text(encoding="utf-8")
    assert page == diagram_page(), "run tools/write_state_diagram.py"


def test_the_diagram_has_every_change_of_state_and_no_other() -> None:
    drawn = set(re.findall(r"^    (\w+) --> (\w+) :", state_diagram(), re.MULTILINE))
    changes = {
        (state.name, rule.step.state.name)
        for (state, _), rules in TABLE.items()
        for rule in rules
        if rule.step.state is not state
    }
    assert drawn == changes


def test_the_table_has_a_row_for_every_event_and_a_column_for_every_state() -> None:
    lines = expected_table().splitlines()
    assert [line.split(" | ")[0].removeprefix("| ") for line in lines[2:]] == [event.name for event in Event]
    assert {line.count("|") for line in lines} == {len(MeterState) + 2}
