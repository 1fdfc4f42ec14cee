"""The replicated application of one validator, shaped like ABCI 2.0: prepare, process, finalize, commit.

It never knows which engine drives it. The result depends on the order of transactions and the
state before, not on how they were cut into blocks. Every row read from the file is checked against
the state tree; one that differs raises `Tampered`, which names it, and the validator stops voting.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from threading import Lock
from typing import Any

from msgspec import Struct

from gridmonitoring.blockchain.checkpoint import Checkpoint, app_hash, minimal_quorum
from gridmonitoring.blockchain.genesis import Genesis, ValidatorSet
from gridmonitoring.blockchain.ledger import Chain, Ledger
from gridmonitoring.blockchain.log import TransactionLog
from gridmonitoring.blockchain.state import RowKey, View
from gridmonitoring.blockchain.state_rows import (
    MeterRow,
    Table,
    device_key,
    height_key,
)
from gridmonitoring.blockchain.state_tree import StateTree, UndoRecord, row_key_hash
from gridmonitoring.blockchain.transactions import Transaction, decode_transaction
from gridmonitoring.data_center.copies import AnyCopy
from gridmonitoring.data_center.copying import Copying
from gridmonitoring.encoding.cbor import PACKAGE_LIMIT, convert, encode, loads
from gridmonitoring.encoding.hashes import sha256 as sha256_of
from gridmonitoring.encoding.hashes import sha256d
from gridmonitoring.errors import (
    ConsensusError,
    EncodingError,
    GridMonitoringError,
    Refused,
    Tampered,
    UserError,
)
from gridmonitoring.processing.rows import ROW_TYPES
from gridmonitoring.processing.state_transition import apply_transaction
from gridmonitoring.runtime.consensus.log_store import LogStore
from gridmonitoring.runtime.consensus.validator_history import ValidatorHistory
from gridmonitoring.runtime.signature_checker import SignatureChecker, meter_key
from gridmonitoring.runtime.storage.truth import (
    BlockHeader,
    Commit,
    StoredBlock,
    Truth,
    encode_body,
    row_name,
)

CACHED_ROWS = 600_000
"""Decoded rows kept in memory; older ones make room."""


class Receipt(Struct, frozen=True, gc=False):
    """What became of one transaction of a block."""

    id: bytes
    """Transaction ID; empty where the bytes could not be decoded."""
    index: int
    """Log index; -1 where it was refused."""
    error: GridMonitoringError | None
    """Why it was refused."""
    effects: tuple[Any, ...]
    """What the contract asks to be carried out."""


class Execution(Struct):
    """The result of executing a block, kept until it is committed or abandoned."""

    header: BlockHeader
    """Header of the block."""
    body: bytes
    """Its encoded transactions."""
    receipts: list[Receipt]
    """One per transaction that was offered."""
    rows: dict[RowKey, Any]
    """Changed rows."""
    encoded: list[tuple[int, bytes, bytes | None]]
    """The same, encoded."""
    undo: UndoRecord
    """How to take the tree back."""
    ids: list[bytes]
    """IDs of the transactions appended."""
    log: TransactionLog
    """The log after it."""
    checkpoint: Checkpoint
    """The checkpoint that validators sign."""
    copies: list[AnyCopy]
    """What of it goes to the data center, if there is one."""
    again: UndoRecord | None = None
    """How to make the tree's change again, while it is set aside."""


class _Run(Struct):
    """Transactions executed one after the other, before roots are computed."""

    view: View
    log: TransactionLog
    receipts: list[Receipt]
    accepted: list[Transaction]
    copies: list[AnyCopy]


