"""What one validator's application answers to CometBFT's consensus: ABCI 2.0 on `Application` (paper IV-D).

Proposals depend on the block and the state before alone. What a block leads to is kept by the block's hash,
the tree being as it was, until it is decided; so each block is executed once, or twice by its proposer, and
whoever reads meanwhile reads what is committed. Everything that a block changes is written in one commit.

Left out: vote extensions; the connection (`server`); what waits for a block (`waiting_room`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from hashlib import sha256
from itertools import islice
from threading import Condition
from typing import Any

from msgspec import Struct

from gridmonitoring.blockchain.checkpoint import Checkpoint, app_hash, decode_note, encode_note
from gridmonitoring.blockchain.genesis import ValidatorSet
from gridmonitoring.blockchain.light_block import comet_address, comet_chain_id
from gridmonitoring.blockchain.state_rows import Table
from gridmonitoring.blockchain.transactions import Transaction
from gridmonitoring.errors import ConsensusError, EncodingError, StorageError
from gridmonitoring.runtime.consensus.application import Application, Execution
from gridmonitoring.runtime.consensus.cometbft.light import light_note, present_state, stored_state
from gridmonitoring.runtime.consensus.cometbft.messages import new
from gridmonitoring.runtime.consensus.cometbft.packages import Packages, make_packages
from gridmonitoring.runtime.consensus.cometbft.rpc import Signed
from gridmonitoring.runtime.consensus.validator import EmbeddedValidator
from gridmonitoring.runtime.storage.truth import Commit

_LOG = logging.getLogger("gridmonitoring.cometbft")

ACCEPT, REJECT = 1, 2
"""Answers to a proposal."""
FIRST_S = 1.0
"""How long a commit gives way to those who waited for the note of the state before, seconds."""
KEPT_PROPOSALS = 4
"""Executed proposals of a height that are kept; a further one makes the oldest be executed again."""

Committed = Callable[[EmbeddedValidator, Execution, Commit, Sequence[bytes]], None]
"""Writes a block: (validator, what it led to, what to write, its packages)."""


class Block(Struct, frozen=True):
    """A proposed or decided block as CometBFT gives it."""

    height: int
    """Its height."""
    time: int
    """Its time, ms."""
    proposer: bytes
    """Address of its proposer."""
    packages: tuple[bytes, ...]
    """Its packages."""

    def digest(self) -> bytes:
        """Return what tells blocks of the same content: their execution is the same."""
        parts = [*(sha256(raw).digest() for raw in self.packages), self.proposer]
        return sha256(b"".join([*parts, f"{self.height} {self.time}".encode()])).digest()


class Replica:
    """One validator under CometBFT."""

    def __init__(
        self, validator: EmbeddedValidator, packages: Packages, turn: Condition, commit: Committed
    ) -> None:
        self.validator = validator
        self._packages = packages
        self._turn = turn
        self._commit = commit
        self._kept: dict[bytes, Execution] = {}
        self._decided: tuple[Execution, tuple[bytes, ...]] | None = None
        self.waiting = 0
        """Threads that wait for the present state to be attested; they go before it changes."""
        self._made_up: dict[int, bytes] = {}
        self._lacking = self._without_light()
        self.light = self._last_light()
        """The last note that CometBFT's quorum stands behind; empty before the first."""

    def _last_light(self) -> bytes:
        truth = self._application.truth
        for height in range(self._application.height, max(self._application.height - 16, 0), -1):
            block = truth.block(height)
            if block is not None and decode_note(block.note).light is not None:
                return block.note
        return b""

    def _without_light(self) -> list[int]:
        """Return the blocks at the end of the file whose note is not a quorum's, oldest first."""
        heights: list[int] = []
        for height in range(self._application.height, 0, -1):
            block = self._application.truth.block(height)
            if block is None or decode_note(block.note).light is not None:
                break
            heights.append(height)
        return heights[::-1]

    def lacking(self) -> int | None:
        """Return a block that was committed while CometBFT could not give the next one's header, or None."""
        known = [height for height in self._lacking if height < self._application.height]
        return known[0] if known else None

    def make_up(self, height: int, signed: Signed) -> None:
        """Make the light block of an earlier block; it is written with the next one."""
        with self._turn:
            self._lacking = [other for other in self._lacking if other != height]
            block = self._application.truth.block(height)
            if block is None:
                return
            note = light_note(self._application, stored_state(block), signed)
            if note is not None:
                self._made_up[height] = note

    @property
    def _application(self) -> Application:
        return self.validator.application

    def app_hash(self) -> bytes:
        """Return the app_hash of the last committed block."""
        log = self._application.log.log
        return app_hash(log.root(), log.size, self._application.tree.root)

    # the beginning

    def info(self, _request: Any) -> Any:
        """Say where this application stands; CometBFT replays what it lacks."""
        with self._turn:
            height = self._application.height
            found = self.app_hash() if height else b""
        return new("ResponseInfo", data="gridmonitoring", last_block_height=height, last_block_app_hash=found)

    def init_chain(self, request: Any) -> Any:
        """Begin the chain of this genesis, and no other."""
        genesis = self._application.genesis
        wanted = {v.key: v.power for v in genesis.validators}
        given = {update.pub_key.ed25519: update.power for update in request.validators}
        if (request.chain_id, given) != (comet_chain_id(genesis.origin()), wanted):
            raise ConsensusError("CometBFT's genesis is not of this chain")
        with self._turn:
            return new("ResponseInitChain", app_hash=self.app_hash())

    # proposals

    def prepare(self, request: Any) -> Any:
        """Execute what waits and propose what is not refused."""
        with self._turn:
            offered = [package for raw in request.txs if (package := self._readable(raw)) is not None]
            flat = [transaction for _, transactions in offered for transaction in transactions]
            time = _milliseconds(request.time)
            application = self._application
            execution = application.prepare(flat, time, self._node(request.proposer_address))
            accepted = [receipt.error is None for receipt in execution.receipts]
            raws = _without_refused(offered, accepted)
            block = Block(request.height, time, request.proposer_address, tuple(raws))
            self._keep(block, application.set_aside())
        return new("ResponsePrepareProposal", txs=raws)

    def process(self, request: Any) -> Any:
        """Accept a proposal that follows the last block and holds nothing refused."""
        with self._turn:
            block = _block(request)
            try:
                self._require_acceptable(block)
            except (ConsensusError, EncodingError) as error:
                _LOG.warning(
                    "%s rejects a proposal for block %s: %s", self.validator.name, block.height, error
                )
                return new("ResponseProcessProposal", status=REJECT)
            return new("ResponseProcessProposal", status=ACCEPT)

    def _require_acceptable(self, block: Block) -> None:
        application = self._application
        if block.height != application.height + 1 or block.time <= application.time:
            raise ConsensusError("it does not follow the last block")
        for raw in block.packages:
            self._packages.read(raw)
        refused = [receipt.error for receipt in self._executed(block).receipts if receipt.error is not None]
        if refused:
            raise ConsensusError(f"it holds a refused transaction: {refused[0]}")

    def finalize(self, request: Any) -> Any:
        """Say what a decided block leads to. Its effects come with `commit`."""
        with self._turn:
            block = _block(request)
            execution = self._executed(block)
            self._decided = (execution, block.packages)
            _LOG.debug("%s: block %s of %s packages", self.validator.name, block.height, len(block.packages))
            return new(
                "ResponseFinalizeBlock",
                tx_results=[new("ExecTxResult") for _ in block.packages],
                validator_updates=self._updates(execution),
                app_hash=execution.checkpoint.app_hash,
            )

    def commit(self, signed: Signed | None) -> Any:
        """Write the decided block; `signed` is its header with its commit, if CometBFT had it at hand.

        The header vouches for the state before: whoever waits for that gets it while it is the state.
        """
        with self._turn:
            if self._decided is None:
                raise ConsensusError("no block is decided")
            notes = self._attest(signed)
            signed_over = [found for _, note in notes for found in self._application.signed_handover(note)]
            execution, packages = self._decided
            self._decided = None
            self._kept.clear()
            if not notes and self._application.height:
                self._lacking.append(self._application.height)
            earlier, self._made_up = tuple(self._made_up.items()), {}
            self._application.take_up(execution)
            same = notes and not execution.header.count  # an empty block leads to the state before
            note = notes[0][1] if same else self._own_note(execution.checkpoint)
            commit = self._application.finalize(note)
            handovers = signed_over + commit.handovers
            commit = Commit(
                commit.block, commit.rows, commit.tiles, commit.segments, handovers, (*earlier, *notes)
            )
            self._commit(self.validator, execution, commit, packages)
            self._turn.notify_all()
        return new("ResponseCommit")

    def _attest(self, signed: Signed | None) -> tuple[tuple[int, bytes], ...]:
        """Make the note of the state before from the header after it."""
        if signed is None or not self._application.height:
            return ()
        note = light_note(self._application, present_state(self._application), signed)
        if note is None:
            return ()
        self.light = note
        self._turn.notify_all()
        self._turn.wait_for(lambda: not self.waiting, FIRST_S)
        return ((self._application.height, note),)

    def attests(self) -> bool:
        """Tell whether the last light block is of the present state."""
        if not self.light:
            return False
        return decode_note(self.light).checkpoint.app_hash == self.app_hash()

    def _own_note(self, checkpoint: Checkpoint) -> bytes:
        """Return the node's own statement of a state, until a quorum's replaces it."""
        keys = {v.name: v.key for v in self._application.history.known()}
        name = self.validator.name
        return encode_note(checkpoint, [(name, keys[name], self.validator.vote(checkpoint))])

    # execution

    def _readable(self, raw: bytes) -> tuple[bytes, list[Transaction]] | None:
        try:
            package = self._packages.read(raw)
        except EncodingError:
            return None
        return package.node, package.transactions

    def _executed(self, block: Block) -> Execution:
        """Return what a block leads to; refused transactions of a decided one change nothing."""
        kept = self._kept.get(block.digest())
        if kept is not None:
            return kept
        flat = [tx for raw in block.packages for tx in (self._readable(raw) or (b"", []))[1]]
        self._application.prepare(flat, block.time, self._node(block.proposer))
        execution = self._application.set_aside()
        self._keep(block, execution)
        return execution

    def _keep(self, block: Block, execution: Execution) -> None:
        self._kept[block.digest()] = execution
        for digest in list(islice(self._kept, max(len(self._kept) - KEPT_PROPOSALS, 0))):
            del self._kept[digest]

    def _node(self, address: bytes) -> bytes:
        """Return the node whose validator has an address, zeros for none of the set in force."""
        application = self._application
        signing = application.history.signing(application.height + 1)
        found = [v.node for v in signing.validators if comet_address(v.key) == address]
        return found[0] if found else bytes(16)

    def _updates(self, execution: Execution) -> list[Any]:
        """Return how a block changes the validator set: CometBFT puts it in force two blocks later."""
        changed: ValidatorSet | None = execution.rows.get((Table.VALIDATORS, b""))
        if changed is None:
            return []
        before = {v.key: v.power for v in self._application.history.latest().validators}
        after = {v.key: v.power for v in changed.validators}
        powers = {key: 0 for key in before if key not in after}
        powers.update({key: power for key, power in after.items() if before.get(key) != power})
        return [
            new("ValidatorUpdate", pub_key=new("PublicKey", ed25519=key), power=power)
            for key, power in sorted(powers.items())
        ]

    def halt(self, error: StorageError) -> None:
        """Stop voting over a file that cannot be read or written."""
        _LOG.error("%s stands still: %s", self.validator.name, error)
        self.validator.halt(error)


def _block(request: Any) -> Block:
    return Block(request.height, _milliseconds(request.time), request.proposer_address, tuple(request.txs))


def _milliseconds(time: Any) -> int:
    return int(time.seconds) * 1000 + int(time.nanos) // 1_000_000


def _without_refused(
    offered: Sequence[tuple[bytes, list[Transaction]]], accepted: Sequence[bool]
) -> list[bytes]:
    """Return the packages without the transactions that were refused; those that are empty then are gone."""
    verdicts = iter(accepted)
    packages: list[bytes] = []
    for node, transactions in offered:
        taken = [transaction for transaction in transactions if next(verdicts)]
        packages += [package for package, _ in make_packages(node, taken)]
    return packages
