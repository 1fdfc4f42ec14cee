"""Checking signatures once, in parallel, and remembering them (docs/adr: signature checking).

A verified signature is remembered by key, signed bytes and signature, as they are, in one bounded
cache per validator; never by transaction ID, which leaves the signature out. Unseen signatures of a
batch are checked ahead by worker processes: libsodium releases the interpreter's lock, but the
hand-over of that lock to a busy main thread costs more than the check itself.
"""

from __future__ import annotations

import fcntl
import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from typing import TypeVar

from gridmonitoring.blockchain.state import ReadRow
from gridmonitoring.blockchain.state_rows import DeviceRow, MeterRow, PartyRow, Table, device_key, party_key
from gridmonitoring.blockchain.transactions import Transaction
from gridmonitoring.encoding.bounds import Role
from gridmonitoring.errors import BadSignature
from gridmonitoring.keys.signatures import verify_signature
from gridmonitoring.runtime.memory import settle_memory

T = TypeVar("T")

Unchecked = tuple[bytes, bytes, bytes]
"""(public key, signed bytes, signature)."""

REMEMBERED = 32_768
"""Signatures that a validator remembers: more than the blocks that can be on their way hold."""
CHUNK = 256
"""Signatures per task of a worker."""
PIPE_BYTES = 1024 * 1024
"""What a pipe to or from the workers should hold: the most that Linux gives by default."""
WORTH_A_WORKER = 64
"""Smaller batches are checked where they are needed."""


def check_chunk(chunk: Sequence[Unchecked]) -> bytes:
    """Return one byte per signature, 1 where it verifies; runs in a worker."""
    results = bytearray()
    for key, message, signature in chunk:
        try:
            verify_signature(key, message, signature)
            results.append(1)
        except BadSignature:
            results.append(0)
    return bytes(results)


def _give_way() -> None:
    """Let the process that executes blocks go first: it is the one thing that cannot be spread out."""
    os.nice(10)
    settle_memory()


def _widen(executor: ProcessPoolExecutor) -> None:
    """Make its pipes hold whole tasks and results.

    A result that fills the pipe has its worker wait until the busy main thread gives the interpreter's lock
    to the reader, once for every 64 KiB. Where a system has no such call, that is how it stays.
    """
    if not hasattr(fcntl, "F_SETPIPE_SZ"):
        return
    for queue in ("_call_queue", "_result_queue"):
        writer = getattr(getattr(executor, queue, None), "_writer", None)
        if writer is not None:
            with suppress(OSError):  # more than this user may have in pipes
                fcntl.fcntl(writer.fileno(), fcntl.F_SETPIPE_SZ, PIPE_BYTES)


class VerifierPool:
    """Worker processes that check signatures for all validators of this process; started on first use."""

    def __init__(self, workers: int | None = None) -> None:
        self._workers = workers or min(os.cpu_count() or 1, 8)
        self._executor: ProcessPoolExecutor | None = None

    def submit(self, chunk: Sequence[Unchecked]) -> Future[bytes]:
        """Check a chunk in a worker."""
        return self.run(check_chunk, chunk)

    def run(self, work: Callable[[T], bytes], task: T) -> Future[bytes]:
        """Have a function of a module do a task in a worker."""
        if self._executor is None:
            self._executor = self._started()
        try:
            return self._executor.submit(work, task)
        except BrokenProcessPool:  # a worker died; whoever waits for its tasks does them
            self._executor = self._started()
            return self._executor.submit(work, task)

    def _started(self) -> ProcessPoolExecutor:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["gridmonitoring.runtime.report_opening"])
        executor = ProcessPoolExecutor(self._workers, mp_context=context, initializer=_give_way)
        _widen(executor)
        return executor

    def close(self) -> None:
        """Stop the workers."""
        if self._executor is not None:
            self._executor.shutdown(cancel_futures=True)
            self._executor = None


class SignatureChecker:
    """One validator's memory of the signatures it verified itself."""

    def __init__(self, pool: VerifierPool | None = None, capacity: int = REMEMBERED) -> None:
        self._pool = pool
        self._capacity = capacity
        self._known: dict[Unchecked, None] = {}
        self.checked = 0
        """Signatures verified so far, by this validator."""

    def check(self, key: bytes, message: bytes, signature: bytes) -> None:
        """Verify a signature, or remember having done so; raises `BadSignature`."""
        checked = (key, message, signature)
        if checked in self._known:
            return
        verify_signature(key, message, signature)
        self.remember(checked)

    def begin(self, batch: Sequence[Unchecked]) -> Ahead:
        """Start checking a batch ahead of its execution."""
        return Ahead(self, self._pool, batch)

    def remember_checked(self, batch: Sequence[Unchecked], verdicts: bytes) -> None:
        """Remember those of a batch that a worker found good."""
        for checked, good in zip(batch, verdicts, strict=True):
            if good:
                self.remember(checked)

    def remember(self, checked: Unchecked) -> None:
        """Remember a signature that was verified for this validator."""
        self.checked += 1
        known = self._known
        known[checked] = None
        if len(known) > self._capacity:
            for old in [key for key, _ in zip(known, range(self._capacity // 4), strict=False)]:
                del known[old]


class Ahead:
    """A batch of signatures that is being checked."""

    def __init__(
        self, checker: SignatureChecker, pool: VerifierPool | None, batch: Sequence[Unchecked]
    ) -> None:
        self._checker = checker
        self._tasks: list[tuple[Sequence[Unchecked], Future[bytes]]] = []
        if pool is not None and len(batch) >= WORTH_A_WORKER:
            chunks = [batch[start : start + CHUNK] for start in range(0, len(batch), CHUNK)]
            self._tasks = [(chunk, pool.submit(chunk)) for chunk in chunks]

    def wait(self) -> None:
        """Wait until the batch is checked; what failed or was lost is checked when it is needed."""
        for chunk, task in self._tasks:
            try:
                self._checker.remember_checked(chunk, task.result())
            except BrokenProcessPool:
                continue
        self._tasks = []


def signing_key(read: ReadRow, transaction: Transaction) -> bytes:
    """Return the key that should have signed a transaction by the rows of `read`, empty for none."""
    payload = transaction.payload
    if payload.role == Role.METER:
        return meter_key(read, payload.signer)
    party: PartyRow | None = read((Table.PARTY, party_key(payload.role, payload.signer)))
    return party.sign_key if party else b""


def meter_key(read: ReadRow, mid: bytes) -> bytes:
    """Return the key in force of a meter's device in service by the rows of `read`, empty for none."""
    meter: MeterRow | None = read((Table.METER, mid))
    if meter is None:
        return b""
    device: DeviceRow | None = read((Table.DEVICE, device_key(mid, meter.epoch)))
    return device.sign_key if device else b""
