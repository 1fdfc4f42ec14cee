"""The CometBFT engine of one process: its validators' applications served, its transactions made final.

A node's transactions are tried on the state first, so that what breaks a rule is answered at once, and go to
CometBFT as packages. The answer waits until each is in a committed block, or its package was put out of the
mempool. Usually a process has one validator; a demonstration has all of them.

Left out: the CometBFT processes (`supervising`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from functools import partial

from msgspec import Struct

from gridmonitoring.blockchain.state import RowKey
from gridmonitoring.blockchain.transactions import Transaction
from gridmonitoring.errors import (
    ConsensusError,
    EncodingError,
    GridMonitoringError,
    MerkleError,
    NodeUnavailable,
    StorageError,
)
from gridmonitoring.runtime.consensus.application import Execution, Receipt
from gridmonitoring.runtime.consensus.cometbft.home import Home
from gridmonitoring.runtime.consensus.cometbft.packages import Packages, make_packages, package_hash
from gridmonitoring.runtime.consensus.cometbft.replica import Replica
from gridmonitoring.runtime.consensus.cometbft.rpc import Rpc
from gridmonitoring.runtime.consensus.cometbft.server import AbciServer
from gridmonitoring.runtime.consensus.cometbft.waiting_room import WaitingRoom
from gridmonitoring.runtime.consensus.engine import Decision, Decoded, Engine
from gridmonitoring.runtime.consensus.saving import Beside, block_copies, write_block
from gridmonitoring.runtime.consensus.validator import EmbeddedValidator
from gridmonitoring.runtime.sockets import listening_socket
from gridmonitoring.runtime.storage.details import DetailStore
from gridmonitoring.runtime.storage.truth import Commit

_LOG = logging.getLogger("gridmonitoring.cometbft")

FINAL_S = 60.0
"""How long a transaction may take to be final, seconds; after that its fate is not known."""
FOLLOW_S = 10.0
"""How long the other validators of this process may take to follow, seconds."""


class Sent(Struct):
    """A batch that is on its way."""

    open: dict[bytes, bytes]
    """Transactions that nobody knows the fate of yet: ID -> name of its package."""
    found: dict[bytes, Receipt]
    """What became of the others, by ID."""
    beside: Beside | None
    """Writes what belongs to them outside the truth."""
    height: int = 0
    """Last block that took some of them."""


class Member(Struct):
    """One validator of this process at work."""

    replica: Replica
    """What it answers to consensus."""
    room: WaitingRoom
    """What may wait in its mempool."""
    rpc: Rpc
    """Its CometBFT."""
    server: AbciServer
    """Its connections."""
    serving: Future[None]
    """Done when it no longer serves."""


class CometEngine(Engine):
    """Has CometBFT decide for the validators of this process."""

    def __init__(self, validators: Sequence[EmbeddedValidator], homes: Mapping[str, Home]) -> None:
        super().__init__(validators)
        self._homes = homes
        self._members: dict[str, Member] = {}
        self._changed: dict[RowKey, None] = {}
        self._sent: Sent | None = None
        self._held = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="abci", daemon=True)

    # life

    def start(self) -> None:
        """Serve the validators whose files are open; the calling thread holds the turn."""
        self.turn.acquire()
        self._held = True
        self._thread.start()
        for validator in self.voting():
            self._serve(validator)

    def _serve(self, validator: EmbeddedValidator) -> None:
        home = self._homes[validator.name]
        rpc = Rpc(home.rpc_socket)
        packages = Packages(validator.application)
        replica = Replica(validator, packages, self.turn, self._commit)
        room = WaitingRoom(validator, packages, self.turn)
        server = AbciServer(replica, partial(self._check, validator, room), rpc)
        validator.application.witness = partial(self._witness, replica)
        listener = listening_socket(home.abci_socket)
        serving = asyncio.run_coroutine_threadsafe(server.run(listener), self._loop)
        self._members[validator.name] = Member(replica, room, rpc, server, serving)

    def let_go(self) -> None:
        """Have the thread that opened the network no longer hold the turn."""
        if self._held:
            self._held = False
            self.turn.release()

    def level(self, details: Mapping[str, DetailStore]) -> None:
        """CometBFT itself brings validators that are behind up to the others."""

    def drain(self) -> None:
        """Return: a block is on disk before it is answered."""

    def close(self) -> None:
        """Stop serving: CometBFT ends when its application has."""
        for member in self._members.values():
            member.serving.cancel()
        self.let_go()
        if self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(_settled(), self._loop).result()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
        self._loop.close()

    # deciding

    def decide_decoded(
        self, decoded: Mapping[str, Decoded], time: int, beside: Beside | None = None
    ) -> Decision:
        """Have transactions decided by all validators of the chain; refused ones are left out and answered.

        `time` is not used: blocks have CometBFT's. Raises `ConsensusError` where nothing became final in
        time; it may still.
        """
        with self.turn:
            voting = [validator for validator in self.voting() if validator.name in decoded]
            if not voting:
                raise ConsensusError("every validator that read these transactions stopped voting")
            validator = voting[0]
            member = self._members[validator.name]
            try:
                tried = validator.application.trial(decoded[validator.name], validator.application.time)
            except (StorageError, MerkleError) as error:
                validator.halt(error)
                return self.decide_decoded(decoded, time, beside)
            sent = Sent({}, {}, beside)
            pairs = zip(decoded[validator.name], tried, strict=True)
            good = [tx for tx, receipt in pairs if receipt.error is None and isinstance(tx, Transaction)]
            self._sent = sent
            try:
                self._send(validator, member, good, sent)
            finally:
                self._sent = None
            self._follow(sent.height)
            return self._decision(validator, tried, sent)

    def _send(
        self, validator: EmbeddedValidator, member: Member, good: Sequence[Transaction], sent: Sent
    ) -> None:
        """Hand transactions to CometBFT, and wait until the fate of each is known."""
        for package, ids in make_packages(validator.node, good):
            name = package_hash(package)
            sent.open.update(dict.fromkeys(ids, name))
            spreading = asyncio.run_coroutine_threadsafe(member.rpc.broadcast(package), self._loop)
            spreading.add_done_callback(self._wake)
            self.turn.wait_for(spreading.done)
            self._spread(spreading, [identifier for identifier in ids if identifier in sent.open], sent)
        if not self.turn.wait_for(lambda: not sent.open or validator.halted is not None, FINAL_S):
            raise ConsensusError(f"not final within {FINAL_S:.0f} s; it may still become so")
        if sent.open:
            raise ConsensusError(
                f"{validator.name} stands still ({validator.halted}); what was sent may be final"
            )

    def _wake(self, _: Future[tuple[int, str]]) -> None:
        with self.turn:
            self.turn.notify_all()

    @staticmethod
    def _spread(spreading: Future[tuple[int, str]], ids: Sequence[bytes], sent: Sent) -> None:
        """Note what CometBFT said to a package: one that does not wait will not be final."""
        try:
            code, log = spreading.result()
            refusal = ConsensusError(log) if code else None
        except NodeUnavailable as error:
            refusal = ConsensusError(f"the package does not wait for a block: {error}")
        if refusal is not None:
            for identifier in ids:
                del sent.open[identifier]
                sent.found[identifier] = Receipt(identifier, -1, refusal, ())

    def _follow(self, height: int) -> None:
        """Wait until the other validators of this process are there too."""
        self.turn.wait_for(lambda: all(one.height >= height for one in self.voting()), FOLLOW_S)

    def _decision(self, validator: EmbeddedValidator, tried: Sequence[Receipt], sent: Sent) -> Decision:
        application = validator.application
        block = application.truth.block(application.height)
        changed, self._changed = tuple(self._changed), {}
        durable: Future[None] = Future()
        durable.set_result(None)
        return Decision(
            application.height,
            validator.name,
            block.note if block else b"",
            [sent.found.get(receipt.id, receipt) if receipt.error is None else receipt for receipt in tried],
            (),
            changed,
            (),
            durable,
        )

    # what the servers call, on threads of their own

    def _check(self, validator: EmbeddedValidator, room: WaitingRoom, raw: bytes, again: bool) -> str:
        """Return why a package may not wait in a validator's mempool, or nothing."""
        try:
            if not again:
                room.admit(raw)
                return ""
            refused = room.recheck(raw)
            if len(refused) < room.transactions(raw):
                return ""
            self._put_out(raw, refused)
            return str(next(iter(refused.values())))
        except (GridMonitoringError, EncodingError) as error:
            if isinstance(error, StorageError):
                validator.halt(error)
            return str(error)

    def _put_out(self, raw: bytes, refused: Mapping[bytes, GridMonitoringError]) -> None:
        """Answer the transactions of a package of this process that left the mempool."""
        with self.turn:
            sent, name = self._sent, package_hash(raw)
            if sent is None:
                return
            for identifier in [found for found, package in sent.open.items() if package == name]:
                del sent.open[identifier]
                sent.found[identifier] = Receipt(identifier, -1, refused[identifier], ())
            self.turn.notify_all()

    def _commit(
        self, validator: EmbeddedValidator, execution: Execution, commit: Commit, packages: Sequence[bytes]
    ) -> None:
        """Write a block of one validator, and answer those that wait for it."""
        sent = self._sent
        copy = partial(self.keep_copies, block_copies(execution)) if self.keep_copies else None
        beside = sent.beside if sent is not None else None
        write_block(validator, commit, execution.receipts, beside, copy)
        validator.application.saved(execution.rows, commit.tiles)
        self._members[validator.name].room.committed(packages, execution.header.height)
        self._changed.update(dict.fromkeys(execution.rows))
        if sent is None:
            return
        for receipt in execution.receipts:
            if receipt.error is None and sent.open.pop(receipt.id, None) is not None:
                sent.found[receipt.id] = receipt
                sent.height = execution.header.height

    def _witness(self, replica: Replica) -> bytes:
        """Return the note of the present state, waiting for the block that carries its app_hash."""
        with self.turn:
            replica.waiting += 1
            try:
                attested = self.turn.wait_for(replica.attests, FINAL_S)
            finally:
                replica.waiting -= 1
            if not attested:
                raise ConsensusError("no quorum has signed the present state yet; try again")
            return replica.light


async def _settled() -> None:
    """Let what was cancelled end."""
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.gather(*others, return_exceptions=True)
