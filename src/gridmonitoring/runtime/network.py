"""An embedded network at work: one directory, its validators and nodes, what comes in and goes out.

Every write is a signed transaction that the validators decide; a call returns when it is on every
voting validator's disk. After each block the nodes do their duties (`runtime.duties`): complete
parent blocks are locked, contract messages are appended in side blocks.

Left out: serving other processes (`runtime.service`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Self

from gridmonitoring.blockchain.genesis import Genesis, decode_genesis
from gridmonitoring.blockchain.genesis import chain_id as chain_id_of
from gridmonitoring.blockchain.ledger import make_chain
from gridmonitoring.blockchain.state_rows import PartyRow, Table, party_key
from gridmonitoring.blockchain.transactions import Transaction
from gridmonitoring.encoding.bounds import Role
from gridmonitoring.errors import GridMonitoringError, StorageError, UserError
from gridmonitoring.runtime.clock import Clock, SystemClock
from gridmonitoring.runtime.consensus.application import Application, Receipt
from gridmonitoring.runtime.consensus.embedded import Decision, EmbeddedEngine
from gridmonitoring.runtime.consensus.validator import EmbeddedValidator
from gridmonitoring.runtime.directory import Directory
from gridmonitoring.runtime.duties import Duties
from gridmonitoring.runtime.ingest import Ingest, Opened
from gridmonitoring.runtime.key_files import read_keys
from gridmonitoring.runtime.memory import settle_memory
from gridmonitoring.runtime.parties import Signer
from gridmonitoring.runtime.signature_checker import Ahead, SignatureChecker, VerifierPool
from gridmonitoring.runtime.storage.details import Detail, DetailStore
from gridmonitoring.runtime.storage.truth import Truth

Outcome = int | GridMonitoringError | None
"""Log index of an accepted transaction, why it was refused, or None for a channel offer that was taken."""


class Network:
    """The owner of a data directory."""

    def __init__(
        self, directory: Directory, clock: Clock | None = None, pool: VerifierPool | None = None
    ) -> None:
        """Open a directory and own it; raises `UserError`, `DirectoryBusy` or `StorageError`."""
        directory.require()
        directory.acquire()
        self.directory = directory
        self.clock: Clock = clock or SystemClock()
        self.document = directory.genesis.read_bytes()
        self.genesis: Genesis = decode_genesis(self.document)
        self.chain_id = chain_id_of(self.document)
        self._pool = pool
        _, _, contract = read_keys(directory.key_file("contract"))
        self.details: dict[str, DetailStore] = {}
        self.ingests: dict[str, Ingest] = {}
        validators = [
            self._open_validator(v.name, v.node, contract.hpke_secret) for v in self.genesis.validators
        ]
        self.engine = EmbeddedEngine(validators)
        self.nodes = {v.node: self.signer(v.name) for v in validators}
        """Party ID -> signer of each node that this operator runs."""
        self.duties = Duties(self)
        settle_memory()

    def _open_validator(self, name: str, node: bytes, contract_secret: bytes) -> EmbeddedValidator:
        folder = self.directory.node(name)
        truth = Truth(folder / "truth.db")
        if truth.genesis() != self.document:
            raise StorageError(f"{name}: the file is of another chain than {self.directory.genesis.name}")
        application = Application(
            truth, make_chain(self.chain_id, self.genesis), self.genesis, SignatureChecker(self._pool)
        )
        self.details[name] = DetailStore(folder / "details.db")
        self.ingests[name] = Ingest(application, self.details[name], contract_secret)
        _, _, votes = read_keys(self.directory.key_file(f"{name}.validator"))
        return EmbeddedValidator(application, name, node, votes.seed)

    def close(self) -> None:
        """Finish writes under way, close every file and give the directory up."""
        self.engine.close()
        for validator in self.engine.validators:
            validator.application.truth.close()
        for details in self.details.values():
            details.close()
        self.directory.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # reading

    @property
    def application(self) -> Application:
        """The application of the first validator that is voting."""
        return self.engine.voting()[0].application

    def row(self, table: Table, key: bytes) -> Any:
        """Return the committed struct of a row, or None."""
        return self.application.read((table, key))

    def signer(self, name: str) -> Signer:
        """Return the signer of a key file of this directory, numbering on from the ledger."""
        role, party, keys = read_keys(self.directory.key_file(name))
        if role is None:
            raise UserError(f"{name} is not the key file of a party")
        signer = Signer(name, role, keys, self.chain_id, party)
        row: PartyRow | None = self.engine.validators[0].application.read(
            (Table.PARTY, party_key(role, party))
        )
        if row is not None:
            signer.resume_after(row.nonce)
        return signer

    def roles(self, role: Role) -> list[str]:
        """Return the names of the founding parties of a role."""
        return [party.name for party in self.genesis.parties if party.role == role]

    # writing

    def submit(self, raws: Sequence[bytes]) -> list[Receipt]:
        """Decide transactions, wait until they are on disk, do the duties; one receipt each."""
        decision = self.engine.decide(raws, self.clock.now_ms())
        decision.durable.result()
        self.duties.after(decision)
        return decision.receipts

    def require(self, raw: bytes) -> Receipt:
        """Decide one transaction; raises its refusal."""
        (receipt,) = self.submit([raw])
        if receipt.error is not None:
            raise receipt.error
        return receipt

    def deliver(self, wires: Sequence[bytes]) -> list[Outcome]:
        """Open and decide sealed reports, wait until they are on disk, do the duties; one outcome each."""
        opened, _ = self.open(wires)
        decision = self.decide_opened(opened)
        decision.durable.result()
        self.duties.after(decision)
        return outcomes(opened[self.engine.voting()[0].name], decision)

    def open(self, wires: Sequence[bytes]) -> tuple[dict[str, Opened], list[Ahead]]:
        """Open sealed reports at every voting node and start checking their signatures."""
        opened: dict[str, Opened] = {}
        ahead: list[Ahead] = []
        for validator in self.engine.voting():
            opened[validator.name] = self.ingests[validator.name].open(wires)
            ahead.append(validator.application.check_ahead(opened[validator.name].transactions))
        return opened, ahead

    def decide_opened(self, opened: Mapping[str, Opened]) -> Decision:
        """Decide reports that every node has opened; the decision's `durable` tells when they are safe."""
        decoded = {name: one.transactions for name, one in opened.items()}
        beside = partial(self._write_details, opened)
        return self.engine.decide_decoded(decoded, self.clock.now_ms(), beside)

    def _write_details(self, opened: Mapping[str, Opened], name: str, receipts: Sequence[Receipt]) -> None:
        one = opened[name]
        details: list[Detail] = []
        for transaction, detail, receipt in zip(one.transactions, one.details, receipts, strict=True):
            if receipt.error is None and isinstance(transaction, Transaction):
                details.append((receipt.index, transaction.payload.signer, transaction.payload.time, detail))
        self.details[name].write(details, one.offers)

    def tick(self) -> Decision:
        """Decide an empty block: it keeps block time fresh and changes no app_hash."""
        decision = self.engine.decide([], self.clock.now_ms())
        decision.durable.result()
        return decision


def outcomes(opened: Opened, decision: Decision) -> list[Outcome]:
    """Return one outcome per wire message."""
    found: list[Outcome] = []
    for slot in opened.slots:
        if not isinstance(slot, int):
            found.append(slot)
            continue
        receipt = decision.receipts[slot]
        found.append(receipt.index if receipt.error is None else receipt.error)
    return found
