"""Group commit: writes of many connections decided in one consensus block (paper IV-D: packages).

Requests of one kind that wait together are decided together, in order of arrival, and each gets its own part
of the answer once everything is on disk. While one block is being written the next is opened and decided. A
request that makes the whole batch fail in a way nobody foresaw is found by deciding each alone.

Left out: priorities; first come, first decided.
"""

from __future__ import annotations

import asyncio
import logging
import os
import traceback
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future
from typing import Any

from msgspec import Struct

from gridmonitoring.errors import GridMonitoringError, NodeFault, NodeUnavailable

_LOG = logging.getLogger("gridmonitoring.node")

MAX_BATCH = 4096
"""Most transactions or reports of one block; a larger request is a block of its own."""

Begin = Callable[[Sequence[bytes]], tuple[list[Any], Future[None]]]
"""Decides items; returns one answer each, and the future that is done when all is on disk."""


class Waiting(Struct):
    """A request that waits for its block."""

    method: str
    """Which kind of write."""
    items: tuple[bytes, ...]
    """What is to be decided."""
    answer: asyncio.Future[list[Any]]
    """Gets one answer per item, or the error."""


class GroupCommit:
    """Collects writes and has them decided on the node's thread, batch by batch."""

    def __init__(self, executor: Executor, begins: Mapping[str, Begin], recover: Callable[[], None]) -> None:
        self._executor = executor
        self._begins = begins
        self._recover = recover
        self._waiting: deque[Waiting] = deque()
        self._something = asyncio.Event()
        self._saving: set[asyncio.Task[None]] = set()
        self._closing = False

    async def write(self, method: str, items: tuple[bytes, ...]) -> list[Any]:
        """Have items decided with those of others; return one answer each when they are on disk.

        Raises `NodeUnavailable` after `close`.
        """
        if self._closing:
            raise NodeUnavailable("the node is ending; nothing was done")
        answer: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._waiting.append(Waiting(method, items, answer))
        self._something.set()
        return await answer

    async def run(self) -> None:
        """Decide until `close`, and then what is still waiting."""
        while self._waiting or not self._closing:
            if not self._waiting:
                self._something.clear()
                await self._something.wait()
                continue
            batch = self._take()
            if not await self._decide(batch):
                for alone in batch:
                    await self._decide([alone], last=True)
        while self._saving:
            await asyncio.wait(self._saving)

    def close(self) -> None:
        """Let `run` end once nothing waits."""
        self._closing = True
        self._something.set()

    def _take(self) -> list[Waiting]:
        """Return the first request and those of its kind right behind it, up to a block's size."""
        batch = [self._waiting.popleft()]
        size = len(batch[0].items)
        while self._waiting and self._waiting[0].method == batch[0].method:
            size += len(self._waiting[0].items)
            if size > MAX_BATCH:
                break
            batch.append(self._waiting.popleft())
        return batch

    async def _decide(self, batch: list[Waiting], *, last: bool = False) -> bool:
        """Decide a batch; return whether it was answered. An unforeseen error is answered if `last`."""
        items = [item for waiting in batch for item in waiting.items]
        loop = asyncio.get_running_loop()
        deciding = loop.run_in_executor(self._executor, self._begins[batch[0].method], items)
        await asyncio.wait([deciding])
        error = deciding.exception()
        if error is None:
            answers, durable = deciding.result()
            self._acknowledge(batch, answers, durable)
            return True
        fault = foreseen(error)
        if isinstance(fault, NodeFault):
            await loop.run_in_executor(self._executor, self._recover)
            if not last:
                return False
        for waiting in batch:
            _answer(waiting, [], fault)
        return True

    def _acknowledge(self, batch: list[Waiting], answers: list[Any], durable: Future[None]) -> None:
        task = asyncio.create_task(_when_durable(batch, answers, asyncio.wrap_future(durable)))
        self._saving.add(task)
        task.add_done_callback(self._saving.discard)


async def _when_durable(batch: list[Waiting], answers: list[Any], durable: asyncio.Future[None]) -> None:
    await asyncio.wait([durable])
    error = durable.exception()
    first = 0
    for waiting in batch:
        own = answers[first : first + len(waiting.items)]
        first += len(waiting.items)
        _answer(waiting, own, None if error is None else foreseen(error))


def _answer(waiting: Waiting, own: list[Any], error: GridMonitoringError | None) -> None:
    """Answer a request whose connection may be gone by now."""
    if waiting.answer.done():
        return
    if error is None:
        waiting.answer.set_result(own)
    else:
        waiting.answer.set_exception(error)


def foreseen(error: BaseException) -> GridMonitoringError:
    """Return an error of the tree: the error itself, or a `NodeFault` for one that nobody foresaw."""
    if isinstance(error, GridMonitoringError):
        return error
    place = "".join(f" in {frame.name} ({frame.filename}:{frame.lineno})" for frame in _innermost(error))
    debugging = bool(os.environ.get("GRIDMON_DEBUG"))
    _LOG.error(
        "unforeseen: %s: %s%s", type(error).__name__, error, place, exc_info=error if debugging else None
    )
    return NodeFault(f"an error inside the node, please report it: {type(error).__name__}: {error}")


def _innermost(error: BaseException) -> list[traceback.FrameSummary]:
    return traceback.extract_tb(error.__traceback__)[-1:]
