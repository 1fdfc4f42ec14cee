"""The port through which commands use a network: one process's own, or a running node's (paper II-A).

Only processing and consensus nodes reach the ledger; everyone else goes through one. `local_grid` is a
node in this process, `client` speaks to a running one; a command does not know which it has.

Left out: choosing between nodes of several operators.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, Self

from msgspec import Struct

from gridmonitoring.blockchain.evidence_bundle import EvidenceKind
from gridmonitoring.blockchain.genesis import Genesis
from gridmonitoring.blockchain.state_rows import PartyRow, Table, party_key
from gridmonitoring.encoding.bounds import Bytes32, ChainId, Millis, Unsigned
from gridmonitoring.errors import UserError
from gridmonitoring.runtime.clock import Clock
from gridmonitoring.runtime.consensus.application import Receipt
from gridmonitoring.runtime.directory import Directory
from gridmonitoring.runtime.key_files import read_keys
from gridmonitoring.runtime.monitoring import MonitorStatus
from gridmonitoring.runtime.network import Outcome
from gridmonitoring.runtime.parties import Signer
from gridmonitoring.runtime.storage.details import WrappedKey
from gridmonitoring.runtime.storage.truth import StoredBlock
from gridmonitoring.runtime.views.contract_database import Query, Recorded

PAGE = 500
"""Most rows of one answer."""


class ValidatorStatus(Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """How a validator stands."""

    name: str
    """Its name."""
    height: Unsigned
    """Consensus block it is at."""
    halted: str
    """Why it stopped voting, or empty."""


class Status(Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """How a network stands."""

    height: Unsigned
    """Height of the last consensus block."""
    time: Millis
    """Its time, ms."""
    log_size: Unsigned
    """Transactions in the log."""
    app_hash: Bytes32
    """Hash of log and state."""
    meters: Unsigned
    """Supply points that were registered."""
    simulated: bool
    """Whether replayed readings move the time."""
    process: Unsigned
    """Process ID of whoever owns the directory."""
    validators: tuple[ValidatorStatus, ...]
    """Every validator, by name."""


class Grid(Protocol):
    """A network at work; every call may raise `StorageError`, `ConsensusError` or `ServiceError`."""

    directory: Directory
    """Where it is; key files are read from here."""
    document: bytes
    """The genesis document."""
    genesis: Genesis
    """The same, decoded."""
    chain_id: ChainId
    """Chain ID."""
    clock: Clock
    """The time to sign with: the machine's, or the network's simulated one."""

    def close(self) -> None:
        """Give the network up."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    # reading: nothing is shown that is not on disk

    def row(self, table: Table, key: bytes) -> Any:
        """Return the committed struct of a row, or None."""
        ...

    def rows(
        self, table: Table, prefix: bytes = b"", after: bytes = b"", limit: int = PAGE
    ) -> list[tuple[bytes, Any]]:
        """Return up to `limit` (at most `PAGE`) rows whose key has a prefix, past a key, in order."""
        ...

    def transaction(self, index: int) -> bytes:
        """Return the transaction at a log index; raises `UserError` where the log ends before."""
        ...

    def find(self, identifier: bytes) -> int | None:
        """Return the log index of a transaction ID, or None."""
        ...

    def block(self, height: int) -> StoredBlock | None:
        """Return a consensus block, or None."""
        ...

    def note(self) -> bytes:
        """Return the last signed checkpoint; raises `UserError` before the first block."""
        ...

    def consistency(self, size1: int, size2: int) -> tuple[bytes, ...]:
        """Return the proof that the log of `size2` extends that of `size1`; raises `UserError`."""
        ...

    def status(self) -> Status:
        """Return how the network stands."""
        ...

    def details_of(self, mid: bytes, after: int = -1, limit: int = PAGE) -> list[tuple[int, int, bytes]]:
        """Return (log index, time, ciphertext) of a meter's details past a log index, in order."""
        ...

    def wrapped(self, mid: bytes, reader: bytes) -> list[tuple[int, int, bytes]]:
        """Return (meter epoch, day, box) of the days' keys that were wrapped for an HPKE key, in order."""
        ...

    def challenge(self) -> bytes:
        """Return a challenge to log on with, good once and for a minute."""
        ...

    def answer(self, log_on: bytes, mid: bytes, number: int) -> bytes:
        """Return the sealed answer to a request of who logs on; raises `AccessDenied`.

        The answer's tags are on the ledger before it leaves.
        """
        ...

    def failures(self, log_on: bytes) -> bytes:
        """Return failed signatures and openings of every node, sealed to the auditor who logs on.

        Raises `AccessDenied` for anybody else.
        """
        ...

    def commands(self, mid: bytes) -> Sequence[bytes]:
        """Return sealed commands that a meter has not acknowledged, and its last statement if new."""
        ...

    def evidence(self, kind: EvidenceKind, mid: bytes, number: int | None = None) -> bytes:
        """Return a verified bundle about a meter, as `evidence_requests.make_evidence` does."""
        ...

    def recorded(self, query: Query) -> list[Recorded]:
        """Return what the contract database has of messages, violations and receipts, the newest first."""
        ...

    def rebuild_views(self) -> list[tuple[str, int]]:
        """Drop every view and make it anew from the truth; return (name, entries) of each."""
        ...

    # signing

    def signer(self, name: str) -> Signer:
        """Return the signer of a key file of the directory, numbering on; raises `UserError`."""
        ...

    # writing: what is returned is on every voting validator's disk

    def submit(self, raws: Sequence[bytes]) -> list[Receipt]:
        """Have transactions decided; one receipt each."""
        ...

    def require(self, raw: bytes) -> Receipt:
        """Have one transaction decided; raises its refusal."""
        ...

    def deliver(self, wires: Sequence[bytes]) -> list[Outcome]:
        """Hand sealed reports over; one outcome each."""
        ...

    def send(self, wires: Sequence[bytes]) -> Sequence[Outcome]:
        """Hand sealed reports over, as `meter_port.GridPort` has it: this is one."""
        ...

    def wrap(self, keys: Sequence[WrappedKey]) -> None:
        """Keep period keys wrapped for their readers, durably, at every node."""
        ...

    def accuse(self, mid: bytes, delivery: bytes) -> Outcome:
        """Have a node name another that signed a delivery whose proof does not hold."""
        ...

    def process(self, request: bytes, confirmation: bytes) -> Receipt:
        """Have a node make the form of a paid request (IV-C); the same request gets the first receipt.

        Raises `Refused`, or `UserError` where the meter is unknown or nothing can be dispatched.
        """
        ...

    def link(self, mid: bytes, device: bytes) -> Receipt:
        """Have a node add the area code and link a device to a supply point (IV-A); raises `Refused`."""
        ...

    def heal(self, name: str) -> list[str]:
        """Repair a validator from the others and have it vote again; return what was done.

        Raises `StorageError` where it cannot be healed, `UserError` for an unknown name.
        """
        ...

    def monitor(self) -> MonitorStatus:
        """Return how far the monitor of the nodes' files is."""
        ...

    def watch(self) -> MonitorStatus:
        """Have the monitor make a whole pass now, attend to what it finds, and return how it stands."""
        ...

    def move_clock(self, now_ms: int) -> int:
        """Move simulated time forward and return it; raises `UserError` where time is the machine's."""
        ...


def load_signer(grid: Grid, path: Path) -> Signer:
    """Return the signer of a key file anywhere, numbering on from the ledger; raises `UserError`."""
    role, party, keys = read_keys(path)
    if role is None:
        raise UserError(f"{path} is not the key file of a party")
    signer = Signer(path.stem, role, keys, grid.chain_id, party)
    row: PartyRow | None = grid.row(Table.PARTY, party_key(role, party))
    if row is not None:
        signer.resume_after(row.nonce)
    return signer
