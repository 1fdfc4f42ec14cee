"""II-A: threads of blocks that only grow, one per consumer, with side blocks hung off their parents."""

from __future__ import annotations

from itertools import pairwise

from gridmonitoring.blockchain.bodies import Form, Kind
from gridmonitoring.blockchain.checkpoint import decode_note
from gridmonitoring.blockchain.header import block_hash, decode_header
from gridmonitoring.blockchain.merkle import verify_consistency
from gridmonitoring.blockchain.parent_block import LockReason, parent_format
from gridmonitoring.blockchain.side_block import first_previous
from gridmonitoring.blockchain.state_rows import MessageRow, Table, height_key
from gridmonitoring.contracts.meter_rule import Event, MeterState, Relay
from gridmonitoring.contracts.violations import Violation
from gridmonitoring.encoding.hashes import sha256, sha256d
from gridmonitoring.keys.signatures import split
from tests.support.home import Home, logged
from tests.support.network import SmallNetwork


def test_the_list_of_records_only_grows(lived: Home) -> None:
    """Every checkpoint that was ever signed is a beginning of the log as it is now."""
    application = lived.network.application
    notes = [decode_note(block.note).checkpoint for block in application.truth.blocks()]
    last = notes[-1]
    for earlier in notes[:-1:7]:
        if earlier.size:
            proof = application.log.consistency(earlier.size, last.size)
            verify_consistency(earlier.size, last.size, earlier.log_root, last.log_root, proof, sha256)
    assert [note.size for note in notes] == sorted(note.size for note in notes)


def test_each_consumer_has_a_thread_of_its_own(lived: Home) -> None:
    """A thread begins at genesis, each block follows the one before, and no block is in two threads."""
    parents = lived.parents()
    headers = [decode_header(block.header) for block in parents]
    assert headers[0].previous == lived.network.chain_id
    for before, after in pairwise(parents):
        assert decode_header(after.header).previous == block_hash(before.header)
    assert {block.body.data.mid for block in parents} == {lived.mid}
    locks = [payload.body for _, payload in logged(lived.small) if payload.kind == Kind.LOCK]
    threads = {lock.mid for lock in locks}
    assert threads == {lived.mid, lived.small.meters[0].mid}
    assert len({lock.block for lock in locks}) == len(locks)


def test_each_block_of_a_thread_is_a_different_event(lived: Home) -> None:
    """The installation, then one block for each purchase, named by its form."""
    forms = [
        sha256d(split(raw)[0])
        for raw, payload in logged(lived.small)
        if isinstance(payload.body, Form) and payload.body.mid == lived.mid
    ]
    parents = lived.parents()
    chain = lived.network.chain_id
    named = [parent_format(chain, lived.mid, height, form) for height, form in enumerate(forms, 1)]
    assert [block.format for block in parents[1:]] == named
    assert [LockReason(block.body.reason) for block in parents] == [
        LockReason.INSTALLED,
        LockReason.FINISHED,
        LockReason.FINISHED,
    ]


def test_side_blocks_hang_off_their_parent_and_chain_among_themselves(lived: Home) -> None:
    found = 0
    for height, parent in enumerate(lived.parents()):
        previous = first_previous(parent.format)
        for side in lived.sides(height):
            assert side.format[:8] == parent.format[:8]
            assert decode_header(side.header).previous == previous
            previous = block_hash(side.header)
            found += 1
    assert found > 3


def test_an_identical_finding_is_recognised(small: SmallNetwork) -> None:
    """Twice the same unexpected event: one violation with a count, and one on the action counter."""
    meter, network = small.meters[0], small.network
    claims = [
        meter.claim(Event.TAMPER_CLEARED, Relay.CONNECTED, settles=True, time=meter.time + 1)
        for _ in range(2)
    ]
    # Decided by the engine alone, so that no node makes a side block of the first before the second.
    network.engine.decide(claims, small.clock.now_ms()).durable.result()
    row = network.row(Table.METER, meter.mid)
    found: MessageRow = network.row(Table.MESSAGE, height_key(meter.mid, row.messages))
    assert (found.violation, found.count) == (Violation.UNEXPECTED_EVENT, 2)
    assert row.life_actions == 1
    assert row.state == MeterState.ACTIVE


def test_every_message_of_the_contract_is_in_a_side_block(lived: Home) -> None:
    """Threads with their side blocks are the complete collection of reports."""
    numbers = sorted(
        entry.number
        for height in range(len(lived.parents()) + 1)
        for side in lived.sides(height)
        for entry in side.body.entries
    )
    assert numbers == list(range(1, lived.meter().messages + 1))
