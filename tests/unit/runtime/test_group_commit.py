"""Group commit: what waits together is decided together, and one bad request sinks only itself."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from gridmonitoring.errors import ConsensusError, NodeFault, NodeUnavailable, StorageError
from gridmonitoring.runtime.group_commit import MAX_BATCH, GroupCommit


class Recorder:
    """Decides items by keeping them; items that begin with a word of trouble make it."""

    def __init__(self) -> None:
        self.batches: list[list[bytes]] = []
        self.recovered = 0
        self.gate = threading.Event()
        self.gate.set()
        self.disk: list[Future[None]] = []
        self.durable_at_once = True
        self.both = threading.Event()

    def begin(self, items: Sequence[bytes]) -> tuple[list[Any], Future[None]]:
        assert self.gate.wait(30)
        self.batches.append(list(items))
        if b"bug" in items:
            raise ZeroDivisionError("nobody foresaw this")
        if b"no quorum" in items:
            raise ConsensusError("no quorum")
        durable: Future[None] = Future()
        self.disk.append(durable)
        if len(self.disk) == 2:
            self.both.set()
        if self.durable_at_once:
            durable.set_result(None)
        return [b"done " + item for item in items], durable

    def recover(self) -> None:
        self.recovered += 1


def commit(recorder: Recorder, work: Callable[[GroupCommit], Coroutine[Any, Any, None]]) -> None:
    """Run `work` beside a group commit over the recorder, then end it."""

    async def run() -> None:
        begins = {"submit": recorder.begin, "deliver": recorder.begin}
        with ThreadPoolExecutor(1) as executor:
            group = GroupCommit(executor, begins, recorder.recover)
            running = asyncio.create_task(group.run())
            await work(group)
            group.close()
            await asyncio.wait_for(running, 30)

    asyncio.run(run())


async def started(count: int, *writes: Coroutine[Any, Any, list[Any]]) -> list[asyncio.Task[list[Any]]]:
    """Start writes in order and let them reach the queue."""
    tasks = [asyncio.create_task(write) for write in writes]
    for _ in range(count):
        await asyncio.sleep(0)
    return tasks


def test_requests_that_wait_together_are_one_batch_in_order_of_arrival() -> None:
    recorder = Recorder()
    recorder.gate.clear()

    async def work(group: GroupCommit) -> None:
        tasks = await started(3, group.write("deliver", (b"first",)))
        tasks += await started(3, *(group.write("deliver", (b"%d" % n, b"%d'" % n)) for n in range(5)))
        recorder.gate.set()
        answers = await asyncio.gather(*tasks)
        assert answers[0] == [b"done first"]
        assert answers[1:] == [[b"done %d" % n, b"done %d'" % n] for n in range(5)]

    commit(recorder, work)
    assert recorder.batches == [[b"first"], [b"0", b"0'", b"1", b"1'", b"2", b"2'", b"3", b"3'", b"4", b"4'"]]


def test_kinds_are_not_mixed_and_keep_their_order() -> None:
    recorder = Recorder()
    recorder.gate.clear()

    async def work(group: GroupCommit) -> None:
        names = ("deliver", "submit", "submit", "deliver")
        tasks = await started(3, *(group.write(name, (b"%d" % n,)) for n, name in enumerate(names)))
        recorder.gate.set()
        await asyncio.gather(*tasks)

    commit(recorder, work)
    assert recorder.batches == [[b"0"], [b"1", b"2"], [b"3"]]


def test_a_batch_is_no_larger_than_a_block() -> None:
    recorder = Recorder()
    recorder.gate.clear()

    async def work(group: GroupCommit) -> None:
        large = tuple(b"%d" % n for n in range(MAX_BATCH - 1))
        tasks = await started(3, group.write("deliver", (b"x",)))
        tasks += await started(3, *(group.write("deliver", items) for items in (large, (b"y",), (b"z",))))
        recorder.gate.set()
        await asyncio.gather(*tasks)

    commit(recorder, work)
    assert [len(batch) for batch in recorder.batches] == [1, MAX_BATCH, 1]


def test_an_unforeseen_error_sinks_only_the_request_that_made_it() -> None:
    recorder = Recorder()
    recorder.gate.clear()

    async def work(group: GroupCommit) -> None:
        tasks = await started(3, group.write("deliver", (b"first",)))
        tasks += await started(3, *(group.write("deliver", (item,)) for item in (b"a", b"bug", b"b")))
        recorder.gate.set()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert [answers[n] for n in (0, 1, 3)] == [[b"done first"], [b"done a"], [b"done b"]]
        assert isinstance(answers[2], NodeFault)
        assert "ZeroDivisionError: nobody foresaw this" in str(answers[2])
        assert await group.write("deliver", (b"later",)) == [b"done later"]

    commit(recorder, work)
    assert recorder.batches[1:] == [[b"a", b"bug", b"b"], [b"a"], [b"bug"], [b"b"], [b"later"]]
    assert recorder.recovered == 2


def test_an_error_of_the_network_is_everybodys_answer() -> None:
    recorder = Recorder()
    recorder.gate.clear()

    async def work(group: GroupCommit) -> None:
        tasks = await started(3, *(group.write("deliver", (item,)) for item in (b"a", b"no quorum", b"b")))
        recorder.gate.set()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(answer) for answer in answers] == [ConsensusError] * 3

    commit(recorder, work)
    assert recorder.recovered == 0


def test_nothing_is_answered_before_it_is_on_disk() -> None:
    recorder = Recorder()
    recorder.durable_at_once = False

    async def work(group: GroupCommit) -> None:
        first, second = await started(3, *(group.write(name, (b"x",)) for name in ("submit", "deliver")))
        await asyncio.to_thread(recorder.both.wait, 30)
        assert not first.done()
        assert not second.done()
        recorder.disk[1].set_exception(StorageError("disk full"))
        with pytest.raises(StorageError, match="disk full"):
            await second
        assert not first.done()
        recorder.disk[0].set_result(None)
        assert await first == [b"done x"]

    commit(recorder, work)


def test_what_waits_at_the_end_is_decided_and_what_comes_later_is_refused() -> None:
    recorder = Recorder()
    recorder.gate.clear()

    async def work(group: GroupCommit) -> None:
        tasks = await started(3, *(group.write("deliver", (item,)) for item in (b"a", b"b")))
        group.close()
        recorder.gate.set()
        assert await asyncio.gather(*tasks) == [[b"done a"], [b"done b"]]
        with pytest.raises(NodeUnavailable, match="nothing was done"):
            await group.write("deliver", (b"c",))

    commit(recorder, work)


def test_a_request_whose_connection_went_away_does_no_harm() -> None:
    recorder = Recorder()
    recorder.gate.clear()

    async def work(group: GroupCommit) -> None:
        tasks = await started(3, *(group.write("deliver", (item,)) for item in (b"a", b"b")))
        tasks[0].cancel()
        recorder.gate.set()
        assert await tasks[1] == [b"done b"]

    commit(recorder, work)
    assert sorted(item for batch in recorder.batches for item in batch) == [b"a", b"b"]
