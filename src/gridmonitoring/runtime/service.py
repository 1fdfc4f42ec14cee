"""`gridmon node`: the owner of a data directory, serving other processes on a Unix socket (paper II-A).

One thread works on the network; asyncio holds the connections. Reports of all connections are decided
together (`group_commit`), nothing is answered before it is on disk, an empty block a minute keeps block time
fresh. A bad request is answered and harms nobody else; SIGTERM and SIGINT end it once every write is on disk.

Left out: serving the network; the socket (mode 0600) is for the owner of the directory.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from enum import IntEnum
from functools import partial
from typing import Any, TypeVar

from msgspec import Struct

from gridmonitoring.blockchain.evidence_bundle import EvidenceKind
from gridmonitoring.blockchain.state_rows import Table
from gridmonitoring.encoding.cbor import decode, encode
from gridmonitoring.errors import EncodingError, Malformed
from gridmonitoring.runtime.grid_port import Status
from gridmonitoring.runtime.group_commit import GroupCommit, foreseen
from gridmonitoring.runtime.local_grid import LocalGrid
from gridmonitoring.runtime.sockets import listening_socket
from gridmonitoring.runtime.views.contract_database import Query
from gridmonitoring.runtime.wire import (
    LENGTH,
    REQUEST_LIMIT,
    WRITES,
    Request,
    decode_request,
    encode_answer,
    frame_size,
    outcome_to_wire,
    receipt_to_wire,
    request_number,
)

MAX_CONNECTIONS = 64
"""Connections at a time; another one is closed at once."""
MAX_IN_FLIGHT = 4
"""Requests of one connection under way; the next is read when one is answered."""

LAST_WORDS_S = 2.0
"""How long a connection may take to read its last answers when the node ends, seconds."""

SLICE_S = 0.004
"""How long the monitor works before it pauses, seconds."""

C = TypeVar("C", bound=IntEnum)
T = TypeVar("T")

_LOG = logging.getLogger("gridmonitoring.node")


class Pace(Struct, frozen=True):
    """How much watching the nodes' files may cost."""

    share: float = 0.02
    """Share of one processor's time."""
    every_s: float = 30.0
    """Rest between two passes, seconds."""

    def pause(self, spent_s: float) -> float:
        """Return how long to pause after this much work, so that the share is kept, seconds."""
        return spent_s * (1 / self.share - 1)


