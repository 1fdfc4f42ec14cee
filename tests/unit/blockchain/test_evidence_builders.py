from __future__ import annotations

from collections.abc import Callable

import pytest

from gridmonitoring.blockchain.evidence import verify
from gridmonitoring.blockchain.evidence_builders import (
    EvidenceSource,
    build_bill,
    build_block,
    build_command,
    build_message,
    build_purchase,
    build_reading,
    build_statement,
)
from gridmonitoring.blockchain.evidence_bundle import Handover
from gridmonitoring.blockchain.evidence_history import needed
from gridmonitoring.blockchain.state_rows import Table
from gridmonitoring.errors import EvidenceError
from tests.support.evidence_cases import OPENED, hand_over, parts
from tests.support.evidence_story import MID, SETTLED, Story, lock_form, report, tell
from tests.support.mini_chain import MiniChain, small_genesis, validator
from tools import verify_evidence

Build = Callable[[Story], bytes]


def test_a_chain_is_a_source() -> None:
    source: EvidenceSource = tell().chain
    assert build_statement(source, MID)


@pytest.mark.parametrize(
    "build",
    [
        lambda story: build_reading(story.chain, story.form),
        lambda story: build_reading(story.chain, 10_000),
        lambda story: build_reading(story.chain, story.settled, OPENED),
        lambda story: build_purchase(story.chain, story.hidden),
        lambda story: build_block(story.chain, MID, 1, (story.form,)),
        lambda story: build_block(story.chain, MID, 0, story.installation[:1]),
        lambda story: build_message(story.chain, story.form),
        lambda story: build_command(story.chain, MID, 4),
        lambda story: build_statement(story.chain, bytes(16)),
        lambda story: build_bill(story.chain, story.hidden),
    ],
)
def test_what_the_chain_does_not_show_is_not_built(build: Build) -> None:
    with pytest.raises(EvidenceError):
        build(tell())


def test_a_purchase_is_proved_by_its_lot_until_its_block_is_locked() -> None:
    story = tell()
    before = {row.table for row in parts(build_purchase(story.chain, story.form)).rows}
    lock = lock_form(story)
    after = parts(build_purchase(story.chain, story.form))
    assert Table.LOT in before
    assert {row.table for row in after.rows} == {Table.PARTY, Table.BLOCK}
    assert [entry.index for entry in after.transactions] == [story.form, lock]


def test_a_bill_is_of_the_last_settlement_only() -> None:
    story = tell()
    settlement = story.chain.decoded(story.settled).payload.body.reading
    later = report(story.chain, 3, SETTLED + 1, settlement)
    assert build_bill(story.chain, story.settled)
    with pytest.raises(EvidenceError, match="another report"):
        build_bill(story.chain, later)


def test_only_changes_of_validators_that_are_needed_come_along() -> None:
    story = tell()
    chain = story.chain
    chain.change_validators(tuple(validator(number) for number in (1, 2, 3, 5)))
    report(chain, 1000, SETTLED + 1, bytes(32))
    assert parts(build_reading(chain, story.hidden)).history == ()
    hand_over(chain)
    bundle = build_reading(chain, story.hidden)
    assert len(chain.handovers) == 3
    assert list(parts(bundle).history) == chain.handovers[1:]
    assert verify_evidence.verify(bundle, chain.genesis())["kind"] == "reading"


def test_a_new_set_signs_from_the_second_block_on() -> None:
    story = tell()
    chain = story.chain
    old = chain.validators
    chain.change_validators(tuple(validator(number) for number in (3, 4, 5, 6)))
    chain.validators, chain.height = old, chain.height - 1
    assert parts(build_reading(chain, story.hidden)).history == ()
    chain.height += 1
    note = chain.note()
    with pytest.raises(EvidenceError, match="two thirds"):
        build_reading(chain, story.hidden)
    assert decoded_height(note) == decoded_height(chain.handovers[0].note) + 2


def test_two_changes_in_a_row_are_each_signed_by_the_set_then_in_force() -> None:
    story = tell()
    chain = story.chain
    genesis_set, height = chain.validators, chain.height
    chain.change_validators(tuple(validator(number) for number in (3, 4, 5, 6)))
    report(chain, 1000, SETTLED + 1, bytes(32))
    first_set, chain.validators, chain.height = chain.validators, genesis_set, height + 1
    chain.change_validators(tuple(validator(number) for number in (1, 5, 6)))
    second_set, chain.validators, chain.height = chain.validators, first_set, height + 2
    between = build_reading(chain, story.hidden)
    assert list(parts(between).history) == chain.handovers[:1]
    chain.validators, chain.height = second_set, height + 3
    after = build_reading(chain, story.hidden)
    assert list(parts(after).history) == chain.handovers[1:]
    for bundle in (between, after):
        assert verify(bundle, chain.genesis()) is not None
        assert verify_evidence.verify(bundle, chain.genesis())["kind"] == "reading"


def test_a_handover_at_the_wrong_place_of_the_history_is_an_error() -> None:
    story = tell()
    hand_over(story.chain)
    backwards: list[Handover] = story.chain.handovers[::-1]
    with pytest.raises(Exception, match="two thirds"):
        needed(story.chain.founding, backwards, story.chain.note())


def test_powers_decide_which_quorum_is_minimal() -> None:
    story = tell(MiniChain(small_genesis(powers=(5, 1, 1, 1))))
    bundle = build_statement(story.chain, MID)
    signers = verify_evidence.verify(bundle, story.chain.genesis())["checkpoint"]["signers"]
    assert signers == ["validator-1", "validator-2"]
    assert verify(bundle, story.chain.genesis()).kind


def decoded_height(note: bytes) -> int:
    return int(note.split(b"\nblock ")[1].split(b" ")[0])
