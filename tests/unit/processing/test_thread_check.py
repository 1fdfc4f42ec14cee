"""Threads that hang together are followed; a block out of its place is named by thread and height."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from gridmonitoring.blockchain.bodies import AppendSideBlock, Kind, Lock
from gridmonitoring.blockchain.header import decode_header, encode_header
from gridmonitoring.blockchain.parent_block import decode_parent
from gridmonitoring.blockchain.side_block import decode_side
from gridmonitoring.encoding.cbor import encode
from gridmonitoring.errors import BlockError
from gridmonitoring.processing.thread_check import ThreadCheck
from tests.support.acts import tamper
from tests.support.home import logged
from tests.support.network import DAY_MS, INTERVAL_MS, buy, small_network

Bodies = list[Lock | AppendSideBlock]


@pytest.fixture(scope="module")
def threads(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, Bodies]:
    """The blocks of two threads, in order of the log."""
    small = small_network(tmp_path_factory.mktemp("threads") / "network", 1, 2)
    first = small.meters[0]
    buy(small, first, 10**9)
    wires = first.wires(settles=True, energy=40_000_000)
    small.clock.move_to(first.time + INTERVAL_MS)
    small.deliver(wires)
    small.submit([tamper(small.meters[1])])
    small.clock.move_to(small.clock.now_ms() + DAY_MS)
    small.network.duties.after(small.network.tick())
    kinds = (Kind.LOCK, Kind.SIDE_BLOCK)
    bodies = [payload.body for _, payload in logged(small) if payload.kind in kinds]
    chain = small.network.chain_id
    small.close()
    return chain, bodies


def follow(chain: bytes, bodies: Bodies) -> ThreadCheck:
    check = ThreadCheck(chain)
    for body in bodies:
        if isinstance(body, Lock):
            check.lock(body)
        else:
            check.side_block(body)
    return check


def test_a_whole_log_hangs_together(threads: tuple[bytes, Bodies]) -> None:
    chain, bodies = threads
    check = follow(chain, bodies)
    assert check.parents == sum(isinstance(body, Lock) for body in bodies) >= 3
    assert check.side_blocks == sum(isinstance(body, AppendSideBlock) for body in bodies) >= 3


def test_a_thread_may_be_taken_up_anywhere(threads: tuple[bytes, Bodies]) -> None:
    chain, bodies = threads
    for start in range(len(bodies)):
        follow(chain, bodies[start:])


def _with_previous(body: Lock | AppendSideBlock, previous: bytes) -> Lock | AppendSideBlock:
    block = decode_parent(body.block) if isinstance(body, Lock) else decode_side(body.block)
    header = encode_header(replace(decode_header(block.header), previous=previous))
    return replace(body, block=encode(replace(block, header=header)))


def test_a_link_that_is_another_is_named(threads: tuple[bytes, Bodies]) -> None:
    chain, bodies = threads
    named = 0
    seen: set[tuple[type, bytes, int]] = set()
    for number, body in enumerate(bodies):
        bent = [*bodies[:number], _with_previous(body, b"\7" * 32)]
        key = (type(body), body.mid, body.height)
        if isinstance(body, Lock) or key in seen:
            with pytest.raises(BlockError, match=f"block {body.height} of thread {body.mid.hex()[:8]}"):
                follow(chain, bent)
            named += 1
        seen.add(key)
    assert named >= 4


def test_a_block_that_is_missing_or_comes_twice_is_named(threads: tuple[bytes, Bodies]) -> None:
    chain, bodies = threads
    locks = [body for body in bodies if isinstance(body, Lock) and body.mid == bodies[0].mid]
    assert len(locks) >= 2
    with pytest.raises(BlockError, match="follows block"):
        follow(chain, [locks[0], locks[0]])
    sides = [body for body in bodies if isinstance(body, AppendSideBlock)]
    with pytest.raises(BlockError, match="does not follow the last one"):
        follow(chain, [sides[0], sides[0]])


def test_counters_sizes_and_roots_are_checked(threads: tuple[bytes, Bodies]) -> None:
    chain, bodies = threads
    for number, body in enumerate(bodies):
        before = bodies[:number]
        if isinstance(body, Lock):
            parent = decode_parent(body.block)
            bent = encode(replace(parent, size=b"\0\0\0\1"))
            with pytest.raises(BlockError, match="another size"):
                follow(chain, [*before, replace(body, block=bent)])
            continue
        side = decode_side(body.block)
        if decode_header(side.header).previous[16:] == bytes(16):
            counted = replace(side.body, action_counter=side.body.action_counter + 1)
            bent = encode(replace(side, body=counted))
            with pytest.raises(BlockError, match=r"violations|root"):
                follow(chain, [*before, replace(body, block=bent)])
