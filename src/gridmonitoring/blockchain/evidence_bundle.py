"""The evidence bundle: one canonical file that proves one thing (docs/spec/evidence.md).

Every byte of it is signed or recomputed, so it carries no checksum. Here are its shapes; what each
kind must hold is in `evidence_kinds`, the steps of verification are in `evidence`.

The paper asks that any entity can audit without trusting the others (III-A-2, V-B); the form is ours.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated

from msgspec import Meta, Struct

from gridmonitoring.blockchain.bodies import Registers
from gridmonitoring.blockchain.readings import SALT_SIZE
from gridmonitoring.blockchain.state_tree import RowProof
from gridmonitoring.encoding.bounds import Bytes32, Unsigned

EVIDENCE_LIMIT = 64 * 1024 * 1024
"""Largest bundle, bytes: a parent block with all reports of its life is the only large one."""
MAX_HANDOVERS = 1024
"""Most changes of the validator set in one bundle."""

Salt = Annotated[bytes, Meta(min_length=SALT_SIZE, max_length=SALT_SIZE)]
"""Salt of an interval claim's registers."""


class EvidenceKind(IntEnum):
    """What a bundle proves; closed, the number is part of the encoding."""

    READING = 1
    """A meter's report, and its registers where it settles or is opened."""
    PURCHASE = 2
    """A paid purchase: its form, signed by payer, vendor and node, and its lot or locked block."""
    BLOCK = 3
    """A locked parent block with every transaction of its life."""
    MESSAGE = 4
    """A side block: contract messages and violations."""
    COMMAND = 5
    """A command that a meter has not carried out yet."""
    STATEMENT = 6
    """The account of a meter with its last statement."""
    BILL = 7
    """A settlement with the statement it led to, priced by the agreed tariff."""
    ACCUSATION = 30
    """A node's own signature on what no quorum proves: what it told a meter, or the result of its block."""


class _Part(Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """Base of the parts of a bundle."""


class Handover(_Part, frozen=True):
    """A change of the validator set, vouched for by the set before it."""

    note: bytes
    """Signed note of a checkpoint, with a minimal quorum of the set known so far."""
    validators: bytes
    """Value of the VALIDATORS row under it: the next set."""
    bucket: bytes
    """Content of the row's bucket."""
    path: tuple[Bytes32, ...]
    """Siblings from the bucket up to the state root."""


class LoggedTransaction(_Part, frozen=True):
    """A transaction and its place in the log."""

    index: Unsigned
    """Log index."""
    raw: bytes
    """The COSE_Sign1, as logged."""
    proof: tuple[Bytes32, ...]
    """Inclusion proof under the checkpoint's log root, lowest sibling first."""


class EvidenceRow(_Part, frozen=True):
    """A row of the state under the checkpoint."""

    table: Unsigned
    """`state_rows.Table`."""
    key: bytes
    """Key of the row."""
    value: bytes
    """Encoded value."""
    bucket: bytes
    """Content of the row's bucket: key hash || value hash of each row in it, sorted."""
    path: tuple[Bytes32, ...]
    """Siblings from the bucket up to the state root."""

    def proof(self) -> RowProof:
        """Return the proof as the state tree takes it."""
        return RowProof(self.bucket, self.path)


class Opening(_Part, frozen=True):
    """What the salted hash in an interval claim opens to."""

    salt: Salt
    """Salt of the claim."""
    registers: Registers
    """(OBIS code, Wh), sorted by code."""


class Bundle(_Part, frozen=True, tag="evidence/1"):
    """A whole evidence bundle."""

    kind: EvidenceKind
    """What it proves."""
    genesis: Bytes32
    """sha256d of the genesis document: the chain ID."""
    history: Annotated[tuple[Handover, ...], Meta(max_length=MAX_HANDOVERS)]
    """Changes of the validator set that are needed to check the note, oldest first."""
    note: bytes
    """Signed note of the checkpoint that everything below is under, with a minimal quorum."""
    transactions: tuple[LoggedTransaction, ...]
    """In order of log index."""
    rows: tuple[EvidenceRow, ...]
    """In order of table, then key."""
    openings: Annotated[tuple[Opening, ...], Meta(max_length=1)]
    """READING of an interval claim: what its hash opens to, where that is shown."""
