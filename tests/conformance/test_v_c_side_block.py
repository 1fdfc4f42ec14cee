"""V-C: every field of the side block."""

from __future__ import annotations

from gridmonitoring.blockchain.header import block_hash, decode_header, expand_target
from gridmonitoring.blockchain.merkle import leaf_hash, root
from gridmonitoring.blockchain.side_block import (
    RULES,
    ReportKinds,
    SideBlock,
    first_previous,
    nsig_message,
    side_format,
)
from gridmonitoring.blockchain.state_rows import EntryKind
from gridmonitoring.contracts.messages import Message
from gridmonitoring.contracts.meter_rule import MeterState, Status
from gridmonitoring.contracts.violations import Violation
from gridmonitoring.encoding.cbor import encode
from gridmonitoring.encoding.hashes import sha256d
from gridmonitoring.keys.signatures import split, verify_signature
from tests.conformance.conftest import use_up
from tests.support.home import Home, logged


def chains(home: Home) -> list[tuple[bytes, list[SideBlock]]]:
    """Return the parent's ID and the side blocks of each height, locked or not."""
    parents = [block.format for block in home.parents()]
    return [(parent, home.sides(height)) for height, parent in enumerate(parents)]


def test_the_format_joins_a_section_of_the_parents_id_and_one_of_its_own(lived: Home) -> None:
    formats = []
    for parent, sides in chains(lived):
        for side in sides:
            assert side.format == side_format(parent, side.body.entries)
            assert side.format[:8] == parent[:8]
            formats.append(side.format)
    assert len(set(formats)) == len(formats)


def test_the_size_is_of_the_whole_side_block(lived: Home) -> None:
    for _, sides in chains(lived):
        for side in sides:
            assert int.from_bytes(side.size, "big") == len(encode(side))


def test_the_header_chains_and_commits_to_all_side_blocks_of_the_parent(lived: Home) -> None:
    for parent, sides in chains(lived):
        previous, leaves = first_previous(parent), []
        for side in sides:
            header = decode_header(side.header)
            leaves.append(leaf_hash(side.format + encode(side.body), sha256d))
            assert header.previous == previous
            assert header.merkle_root == root(leaves, sha256d)
            previous = block_hash(side.header)


def test_timestamp_target_and_nonce_mean_what_they_mean_in_the_parent(lived: Home) -> None:
    for _, sides in chains(lived):
        for side in sides:
            header = decode_header(side.header)
            assert header.timestamp == side.body.blocklocktime
            assert header.target == lived.network.genesis.parameters.target
            assert int.from_bytes(block_hash(side.header), "big") < expand_target(header.target)


def test_the_version_names_the_kinds_of_report(living: Home) -> None:
    living.agent.sense(Status.MAGNET, living.now)
    living.meet()
    sides = [side for height in range(living.meter().next_height) for side in living.sides(height)]
    versions = [decode_header(side.header).version for side in sides]
    rules = RULES.to_bytes(2, "big")
    assert versions[-1] == rules + ReportKinds.BOTH.to_bytes(2, "big")
    assert versions[0] == rules + ReportKinds.STATES.to_bytes(2, "big")


def test_entries_carry_violation_state_times_and_evidence(living: Home) -> None:
    """TSV, TSM, TVLN, MID, HN, and the transaction that shows it; the counter counts violations only."""
    living.agent.sense(Status.METER_COVER, living.now)
    living.meet()
    side = living.sides(1)[-1]
    report = next(
        (sha256d(split(raw)[0]), payload)
        for raw, payload in reversed(logged(living.small))
        if payload.signer == living.mid and payload.time == side.body.blocklocktime
    )
    assert (side.body.mid, side.body.house) == (living.mid, living.point().house)
    found = {entry.message.kind: entry.message for entry in side.body.entries}
    state, violation = found[EntryKind.STATE], found[EntryKind.VIOLATION]
    assert (state.code, state.violation, state.tsv) == (Message.TAMPERED, 0, 0)
    assert (violation.violation, violation.tsv) == (Violation.TAMPER, report[1].time)
    assert {state.tsm, violation.tsm} == {report[1].time}
    assert {state.state, violation.state} == {int(MeterState.TAMPERED)}
    assert {state.evidence, violation.evidence} == {(report[0],)}
    assert side.body.action_counter == 1


def test_the_nodes_signature_is_over_the_side_block(lived: Home) -> None:
    for _, sides in chains(lived):
        for side in sides:
            node = lived.network.nodes[side.body.node]
            previous = decode_header(side.header).previous
            message = nsig_message(lived.network.chain_id, side.format, previous, side.body)
            verify_signature(node.keys.sign_key, message, side.body.nsig)


def test_a_side_block_is_locked_by_the_time_of_its_last_entry(lived: Home) -> None:
    for _, sides in chains(lived):
        for side in sides:
            times = [max(e.message.tsv, e.message.tsm) for e in side.body.entries]
            assert side.body.blocklocktime == max(times)


def test_side_blocks_are_appended_also_after_the_lock(living: Home) -> None:
    """A message that comes while nothing is being drawn belongs to the newest parent."""
    use_up(living)
    assert len(living.parents()) == 2
    before = len(living.sides(1))
    living.agent.sense(Status.MAGNET, living.now)
    living.meet()
    assert len(living.sides(1)) == before + 1
    assert living.meter().next_height == 2
