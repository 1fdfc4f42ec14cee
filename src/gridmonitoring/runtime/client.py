"""A running node as a `grid_port.Grid`, over its Unix socket (paper II-A: all others go through the nodes).

Synchronous; one request at a time. Keys stay in this process: what it sends is signed or sealed already.
Commands that sign with the operator's key files take turns by a lock beside them, as nonces grow.

Left out: verifying what the node answers, which is `verification`'s and the evidence bundles'; whoever
may use this socket may read the files anyway.
"""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Lock
from typing import Any, Self

from gridmonitoring.blockchain.evidence_bundle import EvidenceKind
from gridmonitoring.blockchain.genesis import Genesis, decode_genesis
from gridmonitoring.blockchain.genesis import chain_id as chain_id_of
from gridmonitoring.blockchain.state_rows import Table
from gridmonitoring.encoding.cbor import PACKAGE_LIMIT, convert, decode, encode
from gridmonitoring.errors import DirectoryBusy, NodeUnavailable, UserError
from gridmonitoring.processing.rows import decode_row
from gridmonitoring.runtime.clock import Clock, SystemClock
from gridmonitoring.runtime.consensus.application import Receipt
from gridmonitoring.runtime.directory import Directory
from gridmonitoring.runtime.grid_port import PAGE, Grid, Status, load_signer
from gridmonitoring.runtime.local_grid import LocalGrid
from gridmonitoring.runtime.monitoring import MonitorStatus
from gridmonitoring.runtime.network import Outcome
from gridmonitoring.runtime.parties import Signer
from gridmonitoring.runtime.sockets import connected_socket
from gridmonitoring.runtime.storage.details import WrappedKey
from gridmonitoring.runtime.storage.truth import BlockHeader, StoredBlock
from gridmonitoring.runtime.views.contract_database import Query, Recorded
from gridmonitoring.runtime.wire import (
    ANSWER_LIMIT,
    LENGTH,
    MAX_ITEMS,
    REQUEST_LIMIT,
    decode_answer,
    encode_request,
    frame_size,
    outcome_from_wire,
    receipt_from_wire,
)

PATIENCE_S = 120.0
"""How long an answer may take, seconds."""
_ROOM = REQUEST_LIMIT - 1024
"""Bytes of items that fit into one request."""


