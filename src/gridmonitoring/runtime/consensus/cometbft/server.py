"""The application's end of ABCI 2.0: CometBFT's four connections on a Unix socket, answered in order.

A message is its length as a varint and a `Request` or `Response`. Each connection is answered strictly in
order; consensus, mempool and the rest have a thread each, so that none waits for another but for the turn on
the state. CometBFT takes an exception for the end of the application, so a handler that fails closes the
connection, which ends CometBFT too; whoever supervises them starts both again.

Left out: gRPC, and snapshots, of which there are none to offer.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from google.protobuf.message import DecodeError

from gridmonitoring.errors import Malformed, NodeUnavailable, TooLarge
from gridmonitoring.runtime.consensus.cometbft.messages import new
from gridmonitoring.runtime.consensus.cometbft.replica import Replica
from gridmonitoring.runtime.consensus.cometbft.rpc import Rpc, Signed

_LOG = logging.getLogger("gridmonitoring.cometbft")

REQUEST_LIMIT = 64 * 1024 * 1024
"""Largest request, bytes: a block with what CometBFT says of it."""
HEADER_S = 0.5
"""How long a commit waits for CometBFT to give the block's header, seconds; a later block makes up for it."""

Answer = Callable[[Any], Awaitable[Any]]
"""Answers one kind of request."""


class AbciServer:
    """Serves one validator's CometBFT on a listening socket."""

    def __init__(self, replica: Replica, check: Callable[[bytes, bool], str], rpc: Rpc) -> None:
        """`check` takes a package and whether it waited already, and returns why it may not."""
        self._replica = replica
        self._check = check
        self._rpc = rpc
        name = replica.validator.name
        self._consensus = ThreadPoolExecutor(1, f"consensus-{name}")
        self._mempool = ThreadPoolExecutor(1, f"mempool-{name}")
        self._rest = ThreadPoolExecutor(1, f"query-{name}")
        self._tasks: set[asyncio.Task[None]] = set()
        self._finalized: asyncio.Task[Signed | None] | None = None
        self._answers: Mapping[str, tuple[str, Answer]] = {
            "echo": ("echo", self._echo),
            "info": ("info", partial(self._in, self._rest, replica.info)),
            "query": ("query", self._query),
            "init_chain": ("init_chain", partial(self._in, self._consensus, replica.init_chain)),
            "check_tx": ("check_tx", partial(self._in, self._mempool, self._check_tx)),
            "prepare_proposal": ("prepare_proposal", partial(self._in, self._consensus, replica.prepare)),
            "process_proposal": ("process_proposal", partial(self._in, self._consensus, replica.process)),
            "finalize_block": ("finalize_block", self._finalize),
            "commit": ("commit", self._commit),
            "list_snapshots": ("list_snapshots", partial(self._plain, "ResponseListSnapshots")),
            "offer_snapshot": ("offer_snapshot", partial(self._plain, "ResponseOfferSnapshot")),
            "load_snapshot_chunk": (
                "load_snapshot_chunk",
                partial(self._plain, "ResponseLoadSnapshotChunk"),
            ),
            "apply_snapshot_chunk": (
                "apply_snapshot_chunk",
                partial(self._plain, "ResponseApplySnapshotChunk"),
            ),
        }

    async def run(self, listener: socket.socket) -> None:
        """Serve until cancelled."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                connection, _ = await loop.sock_accept(listener)
                reader, writer = await asyncio.open_connection(sock=connection)
                task = asyncio.create_task(self._connected(reader, writer))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        finally:
            self.hang_up()
            for executor in (self._consensus, self._mempool, self._rest):
                executor.shutdown(wait=False)

    def hang_up(self) -> None:
        """End every connection, which ends CometBFT."""
        for task in self._tasks:
            task.cancel()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving = asyncio.create_task(self._serve(reader, writer))
        try:
            await asyncio.wait([serving])
            error = serving.exception()
            if not isinstance(error, asyncio.IncompleteReadError | ConnectionError):
                _LOG.error("%s: CometBFT has to start again: %r", self._replica.validator.name, error)
                self.hang_up()
        finally:
            serving.cancel()
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            request = await _read(reader)
            writer.write(_framed(await self._answer(request)))
            if request.WhichOneof("value") == "flush":
                await writer.drain()

    async def _answer(self, request: Any) -> Any:
        kind = request.WhichOneof("value")
        if kind == "flush":
            return new("Response", flush=new("ResponseFlush"))
        if kind not in self._answers:
            raise Malformed("a request of no kind that is known")
        name, answer = self._answers[kind]
        return new("Response", **{name: await answer(getattr(request, kind))})

    async def _in(self, executor: ThreadPoolExecutor, handler: Callable[[Any], Any], request: Any) -> Any:
        if self._replica.validator.halted is not None:
            raise ConnectionAbortedError(self._replica.validator.halted)
        return await asyncio.get_running_loop().run_in_executor(executor, handler, request)

    async def _echo(self, request: Any) -> Any:
        return new("ResponseEcho", message=request.message)

    async def _plain(self, name: str, _request: Any) -> Any:
        return new(name)

    async def _query(self, request: Any) -> Any:
        return new("ResponseQuery", code=1, log=f"nothing is served at {request.path[:40]!r} here")

    def _check_tx(self, request: Any) -> Any:
        refusal = self._check(request.tx, bool(request.type))
        return new("ResponseCheckTx", code=1 if refusal else 0, log=refusal)

    async def _finalize(self, request: Any) -> Any:
        self._finalized = asyncio.create_task(self._header(request.height))
        return await self._in(self._consensus, self._replica.finalize, request)

    async def _header(self, height: int) -> Signed | None:
        try:
            async with asyncio.timeout(HEADER_S):
                return await self._rpc.commit(height)
        except (NodeUnavailable, TimeoutError):
            return None  # as while CometBFT replays

    async def _commit(self, _request: Any) -> Any:
        signed = await self._finalized if self._finalized is not None else None
        height = self._replica.lacking()
        if signed is not None and height is not None:
            later = await self._header(height + 1)
            if later is not None:
                await self._in(self._consensus, partial(self._replica.make_up, height), later)
        return await self._in(self._consensus, self._replica.commit, signed)


async def _read(reader: asyncio.StreamReader) -> Any:
    """Return the next request; raises an `EncodingError` or `asyncio.IncompleteReadError`."""
    size = shift = 0
    while True:
        (byte,) = await reader.readexactly(1)
        size |= (byte & 127) << shift
        if byte < 128:
            break
        shift += 7
        if shift > 28:
            raise Malformed("the length of a request is too long")
    if size > REQUEST_LIMIT:
        raise TooLarge(size, REQUEST_LIMIT)
    request = new("Request")
    try:
        request.ParseFromString(await reader.readexactly(size))
    except DecodeError as error:
        raise Malformed(f"not a request: {error}") from error
    return request


def _framed(response: Any) -> bytes:
    content: bytes = response.SerializeToString()
    size, head = len(content), bytearray()
    while size > 127:
        head.append(size & 127 | 128)
        size >>= 7
    return bytes([*head, size]) + content