class Service:
    """A node at work."""

    def __init__(self, grid: LocalGrid, pace: Pace | None = None) -> None:
        self._grid = grid
        grid.engine.let_go()
        self._pace = pace or Pace()
        self._executor = ThreadPoolExecutor(1, "node")
        self._writes = GroupCommit(
            self._executor,
            {
                "submit": partial(self._in_turn, grid.begin_submit),
                "deliver": partial(self._in_turn, grid.begin_deliver),
            },
            grid.recover,
        )
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._stop = asyncio.Event()
        self._methods: Mapping[str, Callable[..., Any]] = _methods(grid)

    async def run(self, ready: Callable[[Status], None]) -> None:
        """Serve until `stop`; call `ready` with how the network stands once the socket answers."""
        path = self._grid.directory.socket
        status = await asyncio.get_running_loop().run_in_executor(self._executor, self._begin)
        writer = asyncio.create_task(self._writes.run())
        keeper = asyncio.create_task(self._keep_fresh())
        watcher = asyncio.create_task(self._watch())
        if self._grid.directory.under_comet:
            watcher.cancel()  # blocks are CometBFT's to vouch for; rows are checked as they are read
        try:
            with listening_socket(path) as listener:
                ready(status)
                await self._accept(listener)
        finally:
            path.unlink(missing_ok=True)
            keeper.cancel()
            watcher.cancel()
            await asyncio.wait([watcher])
            await self._finish(writer)

    def stop(self) -> None:
        """Stop serving."""
        self._stop.set()

    def _begin(self) -> Status:
        self._in_turn(self._grid.keep_fresh)
        return self._in_turn(self._grid.status)

    def _in_turn(self, work: Callable[..., T], *arguments: Any) -> T:
        """Work on the network while nobody else does."""
        with self._grid.engine.turn:
            return work(*arguments)

    async def _finish(self, writer: asyncio.Task[None]) -> None:
        """Answer what was asked so far, then end the connections."""
        self._writes.close()
        await asyncio.wait([writer])
        connections = dict(self._connections)
        for connection, stream in connections.items():
            connection.cancel()
            stream.close()
        if connections:
            _, slow = await asyncio.wait(connections, timeout=LAST_WORDS_S)
            for connection in slow:
                connections[connection].transport.abort()
        self._executor.shutdown(wait=True)

    async def _keep_fresh(self) -> None:
        """Decide an empty block a minute; a failure is logged, and tried again a minute later."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._grid.fresh_every_s)
            working = loop.run_in_executor(self._executor, self._in_turn, self._grid.keep_fresh)
            await asyncio.wait([working])
            error = working.exception()
            if error is not None:
                _LOG.error("no empty block: %s", foreseen(error))

    async def _watch(self) -> None:
        """Re-check the nodes' files without end, no faster than the share of time that is left to it.

        Reading is done by a thread of its own, what follows from a suspicion by the node's.
        """
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1, "monitor", initializer=_give_way) as executor:
            await asyncio.sleep(self._pace.every_s)
            while True:
                began = loop.time()
                working = loop.run_in_executor(executor, self._grid.watcher.work, SLICE_S)
                await asyncio.wait([working])
                spent = loop.time() - began
                if error := working.exception():
                    _LOG.error("the monitor: %s", foreseen(error))
                    await asyncio.sleep(self._pace.every_s)
                    continue
                ended = not self._grid.watcher.busy
                if working.result() or ended:
                    attending = loop.run_in_executor(
                        self._executor, self._in_turn, self._grid.attend, working.result()
                    )
                    await asyncio.wait([attending])
                    if error := attending.exception():
                        _LOG.error("the monitor: %s", foreseen(error))
                await asyncio.sleep(self._pace.every_s if ended else self._pace.pause(spent))

    # connections

    async def _accept(self, listener: socket.socket) -> None:
        """Take connections until `stop`; none that was accepted is forgotten."""
        loop = asyncio.get_running_loop()
        stopping = asyncio.create_task(self._stop.wait())
        while not self._stop.is_set():
            accepting = asyncio.ensure_future(loop.sock_accept(listener))
            await asyncio.wait([accepting, stopping], return_when=asyncio.FIRST_COMPLETED)
            if not accepting.done():
                accepting.cancel()
                return
            error = accepting.exception()
            if error is not None:
                _LOG.error("cannot take a connection: %s", error)
                await asyncio.sleep(1.0)
                continue
            connection, _ = accepting.result()
            if len(self._connections) >= MAX_CONNECTIONS:
                connection.close()
                continue
            reader, writer = await asyncio.open_connection(sock=connection)
            task = asyncio.create_task(self._connected(reader, writer))
            self._connections[task] = writer
            task.add_done_callback(self._connections.pop)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            await self._serve(reader, writer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read requests and have each answered in a task of its own, a bounded number at a time."""
        room = asyncio.Semaphore(MAX_IN_FLIGHT)
        under_way: set[asyncio.Task[None]] = set()
        try:
            while True:
                head = await reader.readexactly(LENGTH)
                try:
                    size = frame_size(head, REQUEST_LIMIT)
                except EncodingError as error:
                    writer.write(encode_answer(0, error))
                    await writer.drain()
                    return
                content = await reader.readexactly(size)
                await room.acquire()
                task = asyncio.create_task(self._answer(content, writer))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
                task.add_done_callback(lambda _: room.release())
        finally:
            if under_way:
                await asyncio.wait(under_way)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _answer(self, content: bytes, writer: asyncio.StreamWriter) -> None:
        """Answer one request, whatever it holds."""
        try:
            request = decode_request(content)
        except EncodingError as error:
            writer.write(encode_answer(request_number(content), error))
        else:
            working = asyncio.ensure_future(self._do(request))
            await asyncio.wait([working])
            unanswered = working.exception()
            result = foreseen(unanswered) if unanswered else working.result()
            writer.write(encode_answer(request.id, result))
        with contextlib.suppress(ConnectionError):
            await writer.drain()

    async def _do(self, request: Request) -> Any:
        if request.method in WRITES:
            answers = await self._writes.write(request.method, request.arguments[0])
            plain = receipt_to_wire if request.method == "submit" else outcome_to_wire
            return [plain(answer) for answer in answers]
        work = partial(self._methods[request.method], *request.arguments)
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._read, work)

    def _read(self, work: Callable[[], Any]) -> Any:
        """Do what is no batched write, once everything decided is on disk: nothing else is shown."""
        with self._grid.engine.turn:
            self._grid.settle()
            return work()


