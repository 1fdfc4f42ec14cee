"""V-B: every field of the parent block, and what its header commits to."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from gridmonitoring.blockchain.bodies import AppendSideBlock, Form, Kind, Lock
from gridmonitoring.blockchain.header import HEADER_SIZE, block_hash, decode_header, expand_target
from gridmonitoring.blockchain.merkle import leaf_hash, root
from gridmonitoring.blockchain.parent_block import (
    RULES,
    BlockKind,
    LockReason,
    ParentBlock,
    decode_parent,
    nsig_message,
)
from gridmonitoring.blockchain.side_block import decode_side
from gridmonitoring.blockchain.state_rows import BlockRow, Table, height_key
from gridmonitoring.blockchain.transactions import decode_payload
from gridmonitoring.encoding.cbor import encode
from gridmonitoring.encoding.hashes import sha256, sha256d
from gridmonitoring.keys.signatures import split, verify_signature
from gridmonitoring.runtime.views.threads import block_life
from tests.conformance.conftest import MONEY
from tests.support.home import Home, logged

PURCHASE = 1
"""Height of the first purchase."""


def parent(home: Home, height: int = PURCHASE) -> ParentBlock:
    return home.parents()[height]


def life(home: Home, height: int) -> list[bytes]:
    """Return the signed bytes of every transaction of a block's life, in order."""
    application = home.network.application
    return [application.truth.transaction(index) for index in block_life(application, home.mid, height)]


def test_the_format_is_unique(lived: Home) -> None:
    formats = [decode_parent(p.body.block).format for _, p in logged(lived.small) if p.kind == Kind.LOCK]
    assert len(set(formats)) == len(formats) > 3
    assert {len(name) for name in formats} == {16}


def test_the_size_is_of_the_whole_block(lived: Home) -> None:
    for block in lived.parents():
        assert int.from_bytes(block.size, "big") == len(encode(block))


def test_the_header_is_hashed_twice(lived: Home) -> None:
    for height, block in enumerate(lived.parents()):
        row: BlockRow = lived.network.row(Table.BLOCK, height_key(lived.mid, height))
        assert len(block.header) == HEADER_SIZE
        assert row.block_hash == sha256(sha256(block.header)) == block_hash(block.header)


def test_the_data_version_names_rules_and_kind(lived: Home) -> None:
    versions = [decode_header(block.header).version for block in lived.parents()]
    rules = RULES.to_bytes(2, "big")
    kinds = [BlockKind.INSTALLATION, BlockKind.PURCHASE, BlockKind.PURCHASE]
    assert versions == [rules + kind.to_bytes(2, "big") for kind in kinds]


@pytest.mark.parametrize("height", [0, 1, 2])
def test_the_merkle_root_commits_to_the_whole_life(lived: Home, height: int) -> None:
    """Over the signed bytes of every transaction of the life, then the body; recomputed from the log."""
    block = parent(lived, height)
    leaves = [leaf_hash(raw, sha256d) for raw in [*life(lived, height), encode(block.body)]]
    assert decode_header(block.header).merkle_root == root(leaves, sha256d)


def test_changing_one_block_means_changing_all_after_it(lived: Home) -> None:
    """Another body gives another header, which the next block does not follow."""
    first, second = parent(lived, 1), parent(lived, 2)
    other = replace(first.body, amount=first.body.amount + 1)
    leaves = [leaf_hash(raw, sha256d) for raw in [*life(lived, 1), encode(other)]]
    header = decode_header(first.header)
    assert root(leaves, sha256d) != header.merkle_root
    changed = bytearray(first.header)
    changed[36:68] = root(leaves, sha256d)
    assert decode_header(second.header).previous == block_hash(first.header)
    assert decode_header(second.header).previous != block_hash(bytes(changed))


def test_all_events_of_the_network_are_committed_to(lived: Home) -> None:
    """Root and size of the log just before the form."""
    raws = [raw for raw, _ in logged(lived.small)]
    for height in (1, 2):
        body = parent(lived, height).body
        assert decode_payload(split(raws[body.log_size])[0]).kind == Kind.FORM
        leaves = [leaf_hash(raw, sha256) for raw in raws[: body.log_size]]
        assert body.log_root == root(leaves, sha256)


def test_the_nonce_brings_the_hash_below_the_target(lived: Home) -> None:
    for block in lived.parents():
        header = decode_header(block.header)
        assert header.target == lived.network.genesis.parameters.target
        assert int.from_bytes(block_hash(block.header), "big") < expand_target(header.target)


def test_the_five_timestamps_are_those_of_the_events(lived: Home) -> None:
    forms = [p for _, p in logged(lived.small) if isinstance(p.body, Form) and p.body.mid == lived.mid]
    for height in (1, 2):
        times = parent(lived, height).body.timestamps
        assert times.tpt == forms[height - 1].time == decode_header(parent(lived, height).header).timestamp
        assert times.tpr is not None
        assert times.tprt is not None
        assert times.tpf is not None
        assert times.ttp <= times.tpt < times.tpr < times.tprt < times.tpf


def test_timestamps_that_were_never_reached_are_null(lived: Home) -> None:
    times = parent(lived, 0).body.timestamps
    assert times.tpr is not None
    assert (times.tprt, times.tpf) == (None, None)


def test_the_data_part(lived: Home) -> None:
    body = parent(lived).body
    assert (body.data.mid, body.data.house) == (lived.mid, lived.point().house)
    assert (body.amount, body.data.energy) == (MONEY, 40_000)
    assert body.area == lived.network.genesis.area
    assert body.data.node == lived.network.signer("node-03").id


def test_nsig_is_the_nodes_signature(lived: Home) -> None:
    for height, block in enumerate(lived.parents()):
        node = next(s for i, s in lived.network.nodes.items() if i == block.body.data.node)
        previous = decode_header(block.header).previous
        leaves = [leaf_hash(raw, sha256d) for raw in life(lived, height)]
        message = nsig_message(
            lived.network.chain_id, block.format, previous, root(leaves, sha256d), block.body
        )
        verify_signature(node.keys.sign_key, message, block.body.data.nsig)


def test_blocklocktime_is_the_time_of_the_last_entry(lived: Home) -> None:
    for height, block in enumerate(lived.parents()):
        last = decode_payload(split(life(lived, height)[-1])[0])
        assert block.body.blocklocktime == last.time
    assert parent(lived).body.timestamps.tpf == parent(lived).body.blocklocktime
    assert LockReason(parent(lived).body.reason) is LockReason.FINISHED


def test_the_side_blocks_before_the_lock_are_committed_to(lived: Home) -> None:
    """Their root stands in the body; what was appended after the lock is not in it."""
    leaves: dict[int, list[bytes]] = {}
    locked = 0
    for _, payload in logged(lived.small):
        body = payload.body
        if isinstance(body, AppendSideBlock) and body.mid == lived.mid:
            side = decode_side(body.block)
            leaves.setdefault(body.height, []).append(leaf_hash(side.format + encode(side.body), sha256d))
        if isinstance(body, Lock) and body.mid == lived.mid:
            before = leaves.get(body.height, [])
            assert decode_parent(body.block).body.side_root == root(before, sha256d)
            locked += bool(before)
    assert locked == 3


def test_the_action_counter_counts_violations(living: Home) -> None:
    living.agent.wrong_password(living.now)
    living.agent.wrong_password(living.now)
    living.agent.wrong_password(living.now)
    living.meet()
    assert living.meter().life_actions == 1
    assert [block.body.action_counter for block in living.parents()] == [0]
