"""Both verifiers, the project's and the one that knows nothing of it, on the same bundles."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gridmonitoring.blockchain.bodies import Form, Kind
from gridmonitoring.blockchain.evidence import verify
from gridmonitoring.blockchain.evidence_bundle import EvidenceKind
from gridmonitoring.blockchain.state_rows import CommandRow, LotRow, Table, height_key
from gridmonitoring.errors import EvidenceError
from tests.support.evidence_cases import OPENED, Refused, broken_bundles, proven_bundles
from tests.support.evidence_lies import lying_bundles
from tests.support.evidence_story import CLOSING, MID, PAID
from tools import verify_evidence

GENESIS, PROVEN = proven_bundles()
REFUSED = [*broken_bundles(), *lying_bundles()]
A_READING_LIMIT = 16 * 1024


def by_the_project(bundle: bytes, genesis: bytes) -> int:
    """Return the step that fails, 0 for none."""
    try:
        verify(bundle, genesis)
    except EvidenceError as error:
        return error.step
    return 0


def by_the_tool(bundle: bytes, genesis: bytes) -> int:
    """Return the step that fails, 0 for none."""
    try:
        verify_evidence.verify(bundle, genesis)
    except verify_evidence.NotProven as error:
        return error.step
    return 0


VERIFIERS = pytest.mark.parametrize("failing_step", [by_the_project, by_the_tool])


@VERIFIERS
@pytest.mark.parametrize("name", PROVEN)
def test_every_kind_of_evidence_is_accepted(failing_step: Callable[[bytes, bytes], int], name: str) -> None:
    assert failing_step(PROVEN[name], GENESIS) == 0


@VERIFIERS
@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
def test_what_proves_nothing_is_refused_at_its_step(
    failing_step: Callable[[bytes, bytes], int], case: Refused
) -> None:
    assert failing_step(case.bundle, case.genesis) == case.step


def test_every_step_is_the_first_to_fail_somewhere() -> None:
    assert {case.step for case in REFUSED} == set(range(1, 10)) == set(verify_evidence.STEPS)


def test_names_of_cases_differ() -> None:
    assert len({case.name for case in REFUSED}) == len(REFUSED)


def test_a_reading_fits_into_16_kilobytes() -> None:
    assert len(PROVEN["reading opened"]) < A_READING_LIMIT


def test_every_kind_has_a_bundle() -> None:
    assert {verify(bundle, GENESIS).kind for bundle in PROVEN.values()} == set(EvidenceKind)


def test_what_is_proven_comes_typed() -> None:
    proven = verify(PROVEN["purchase with an open lot"], GENESIS)
    assert [entry.transaction.payload.kind for entry in proven.transactions] == [Kind.FORM]
    assert isinstance(proven.transactions[0].transaction.payload.body, Form)
    assert [row.table for row in proven.rows] == [Table.PARTY] * 3 + [Table.LOT]
    assert proven.row(Table.LOT, height_key(MID, 1), LotRow).amount == PAID
    assert proven.checkpoint.size > proven.transactions[0].index
    assert proven.checkpoint.origin == proven.genesis.origin()


def test_a_meter_gets_its_command_by_the_same_steps() -> None:
    proven = verify(PROVEN["command"], GENESIS)
    assert proven.row(Table.COMMAND, height_key(MID, 1), CommandRow).amount == PAID
    assert proven.transactions == ()


def test_an_opening_comes_with_the_reading() -> None:
    assert verify(PROVEN["reading opened"], GENESIS).openings == (OPENED,)
    assert verify(PROVEN["reading"], GENESIS).openings == ()


def test_the_tool_says_what_is_proven() -> None:
    facts = {name: verify_evidence.verify(bundle, GENESIS)["facts"] for name, bundle in PROVEN.items()}
    assert facts["reading"]["registers"] is None
    assert facts["reading opened"]["registers"] == {"1.8.0": 120_250}
    assert (
        facts["reading that settles"]["registers"] == {"1.8.0": CLOSING[0][1]} == facts["bill"]["registers"]
    )
    assert facts["purchase with an open lot"]["money"] == PAID
    assert [facts[name]["locked"] for name in facts if name.startswith("purchase with")] == [False, True]
    assert facts["purchase block"]["transactions"] == 3
    assert facts["command with a script"]["command"] == "script"
    assert facts["message"]["messages"] == [{"kind": "violation", "code": 17, "violation": 7}]


def test_a_reader_without_the_row_is_told_which() -> None:
    proven = verify(PROVEN["command"], GENESIS)
    with pytest.raises(Exception, match="lacks the row LOT"):
        proven.row(Table.LOT, height_key(MID, 1), LotRow)