class Application:
    """Log, state and rules of one validator over its own file."""

    def __init__(
        self,
        truth: Truth,
        chain: Chain,
        genesis: Genesis,
        checker: SignatureChecker,
        *,
        vouched: bool = False,
    ) -> None:
        """Open over a file; `vouched` where blocks are stored before a quorum's note of them is there."""
        self.truth = truth
        self.chain = chain
        self.checker = checker
        self.genesis = genesis
        self._cache: dict[RowKey, Any] = {}
        self._unsaved: dict[RowKey, Any] = {}
        self._lock = Lock()  # blocks are written, and `saved` called, by other threads
        self.tree = StateTree(
            genesis.parameters.bucket_bits,
            ((row_key_hash(table, key), sha256_of(value)) for table, key, value in truth.rows()),
        )
        self.log = LogStore(truth)
        self.height = truth.height()
        last = truth.block(self.height) if self.height else None
        self.time = last.header.time if last else genesis.created
        self.last_hash = sha256d(encode(last.header)) if last else chain.id
        self._pending: Execution | None = None
        self.history = ValidatorHistory(genesis)
        self.history.follow(truth.handovers(), last_unsigned=vouched)
        self._vouched = vouched
        self.witness: Callable[[], bytes] | None = None
        """Gives a quorum's note of the present state, where blocks are stored before they have one."""
        self.copying: Copying | None = None
        """Says what of each accepted transaction goes to the data center; None where there is none."""

    # rows

    def read(self, row_key: RowKey) -> Any:
        """Return the committed struct of a row, or None; raises `Tampered` where the file differs."""
        value = self._cache.get(row_key)
        if value is None:
            value = self._load(row_key)
            if value is not None:
                self._cache[row_key] = value
        return value

    def _load(self, row_key: RowKey) -> Any:
        table, key = row_key
        unsaved = self._unsaved.get(row_key, self)
        if unsaved is not self:
            return unsaved
        expected = self.tree.value_hash(row_key_hash(table, key))
        if expected is None:
            return None
        stored = self.truth.row(table, key)
        if stored is None or sha256_of(stored) != expected:
            raise Tampered(row_name(table), key.hex(), "the stored row is not what was committed")
        return _committed_row(table, stored)

    def _prefetch(self, table: Table, keys: Sequence[bytes]) -> None:
        """Read rows that are not in memory, many at a time: one by one, each waits for other threads."""
        missing = [
            key for key in keys if (table, key) not in self._cache and (table, key) not in self._unsaved
        ]
        for key, stored in self.truth.rows_at(table, missing):
            if self.tree.value_hash(row_key_hash(table, key)) == sha256_of(stored):  # else `read` names it
                self._cache[table, key] = _committed_row(table, stored)

    def prefetch_meters(self, mids: Iterable[bytes]) -> None:
        """Read what reports of these meters will need."""
        table, cache = Table.METER, self._cache
        cold = list(dict.fromkeys([mid for mid in mids if (table, mid) not in cache]))
        if not cold:
            return
        for table in (Table.METER, Table.ACCOUNT, Table.AGREEMENT):
            self._prefetch(table, cold)
        known = [(mid, self.read((Table.METER, mid))) for mid in cold]
        meters: list[tuple[bytes, MeterRow]] = [(mid, meter) for mid, meter in known if meter is not None]
        self._prefetch(Table.DEVICE, [device_key(mid, meter.epoch) for mid, meter in meters])
        self._prefetch(Table.LOT, [height_key(mid, meter.height) for mid, meter in meters])

    def row_bytes(self, table: int, key: bytes) -> bytes | None:
        """Return the encoded value of a committed row."""
        value = self.read((Table(table), key))
        return None if value is None else encode(value)

    def signed_note(self) -> bytes:
        """Return the present state's note with a minimal quorum; raises `UserError` before the first."""
        if self.witness is not None:
            return self.witness()
        block = self.truth.block(self.height)
        if block is None:
            raise UserError("this network has decided no block yet")
        return minimal_quorum(block.note, self.history.signing(self.height).powers())

    def validators(self) -> ValidatorSet:
        """Return the set that signs the next block: a change is in force two blocks later."""
        return self.history.signing(self.height + 1)

    # ahead of execution

    def decode(self, raw: bytes) -> Transaction | EncodingError:
        """Decode a transaction, or return why it cannot be."""
        try:
            return decode_transaction(raw, self.chain.context)
        except EncodingError as error:
            return error

    def meter_keys(self, mids: Iterable[bytes]) -> list[bytes]:
        """Return the key now in force of each meter, empty for none."""
        return [meter_key(self.read, mid) for mid in mids]

    # consensus

    def prepare(
        self, offered: Sequence[Transaction | EncodingError], time: int, proposer: bytes
    ) -> Execution:
        """Execute what is offered, leave out what is refused, and return the proposal."""
        run = self._run(offered, time)
        body = encode_body([transaction.raw for transaction in run.accepted])
        header = BlockHeader(
            self.chain.id,
            self.height + 1,
            time,
            self.last_hash,
            proposer,
            self.log.log.size,
            len(run.accepted),
            sha256_of(body),
        )
        return self._finish(header, body, run)

    def process(
        self, header: BlockHeader, body: bytes, transactions: Sequence[Transaction | EncodingError]
    ) -> Execution:
        """Validate a proposal: 1 its place, 2 its body, 3 every transaction; raises `ConsensusError`."""
        # 1
        place = (header.chain, header.height, header.previous, header.first)
        if (
            place != (self.chain.id, self.height + 1, self.last_hash, self.log.log.size)
            or header.time <= self.time
        ):
            raise ConsensusError("the proposal does not follow the last block")
        # 2
        if sha256_of(body) != header.body or header.count != len(transactions):
            raise ConsensusError("the proposal's header is not of its transactions")
        # 3
        run = self._run(transactions, header.time)
        refused = [receipt.error for receipt in run.receipts if receipt.error is not None]
        if refused:
            raise ConsensusError(f"the proposal holds a refused transaction: {refused[0]}")
        return self._finish(header, body, run)

    def _run(self, offered: Sequence[Transaction | EncodingError], time: int) -> _Run:
        if self._pending is not None:
            raise ConsensusError("another block is being decided")
        view = View(self.read)
        log = self.log.log.copy()
        ledger = Ledger(view, self.chain, self.checker.check, time, log.size, log.root)
        receipts: list[Receipt] = []
        accepted: list[Transaction] = []
        copies: list[AnyCopy] = []
        for transaction in offered:
            if isinstance(transaction, EncodingError):
                receipts.append(Receipt(b"", -1, transaction, ()))
                continue
            try:
                effects = apply_transaction(ledger, transaction)
            except Refused as error:
                receipts.append(Receipt(transaction.id, -1, error, ()))
                continue
            receipts.append(Receipt(transaction.id, log.size, None, tuple(effects)))
            accepted.append(transaction)
            if self.copying is not None:
                copies += self.copying(view.get, log.size, transaction)
            log.append(transaction.leaf)
            ledger.log_size = log.size
        return _Run(view, log, receipts, accepted, copies)

    def _finish(self, header: BlockHeader, body: bytes, run: _Run) -> Execution:
        encoded: list[tuple[int, bytes, bytes | None]] = []
        changes: list[tuple[bytes, bytes | None]] = []
        for (table, key), value in run.view.rows.items():
            stored = None if value is None else encode(value)
            encoded.append((int(table), key, stored))
            changes.append((row_key_hash(table, key), None if stored is None else sha256(stored).digest()))
        undo = self.tree.update(changes)
        log_root = run.log.root()
        state_root = self.tree.root
        checkpoint = Checkpoint(
            origin=self.genesis.origin(),
            size=run.log.size,
            log_root=log_root,
            app_hash=app_hash(log_root, run.log.size, state_root),
            state_root=state_root,
            height=header.height,
            time_ms=header.time,
            block_hash=sha256d(encode(header)),
        )
        ids: list[bytes] = [transaction.id for transaction in run.accepted]
        self._pending = Execution(
            header, body, run.receipts, run.view.rows, encoded, undo, ids, run.log, checkpoint, run.copies
        )
        return self._pending

    def abandon(self) -> None:
        """Take back a proposal that was not decided."""
        if self._pending is not None:
            self.tree.undo(self._pending.undo)
            self._pending = None

    def set_aside(self) -> Execution:
        """Take back a proposal that may yet be decided, and return it for `take_up`."""
        execution = self._pending
        if execution is None:
            raise ConsensusError("no block is being decided")
        execution.again = self.tree.undo(execution.undo)
        self._pending = None
        return execution

    def take_up(self, execution: Execution) -> None:
        """Have a proposal that was set aside be the one to finalize; the state is as it was then."""
        if self._pending is not None or execution.again is None:
            raise ConsensusError("another block is being decided")
        self.tree.undo(execution.again)
        execution.again = None
        self._pending = execution

    def trial(self, offered: Sequence[Transaction | EncodingError], time: int) -> list[Receipt]:
        """Tell what would become of transactions in the next block; nothing changes."""
        return self._run(offered, time).receipts

    def finalize(self, note: bytes) -> Commit:
        """Make the decided proposal the state in memory and return what has to be written.

        Reads see it at once; nothing may be acknowledged before `saved`.
        """
        execution = self._pending
        if execution is None:
            raise ConsensusError("no block is being decided")
        self._pending = None
        handovers = self._handovers(execution, note)
        self.height, self.time = execution.header.height, execution.header.time
        self.last_hash = execution.checkpoint.block_hash
        tiles, segments = self.log.advance(execution.log, execution.ids)
        cache = self._cache
        for row_key, value in execution.rows.items():
            if value is None:
                cache.pop(row_key, None)
            else:
                cache[row_key] = value
        with self._lock:
            self._unsaved.update(execution.rows)
        if len(cache) > CACHED_ROWS:
            for row_key in [key for key, _ in zip(cache, range(CACHED_ROWS // 4), strict=False)]:
                del cache[row_key]
        block = StoredBlock(execution.header, execution.body, note)
        return Commit(block, execution.encoded, tiles, segments, handovers)

    def _handovers(self, execution: Execution, note: bytes) -> list[tuple[int, bytes]]:
        """Return the handover that a block which changes the validator set leaves behind."""
        changed: ValidatorSet | None = execution.rows.get((Table.VALIDATORS, b""))
        if changed is None:
            return []
        height = execution.header.height
        if self._vouched:
            self.history.note_change(height, changed)
            return [(height, self.history.handover(changed, note, self.tree))]
        return [(height, self.history.change(height, changed, note, self.tree))]

    def signed_handover(self, note: bytes) -> list[tuple[int, bytes]]:
        """Return the handover of the last block under a quorum's note, where that block changed the set."""
        if self.history.changed_at() != self.height:
            return []
        minimal = minimal_quorum(note, self.history.signing(self.height + 1).powers())
        return [(self.height, self.history.handover(self.history.latest(), minimal, self.tree))]

    def saved(self, rows: dict[RowKey, Any], tiles: list[tuple[int, int, bytes]]) -> None:
        """Note that the rows and tiles of a finalised block are on disk."""
        self.log.saved(tiles)
        with self._lock:
            for row_key, value in rows.items():
                if self._unsaved.get(row_key, self) is value:
                    del self._unsaved[row_key]


def _committed_row(table: Table, stored: bytes) -> Any:
    """Return the struct of a row that has the committed hash: its encoding is our own, not tried again."""
    return convert(loads(stored, PACKAGE_LIMIT), ROW_TYPES[table])