def _methods(grid: LocalGrid) -> Mapping[str, Callable[..., Any]]:
    """Return method -> what does it; results are plain values."""

    def rows(table: int, prefix: bytes, after: bytes, limit: int) -> list[list[bytes]]:
        return [[key, encode(value)] for key, value in grid.rows(_coded(Table, table), prefix, after, limit)]

    def block(height: int) -> list[bytes] | None:
        found = grid.block(height)
        return None if found is None else [encode(found.header), found.body, found.note]

    def evidence(kind: int, mid: bytes, number: int) -> bytes:
        return grid.evidence(_coded(EvidenceKind, kind), mid, None if number < 0 else number)

    def recorded(query: bytes) -> list[bytes]:
        return [encode(found) for found in grid.recorded(decode(query, Query))]

    return {
        "recorded": recorded,
        "rebuild_views": grid.rebuild_views,
        "accuse": lambda mid, delivery: outcome_to_wire(grid.accuse(mid, delivery)),
        "process": lambda request, confirmation: receipt_to_wire(grid.process(request, confirmation)),
        "link": lambda mid, device: receipt_to_wire(grid.link(mid, device)),
        "row": lambda table, key: grid.application.row_bytes(_coded(Table, table), key),
        "rows": rows,
        "transaction": grid.transaction,
        "find": grid.find,
        "block": block,
        "note": grid.note,
        "consistency": grid.consistency,
        "status": grid.status,
        "details": grid.details_of,
        "wrapped": grid.wrapped,
        "challenge": grid.challenge,
        "answer": grid.answer,
        "failures": grid.failures,
        "commands": lambda mid: list(grid.commands(mid)),
        "evidence": evidence,
        "wrap": grid.wrap,
        "heal": grid.heal,
        "monitor": grid.monitor,
        "watch": grid.watch,
        "time": grid.clock.now_ms,
        "move_clock": grid.move_clock,
    }


def _coded(codes: type[C], number: int) -> C:
    try:
        return codes(number)
    except ValueError as error:
        raise Malformed(f"there is no {codes.__name__} {number}") from error


def _give_way() -> None:
    """Let the threads that serve go first."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 15)


def serve(
    grid: LocalGrid,
    ready: Callable[[Status], None],
    pace: Pace | None = None,
    leash: int | None = None,
) -> None:
    """Serve a directory until SIGTERM or SIGINT, as `Service.run` does; closes the grid.

    With `leash`, a file descriptor of a pipe, also until its other end is closed.
    """

    async def run() -> None:
        service = Service(grid, pace)
        if leash is not None:
            asyncio.get_running_loop().add_reader(leash, service.stop)
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, service.stop)
        await service.run(ready)

    try:
        asyncio.run(run())
    finally:
        grid.close()
