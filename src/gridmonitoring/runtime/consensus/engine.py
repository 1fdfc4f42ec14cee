"""What every engine is to its network: validators of this process, and a way to have transactions decided.

`embedded` decides among the validators of one process; `cometbft` hands transactions to CometBFT.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from threading import Condition

from msgspec import Struct

from gridmonitoring.blockchain.state import RowKey
from gridmonitoring.blockchain.transactions import Transaction
from gridmonitoring.errors import ConsensusError, EncodingError
from gridmonitoring.runtime.consensus.application import Receipt
from gridmonitoring.runtime.consensus.refused import RefusedProposal
from gridmonitoring.runtime.consensus.saving import Beside, KeepCopies
from gridmonitoring.runtime.consensus.validator import EmbeddedValidator
from gridmonitoring.runtime.storage.details import DetailStore

Decoded = Sequence[Transaction | EncodingError]
"""Transactions as one validator decoded them."""


class Vote(Struct, frozen=True):
    """One validator's answer to a proposal."""

    validator: str
    """Its name."""
    refusal: str
    """Why it refused, empty where it accepted."""


class Decision(Struct, frozen=True):
    """A block that was appended."""

    height: int
    """Its height."""
    proposer: str
    """Name of the validator that proposed it."""
    note: bytes
    """The checkpoint after it, signed."""
    receipts: list[Receipt]
    """One per transaction offered, in order."""
    votes: tuple[Vote, ...]
    """What each validator said."""
    changed: tuple[RowKey, ...]
    """Keys of the rows that it changed."""
    refused: tuple[RefusedProposal, ...]
    """Proposals of the same log that claimed another state, and were refused for it."""
    durable: Future[None]
    """Done once every validator that voted has it on disk; a few may fail and halt, if the others are a
    quorum, else it raises `StorageError`."""


class Engine(ABC):
    """What both engines share; one thread uses it at a time."""

    def __init__(self, validators: Sequence[EmbeddedValidator]) -> None:
        self.validators = list(validators)
        """Those of this process."""
        self.keep_copies: KeepCopies | None = None
        """Keeps the copies of each block before it is committed; None where there is no data center."""
        self.turn = Condition()
        """Held by whoever works on the applications where other threads do; given up while waiting."""

    @abstractmethod
    def start(self) -> None:
        """Begin, once the validators' files are open; the calling thread may hold the turn from here."""

    @abstractmethod
    def let_go(self) -> None:
        """Have the thread that opened the network no longer hold the turn."""

    @abstractmethod
    def level(self, details: Mapping[str, DetailStore]) -> None:
        """Bring validators that a crash or a halt left behind up to the one that is furthest."""

    @abstractmethod
    def close(self) -> None:
        """Finish what is under way and stop."""

    @abstractmethod
    def drain(self) -> None:
        """Wait until every write under way is done or failed."""

    def voting(self) -> list[EmbeddedValidator]:
        """Return the validators that have not stopped voting."""
        return [validator for validator in self.validators if validator.halted is None]

    def first(self) -> EmbeddedValidator:
        """Return the first validator that votes; raises `ConsensusError` where none does."""
        for validator in self.validators:
            if validator.halted is None:
                return validator
        reasons = "; ".join(f"{validator.name}: {validator.halted}" for validator in self.validators)
        raise ConsensusError(f"no validator is voting ({reasons})")

    def decide(self, raws: Sequence[bytes], time: int) -> Decision:
        """Decide one block on these transactions; refused ones are left out and answered.

        Every validator decodes and checks them itself. Raises `ConsensusError` without a quorum;
        no state changed then.
        """
        decoded = {v.name: [v.application.decode(raw) for raw in raws] for v in self.voting()}
        return self.decide_decoded(decoded, time)

    @abstractmethod
    def decide_decoded(
        self, decoded: Mapping[str, Decoded], time: int, beside: Beside | None = None
    ) -> Decision:
        """As `decide`, on transactions that each validator has decoded (and may have checked ahead).

        `beside` writes what belongs to the block outside the truth, before it is committed.
        """