class _NodeClock:
    """The simulated time of a running network."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def now_ms(self) -> int:
        """Return milliseconds since 1970 UTC."""
        return int(self._client.call("time"))


class Client:
    """One connection to the node that owns a directory."""

    def __init__(self, directory: Directory, connection: socket.socket) -> None:
        self.directory = directory
        self.document = directory.genesis.read_bytes()
        self.genesis: Genesis = decode_genesis(self.document)
        self.chain_id = chain_id_of(self.document)
        self._connection = connection
        self._number = 0
        self._one_at_a_time = Lock()
        self._offices: int | None = None
        self.clock: Clock = _NodeClock(self) if directory.simulated.exists() else SystemClock()

    def close(self) -> None:
        """Close the connection and let others sign."""
        self._connection.close()
        if self._offices is not None:
            os.close(self._offices)
            self._offices = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def call(self, method: str, *arguments: Any) -> Any:
        """Return the plain result of a method; raises what the node raised, or `NodeUnavailable`."""
        with self._one_at_a_time:
            self._number += 1
            request = encode_request(self._number, method, arguments)
            try:
                self._connection.sendall(request)
                size = frame_size(self._receive(LENGTH), ANSWER_LIMIT)
                return decode_answer(self._receive(size), self._number)
            except OSError as error:
                self._connection.close()
                what = (
                    "did not answer in time"
                    if isinstance(error, TimeoutError)
                    else "stopped before answering"
                )
                raise NodeUnavailable(
                    f"the node of {self.directory.root} {what}; whether `{method}` was done is not known"
                ) from error

    def _receive(self, size: int) -> bytes:
        content = bytearray()
        while len(content) < size:
            part = self._connection.recv(min(size - len(content), 1 << 20))
            if not part:
                raise ConnectionResetError("the node closed the connection")
            content += part
        return bytes(content)

    # reading

    def row(self, table: Table, key: bytes) -> Any:
        """Return the committed struct of a row, or None."""
        value = self.call("row", int(table), key)
        return None if value is None else decode_row(table, value)

    def rows(
        self, table: Table, prefix: bytes = b"", after: bytes = b"", limit: int = PAGE
    ) -> list[tuple[bytes, Any]]:
        """Return up to `limit` rows whose key has a prefix, past a key, in order."""
        found = self.call("rows", int(table), prefix, after, limit)
        return [(key, decode_row(table, value)) for key, value in convert(found, list[tuple[bytes, bytes]])]

    def transaction(self, index: int) -> bytes:
        """Return the transaction at a log index; raises `UserError` where the log ends before."""
        return convert(self.call("transaction", index), bytes)

    def find(self, identifier: bytes) -> int | None:
        """Return the log index of a transaction ID, or None."""
        found = self.call("find", identifier)
        return None if found is None else convert(found, int)

    def block(self, height: int) -> StoredBlock | None:
        """Return a consensus block, or None."""
        found = self.call("block", height)
        if found is None:
            return None
        header, body, note = convert(found, tuple[bytes, bytes, bytes])
        return StoredBlock(decode(header, BlockHeader), body, note)

    def note(self) -> bytes:
        """Return the last signed checkpoint; raises `UserError` before the first block."""
        return convert(self.call("note"), bytes)

    def consistency(self, size1: int, size2: int) -> tuple[bytes, ...]:
        """Return the proof that the log of `size2` extends that of `size1`; raises `UserError`."""
        return convert(self.call("consistency", size1, size2), tuple[bytes, ...])

    def status(self) -> Status:
        """Return how the network stands."""
        return convert(self.call("status"), Status)

    def details_of(self, mid: bytes, after: int = -1, limit: int = PAGE) -> list[tuple[int, int, bytes]]:
        """Return (log index, time, ciphertext) of a meter's details past a log index, in order."""
        return convert(self.call("details", mid, after, limit), list[tuple[int, int, bytes]])

    def wrapped(self, mid: bytes, reader: bytes) -> list[tuple[int, int, bytes]]:
        """Return (meter epoch, day, box) of the days' keys that were wrapped for an HPKE key, in order."""
        return convert(self.call("wrapped", mid, reader), list[tuple[int, int, bytes]])

    def challenge(self) -> bytes:
        """Return a challenge to log on with, good once and for a minute."""
        return convert(self.call("challenge"), bytes)

    def answer(self, log_on: bytes, mid: bytes, number: int) -> bytes:
        """Return the sealed answer to a request of who logs on; raises `AccessDenied`."""
        return convert(self.call("answer", log_on, mid, number), bytes)

    def failures(self, log_on: bytes) -> bytes:
        """Return failed signatures and openings of every node, sealed to the auditor who logs on."""
        return convert(self.call("failures", log_on), bytes)

    def commands(self, mid: bytes) -> Sequence[bytes]:
        """Return sealed commands that a meter has not acknowledged, and its last statement if new."""
        return convert(self.call("commands", mid), list[bytes])

    def evidence(self, kind: EvidenceKind, mid: bytes, number: int | None = None) -> bytes:
        """Return a bundle about a meter that the node has verified."""
        return convert(self.call("evidence", int(kind), mid, -1 if number is None else number), bytes)

    def recorded(self, query: Query) -> list[Recorded]:
        """Return what the contract database has, the newest first."""
        found = self.call("recorded", encode(query))
        return [decode(entry, Recorded, PACKAGE_LIMIT) for entry in convert(found, list[bytes])]

    def rebuild_views(self) -> list[tuple[str, int]]:
        """Drop every view and make it anew from the truth; return (name, entries) of each."""
        return convert(self.call("rebuild_views"), list[tuple[str, int]])

    # signing

    def signer(self, name: str) -> Signer:
        """Return the signer of a key file of the directory; from now on nobody else signs with them."""
        if self._offices is None:
            self._offices = os.open(self.directory.keys / "lock", os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(self._offices, fcntl.LOCK_EX)
        return load_signer(self, self.directory.key_file(name))

    # writing

    def submit(self, raws: Sequence[bytes]) -> list[Receipt]:
        """Have transactions decided; one receipt each."""
        answers = [answer for part in _parts(raws) for answer in self.call("submit", part)]
        return [receipt_from_wire(answer) for answer in answers]

    def require(self, raw: bytes) -> Receipt:
        """Have one transaction decided; raises its refusal."""
        (receipt,) = self.submit([raw])
        if receipt.error is not None:
            raise receipt.error
        return receipt

    def deliver(self, wires: Sequence[bytes]) -> list[Outcome]:
        """Hand sealed reports over; one outcome each."""
        answers = [answer for part in _parts(wires) for answer in self.call("deliver", part)]
        return [outcome_from_wire(answer) for answer in answers]

    def send(self, wires: Sequence[bytes]) -> Sequence[Outcome]:
        """Hand sealed reports over; one outcome each."""
        return self.deliver(wires)

    def wrap(self, keys: Sequence[WrappedKey]) -> None:
        """Keep period keys wrapped for their readers, durably, at every node."""
        self.call("wrap", [list(key) for key in keys])

    def accuse(self, mid: bytes, delivery: bytes) -> Outcome:
        """Have a node name another that signed a delivery whose proof does not hold."""
        return outcome_from_wire(self.call("accuse", mid, delivery))

    def process(self, request: bytes, confirmation: bytes) -> Receipt:
        """Have a node make the form of a paid request; the same request gets the first receipt."""
        return receipt_from_wire(self.call("process", request, confirmation))

    def link(self, mid: bytes, device: bytes) -> Receipt:
        """Have a node add the area code and link a device to a supply point; raises `Refused`."""
        return receipt_from_wire(self.call("link", mid, device))

    def heal(self, name: str) -> list[str]:
        """Repair a validator from the others and have it vote again; return what was done."""
        return convert(self.call("heal", name), list[str])

    def monitor(self) -> MonitorStatus:
        """Return how far the node's monitor is."""
        return convert(self.call("monitor"), MonitorStatus)

    def watch(self) -> MonitorStatus:
        """Have the node's monitor make a whole pass now; return how it stands."""
        return convert(self.call("watch"), MonitorStatus)

    def move_clock(self, now_ms: int) -> int:
        """Move simulated time forward and return it; raises `UserError` where time is the machine's."""
        return convert(self.call("move_clock", now_ms), int)


def _parts(items: Sequence[bytes]) -> Iterator[list[bytes]]:
    """Cut items into requests that the node takes."""
    part: list[bytes] = []
    size = 0
    for item in items:
        if part and (len(part) == MAX_ITEMS or size + len(item) + 5 > _ROOM):
            yield part
            part, size = [], 0
        part.append(item)
        size += len(item) + 5
    if part:
        yield part


def connect(directory: Directory) -> Client | None:
    """Return a connection to the node that serves a directory, or None where none does."""
    try:
        connection = connected_socket(directory.socket, PATIENCE_S)
    except OSError as error:
        reason = error.strerror or str(error)
        raise NodeUnavailable(f"cannot reach the node of {directory.root}: {reason}") from error
    return None if connection is None else Client(directory, connection)


def open_grid(root: Path) -> Grid:
    """Return the running node of a directory, or the directory itself where none runs.

    Raises `UserError` without a network, `DirectoryBusy` where another process has it and does not serve.
    """
    directory = Directory(root)
    directory.require()
    client = connect(directory)
    if client is not None:
        return client
    if directory.under_comet:
        raise UserError(f"the node of {root} is not running; start it with: gridmon node {root}")
    try:
        return LocalGrid(directory)
    except DirectoryBusy as busy:
        raise DirectoryBusy(f"{busy} that does not serve it (yet); try again when it has ended") from busy
