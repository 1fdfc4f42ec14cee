"""An embedded network at work: one directory, its validators and nodes, what comes in and goes out.

Every write is a signed transaction that the validators decide; a call returns when it is on every
voting validator's disk. After each block the nodes do their duties (`runtime.duties`): complete
parent blocks are locked, contract messages are appended in side blocks.

Left out: serving other processes (`runtime.service`).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Self

from gridmonitoring.blockchain.contract_keys import in_force
from gridmonitoring.blockchain.genesis import Genesis, decode_genesis
from gridmonitoring.blockchain.genesis import chain_id as chain_id_of
from gridmonitoring.blockchain.state_rows import ErasureRow, PartyRow, Table, party_key
from gridmonitoring.blockchain.transactions import Transaction
from gridmonitoring.data_center.copying import copies_of
from gridmonitoring.encoding.bounds import Role
from gridmonitoring.errors import ConsensusError, GridMonitoringError, StorageError, UserError
from gridmonitoring.runtime.clock import Clock, SystemClock
from gridmonitoring.runtime.columns.copier import Copier
from gridmonitoring.runtime.columns.paths import DataCenterPaths
from gridmonitoring.runtime.consensus.application import Application, Receipt
from gridmonitoring.runtime.consensus.cometbft.engine import CometEngine
from gridmonitoring.runtime.consensus.cometbft.home import Home
from gridmonitoring.runtime.consensus.embedded import EmbeddedEngine
from gridmonitoring.runtime.consensus.engine import Decision, Engine
from gridmonitoring.runtime.consensus.validator import EmbeddedValidator
from gridmonitoring.runtime.contract_keys import held_secrets
from gridmonitoring.runtime.directory import Directory
from gridmonitoring.runtime.duties import Duties
from gridmonitoring.runtime.ingest import Arriving, Ingest, Opened
from gridmonitoring.runtime.key_failures import KeyFailures
from gridmonitoring.runtime.key_files import read_keys
from gridmonitoring.runtime.memory import settle_memory
from gridmonitoring.runtime.online_healing import heal_validator
from gridmonitoring.runtime.opening import open_application, open_details
from gridmonitoring.runtime.parties import Signer
from gridmonitoring.runtime.signature_checker import VerifierPool
from gridmonitoring.runtime.storage.details import Detail, DetailStore

_LOG = logging.getLogger("gridmonitoring.node")

Outcome = int | GridMonitoringError | None
"""Log index of an accepted transaction, why it was refused, or None for a channel offer that was taken."""


class Network:
    """The owner of a data directory."""

    def __init__(
        self, directory: Directory, clock: Clock | None = None, pool: VerifierPool | None = None
    ) -> None:
        """Open a directory and own it; raises `UserError`, `DirectoryBusy` or `StorageError`.

        A validator whose files are not what was committed starts halted, with the reason; the others go on.
        """
        directory.require()
        directory.acquire()
        self.directory = directory
        self.clock: Clock = clock or SystemClock()
        self._pool = pool
        self.details: dict[str, DetailStore] = {}
        self.ingests: dict[str, Ingest] = {}
        self.engine: Engine = EmbeddedEngine([])
        self.copier: Copier | None = None
        """Keeps the data center's copies; None where this network has no data center."""
        self.key_failures = KeyFailures({}, b"", ())
        """What failed of the nodes' work with keys."""
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        self.document = self.directory.genesis.read_bytes()
        self.genesis: Genesis = decode_genesis(self.document)
        self.chain_id = chain_id_of(self.document)
        self._secrets = held_secrets(self.directory)
        homes = comet_homes(self.directory, self.genesis)
        names = homes or [validator.name for validator in self.genesis.validators]
        own = [self._validator(v.name, v.node) for v in self.genesis.validators if v.name in names]
        self._vouched = bool(homes)
        self.engine = CometEngine(own, homes) if homes else EmbeddedEngine(own)
        for validator in self.engine.validators:
            self.bring_up(validator)
        self.engine.level(self.details)
        self._open_copier()
        if not self.engine.voting():
            reasons = "; ".join(f"{v.name}: {v.halted}" for v in self.engine.validators)
            raise StorageError(f"no validator's files can be used ({reasons})")
        self._open_key_failures()
        self.nodes = {v.node: self.signer(v.name) for v in self.engine.validators}
        """Party ID -> signer of each node that this operator runs."""
        self.engine.start()
        self.duties = Duties(self)
        settle_memory()

    def _open_key_failures(self) -> None:
        """Open the nodes' secure databases; raises `UserError` where no key file has the key in force."""
        number, key = in_force(self.row, self.genesis, self.application.log.log.size)
        present = self._secrets.get(key.key)
        if present is None:
            raise UserError(f"no key file in {self.directory.keys} holds contract key {number}, in force")
        earlier = [secret for secret in self._secrets.values() if secret != present]
        folders = {v.name: self.directory.node(v.name) for v in self.genesis.validators}
        self.key_failures = KeyFailures(folders, self.chain_id, [present, *earlier])

    def go_over(self, number: int, key: bytes) -> None:
        """Go over to another contract key, which is in force; an operator without its secret is told."""
        try:
            self._secrets.update(held_secrets(self.directory))
        except UserError as error:
            _LOG.error("the contract keys: %s", error)
        present = self._secrets.get(key)
        if present is None:
            _LOG.error("no key file in %s holds contract key %d, in force", self.directory.keys, number)
        else:
            self.key_failures.seal_to(present)

    def _open_copier(self) -> None:
        """Have copies go to the data center, where this network has one."""
        paths = DataCenterPaths(self.directory)
        if paths.enabled:
            height = max(validator.height for validator in self.engine.validators)
            self.copier = Copier(paths, self.chain_id, height)
            self.engine.keep_copies = self.copier.keep
            for validator in self.engine.voting():
                validator.application.copying = copies_of

    def _validator(self, name: str, node: bytes) -> EmbeddedValidator:
        _, _, votes = read_keys(self.directory.key_file(f"{name}.validator"))
        return EmbeddedValidator(None, name, node, votes.seed, "not open yet")

    def bring_up(self, validator: EmbeddedValidator) -> None:
        """Open a validator's files; where they are not what was committed it stays halted and says why."""
        folder = self.directory.node(validator.name)
        try:
            application = open_application(
                folder, self.document, self.genesis, self._pool, vouched=self._vouched
            )
        except StorageError as error:
            validator.take_down(str(error))
            return
        try:
            self.details[validator.name] = open_details(folder, application.log.log.size)
        except StorageError as error:
            application.truth.close()
            validator.take_down(str(error))
            return
        self.ingests[validator.name] = Ingest(
            application, self.details[validator.name], self._secrets, self._pool
        )
        application.copying = copies_of if self.copier else None
        validator.resume(application)

    def take_down(self, validator: EmbeddedValidator, reason: str) -> None:
        """Have a validator stop voting and close its files, so that they can be replaced."""
        self.engine.drain()
        validator.take_down(reason)
        self.ingests.pop(validator.name, None)
        if details := self.details.pop(validator.name, None):
            details.close()

    def heal(self, name: str) -> list[str]:
        """Repair a halted validator from the others and have it vote again; return what was done.

        Raises `StorageError` where it cannot be healed, `UserError` for an unknown name.
        """
        return heal_validator(self, name)

    def close(self) -> None:
        """Finish writes under way, close every file and give the directory up."""
        self.engine.close()
        if self.copier is not None:
            self.copier.close()
        for validator in self.engine.validators:
            validator.take_down("the network is closed")
        for details in self.details.values():
            details.close()
        self.details.clear()
        self.key_failures.close()
        self.directory.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # reading

    @property
    def application(self) -> Application:
        """The application of the first validator that is voting; raises `ConsensusError` where none is."""
        return self.engine.first().application

    def row(self, table: Table, key: bytes) -> Any:
        """Return the committed struct of a row, or None; raises `ConsensusError` where no validator votes.

        A validator that finds another row in its file stops voting, and the next one is asked.
        """
        while True:
            validator = self.engine.first()
            try:
                return validator.application.read((table, key))
            except StorageError as error:
                validator.halt(error)

    def signer(self, name: str) -> Signer:
        """Return the signer of a key file of this directory, numbering on from the ledger."""
        role, party, keys = read_keys(self.directory.key_file(name))
        if role is None:
            raise UserError(f"{name} is not the key file of a party")
        signer = Signer(name, role, keys, self.chain_id, party)
        row: PartyRow | None = self.row(Table.PARTY, party_key(role, party))
        if row is not None:
            signer.resume_after(row.nonce)
        return signer

    def node_for(self, mid: bytes) -> Signer:
        """Return one of the nodes that vote, another for another meter, so that work spreads."""
        voting = self.engine.voting()
        return self.nodes[voting[int.from_bytes(mid[:4], "big") % len(voting)].node]

    def roles(self, role: Role) -> list[str]:
        """Return the names of the founding parties of a role."""
        return [party.name for party in self.genesis.parties if party.role == role]

    # writing

    def submit(self, raws: Sequence[bytes]) -> list[Receipt]:
        """Decide transactions, wait until they are on disk, do the duties; one receipt each."""
        decision = self.decide(raws)
        decision.durable.result()
        self.duties.after(decision)
        return decision.receipts

    def decide(self, raws: Sequence[bytes]) -> Decision:
        """Decide transactions, and note which were refused for their signature."""
        decision = self.engine.decide(raws, self.clock.now_ms())
        self.key_failures.decided(decision.proposer, raws, decision.receipts, self.clock.now_ms())
        return decision

    def require(self, raw: bytes) -> Receipt:
        """Decide one transaction; raises its refusal."""
        (receipt,) = self.submit([raw])
        if receipt.error is not None:
            raise receipt.error
        return receipt

    def deliver(self, wires: Sequence[bytes]) -> list[Outcome]:
        """Open and decide sealed reports, wait until they are on disk, do the duties; one outcome each."""
        opened = self.open(wires)
        decision = self.decide_opened(opened)
        decision.durable.result()
        self.duties.after(decision)
        return outcomes(opened[decision.proposer], decision)

    def open(self, wires: Sequence[bytes]) -> dict[str, Opened]:
        """Open sealed reports at every voting node."""
        opened = self.finish_opening(self.begin_opening(wires))
        for name, one in opened.items():
            self.key_failures.opened(name, wires, one, self.clock.now_ms())
        return opened

    def begin_opening(self, wires: Sequence[bytes]) -> dict[str, Arriving]:
        """Begin opening sealed reports at every voting node; their workers go on by themselves."""
        arriving: dict[str, Arriving] = {}
        for validator in self.engine.voting():
            try:
                arriving[validator.name] = self.ingests[validator.name].begin(wires)
            except StorageError as error:
                validator.halt(error)
        return arriving

    def finish_opening(self, arriving: Mapping[str, Arriving]) -> dict[str, Opened]:
        """Return the reports as every node that still votes opened them."""
        opened: dict[str, Opened] = {}
        for validator in self.engine.voting():
            if validator.name in arriving:
                opened[validator.name] = self.ingests[validator.name].finish(arriving[validator.name])
        return opened

    def decide_opened(self, opened: Mapping[str, Opened]) -> Decision:
        """Decide reports that every node has opened; the decision's `durable` tells when they are safe.

        Raises `ConsensusError` where there is no quorum: channels offered with them are to be offered again.
        """
        decoded = {name: one.transactions for name, one in opened.items()}
        beside = partial(self._write_details, opened)
        try:
            decision = self.engine.decide_decoded(decoded, self.clock.now_ms(), beside)
        except ConsensusError:
            for name, one in opened.items():
                self.ingests[name].forget(one)
            raise
        self._note_refused(opened[decision.proposer], decision)
        return decision

    def _note_refused(self, opened: Opened, decision: Decision) -> None:
        """Note which reports were refused for their signature."""
        pairs = [
            (transaction.raw, receipt)
            for transaction, receipt in zip(opened.transactions, decision.receipts, strict=True)
            if receipt.error is not None and isinstance(transaction, Transaction)
        ]
        raws, receipts = [raw for raw, _ in pairs], [receipt for _, receipt in pairs]
        self.key_failures.decided(decision.proposer, raws, receipts, self.clock.now_ms())

    def _write_details(self, opened: Mapping[str, Opened], name: str, receipts: Sequence[Receipt]) -> None:
        one = opened.get(name)
        if one is None:
            return
        accepted = {receipt.id: receipt.index for receipt in receipts if receipt.error is None}
        details: list[Detail] = []
        for transaction, detail in zip(one.transactions, one.details, strict=True):
            if isinstance(transaction, Transaction) and transaction.id in accepted:
                payload = transaction.payload
                details.append((accepted[transaction.id], payload.signer, payload.time, detail))
        self.details[name].write(details, one.offers)

    def erase(self, key: bytes) -> None:
        """Erase at every node what an owner wants erased, by the key of its row; who cannot stands still."""
        row: ErasureRow = self.row(Table.ERASURE, key)
        for validator in self.engine.voting():
            try:
                self.details[validator.name].erase(key[:16], row.first, row.last, row.index)
            except StorageError as error:
                validator.halt(error)

    def scrub(self) -> None:
        """Erase for good what could not be while another process read the files."""
        for validator in self.engine.voting():
            try:
                self.details[validator.name].scrub()
            except StorageError as error:
                validator.halt(error)

    def tick(self) -> Decision:
        """Decide an empty block: it keeps block time fresh and changes no app_hash."""
        decision = self.engine.decide([], self.clock.now_ms())
        decision.durable.result()
        self.scrub()
        return decision


def comet_homes(directory: Directory, genesis: Genesis) -> dict[str, Home]:
    """Return the CometBFT folders of a directory, by validator; none under the embedded engine."""
    homes = {validator.name: Home(directory.comet(validator.name)) for validator in genesis.validators}
    return {name: home for name, home in homes.items() if home.exists}


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
