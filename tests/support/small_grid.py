"""The real grid in one object, for tests of meters: state transition, state tree, log and signed notes.

No consensus, no disk: a transaction is applied as it comes, by `processing.apply_transaction` on a real view,
and what it leaves is proved as a node proves it. It is the port (`runtime.meter_port.GridPort`) of agents.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from gridmonitoring.blockchain.bodies import Kind, Report
from gridmonitoring.blockchain.contract_keys import ended, require_not_ended
from gridmonitoring.blockchain.evidence_builders import build_bill, build_command, build_statement
from gridmonitoring.blockchain.evidence_bundle import EvidenceKind
from gridmonitoring.blockchain.ledger import Ledger, make_chain
from gridmonitoring.blockchain.state import View
from gridmonitoring.blockchain.state_rows import (
    DeviceRow,
    EntryKind,
    MessageRow,
    MeterRow,
    Table,
    device_key,
    height_key,
)
from gridmonitoring.blockchain.transactions import Transaction, decode_transaction
from gridmonitoring.contracts.messages import Message
from gridmonitoring.contracts.violations import Violation
from gridmonitoring.encoding.bounds import Role
from gridmonitoring.encoding.cbor import encode
from gridmonitoring.energy_center.credit import Account
from gridmonitoring.errors import CannotOpen, EncodingError, GridMonitoringError, Refused
from gridmonitoring.keys.channels import Channel, channel_id, open_offer, open_sealed, read_offer, read_sealed
from gridmonitoring.keys.sealed_commands import DELIVERY_DOMAIN, Delivery
from gridmonitoring.keys.signatures import sign, signing_context, verify_signature
from gridmonitoring.processing.state_transition import apply_transaction, genesis_rows
from gridmonitoring.processing.threads import meter_of, order
from gridmonitoring.runtime.accusing import delivery_bodies
from gridmonitoring.runtime.meter_port import Outcome, seal_command
from gridmonitoring.runtime.storage.details import WrappedKey
from tests.support.mini_chain import START, MiniChain, founding_party, seed, small_genesis

OFFER_HEAD = b"\x87\x69channel/1"
FUTURE = START + 10 * 365 * 86_400_000


class SmallGrid(MiniChain):
    """A grid that decides each transaction at once."""

    def __init__(self) -> None:
        founding = small_genesis()
        second = founding_party(Role.OPERATOR, "operator-2")
        super().__init__(replace(founding, parties=(*founding.parties, second)))
        self.rows: dict[tuple[Table, bytes], Any] = {}
        self.chain = make_chain(self.id, self.founding)
        for table, key, row in genesis_rows(self.founding):
            self._write(table, key, row)
        self.nonces: dict[str, int] = {}
        self.channels: dict[bytes, Channel] = {}
        self.contract_secrets = {self.founding.contract_key: bytes(seed("contract"))}
        self.details: dict[tuple[bytes, int, int], bytes] = {}
        self.wrapped: dict[tuple[bytes, int, int, bytes], bytes] = {}
        self.effects: list[Any] = []
        self.bills = False
        self.accused_at = [0, 0]
        self.settled_at: dict[bytes, int] = {}
        self.block_time = FUTURE

    # the ledger

    def submit(self, raw: bytes) -> int:
        """Apply a transaction and return its log index; raises `Refused`."""
        transaction = decode_transaction(raw, self.chain.context)
        self.run(lambda ledger: self.effects.extend(apply_transaction(ledger, transaction)))
        index = self.append(raw)
        self.height += 1
        if isinstance(transaction.payload.body, Report) and not isinstance(
            transaction.payload.body.reading, bytes
        ):
            self.settled_at[transaction.payload.signer] = index
        return index

    def run(self, change: Any) -> None:
        """Let a function change the state through a ledger."""
        view = View(self.rows.get)
        size = len(self.raws)
        change(Ledger(view, self.chain, verify_signature, self.block_time, size, self.log.root))
        view.keep()
        for (table, key), row in view.rows.items():
            self._write(table, key, row)

    def _write(self, table: Table, key: bytes, row: Any) -> None:
        if row is not None:
            self.rows[table, key] = row
            self.put(table, key, row)
        elif self.rows.pop((table, key), None) is not None:
            self.put_value(table, key, None)

    def act(self, name: str, role: Role, kind: Kind, body: Any, time: int, party: bytes = b"") -> Transaction:
        """Sign, apply and return a transaction of a party whose keys are of its name."""
        nonce = self.nonces[name] = self.nonces.get(name, 0) + 1
        signer = party or founding_party(role, name).id()
        raw = self.sign(name, role, signer, nonce, time, kind, body)
        self.submit(raw)
        return decode_transaction(raw, self.chain.context)

    def document(self, name: str, domain: str, payload: bytes) -> bytes:
        """Return a party's COSE_Sign1 over a document."""
        return sign(seed(name), signing_context(domain, self.id), payload)

    def order(self, cause: Transaction, mid: bytes, kind: Any, height: int = 0, amount: int = 0) -> None:
        """Order a command that no transaction of today orders by itself."""

        def write(ledger: Ledger) -> None:
            ordered = order(ledger, mid, meter_of(ledger, mid), kind, cause, height, amount)
            ledger.view.put(Table.METER, mid, ordered)

        self.run(write)
        self.height += 1

    # what became of it

    def row_of(self, table: Table, key: bytes) -> Any:
        """Return a row, or None."""
        return self.rows.get((table, key))

    def meter(self, mid: bytes) -> MeterRow:
        """Return a meter's row."""
        found: MeterRow = self.rows[Table.METER, mid]
        return found

    def account(self, mid: bytes) -> Account:
        """Return a meter's account."""
        found: Account = self.rows[Table.ACCOUNT, mid]
        return found

    def messages(self, mid: bytes, kind: EntryKind) -> list[MessageRow]:
        """Return the contract messages of a meter, in order."""
        rows = [
            self.rows.get((Table.MESSAGE, height_key(mid, n))) for n in range(1, 1 + self.meter(mid).messages)
        ]
        return [row for row in rows if row is not None and row.kind is kind]

    def violations(self, mid: bytes) -> list[Violation]:
        """Return the violations recorded of a meter, in order."""
        return [Violation(row.violation) for row in self.messages(mid, EntryKind.VIOLATION)]

    def told(self, mid: bytes) -> list[Message]:
        """Return the state messages of a meter, in order."""
        return [Message(row.code) for row in self.messages(mid, EntryKind.STATE)]

    def reports(self, mid: bytes) -> list[Transaction]:
        """Return every report of a meter, in order of the log."""
        decoded = [self.decoded(index) for index in range(len(self.raws))]
        return [t for t in decoded if isinstance(t.payload.body, Report) and t.payload.signer == mid]

    # the port

    def send(self, wires: Sequence[bytes]) -> Sequence[Outcome]:
        """Open and apply wire messages."""
        return [self._receive(wire) for wire in wires]

    def _receive(self, wire: bytes) -> Outcome:
        try:
            if wire.startswith(OFFER_HEAD):
                over = ended(self.row_of, self.founding, len(self.raws), self.block_time)
                require_not_ended(read_offer(wire).contract_key, over)
                self.channels[channel_id(wire)] = open_offer(wire, self.contract_secrets, self.id)
                return None
            sealed = read_sealed(wire)
            if sealed.channel not in self.channels:
                raise CannotOpen("no such channel was offered")
            channel = self.channels[sealed.channel]
            raw, detail = open_sealed(sealed, channel, self.id)
            index = self.submit(raw)
        except (CannotOpen, EncodingError, Refused) as error:
            refusal: GridMonitoringError = error
            return refusal
        self.details[channel.mid, channel.epoch, sealed.sequence] = detail
        return index

    def commands(self, mid: bytes) -> Sequence[bytes]:
        """Return what the meter has to be told."""
        meter = self.meter(mid)
        if (Table.DEVICE, device_key(mid, meter.epoch)) not in self.rows:
            return []
        numbers = range(meter.carried_out + 1, meter.commands + 1)
        kind = EvidenceKind.COMMAND
        sealed = [self.seal(mid, kind, number, build_command(self, mid, number)) for number in numbers]
        statement = self.account(mid).statement
        if self.bills and mid in self.settled_at:
            bill = build_bill(self, self.settled_at[mid])
            return [*sealed, self.seal(mid, EvidenceKind.BILL, statement.number, bill)]
        proof = build_statement(self, mid)
        return [*sealed, self.seal(mid, EvidenceKind.STATEMENT, statement.number, proof)]

    def seal(self, mid: bytes, kind: EvidenceKind, number: int, bundle: bytes) -> bytes:
        """Seal a bundle to the device in service."""
        epoch = self.meter(mid).epoch
        device: DeviceRow = self.rows[Table.DEVICE, device_key(mid, epoch)]
        delivery = self.deliver(mid, kind, number, bundle)
        return seal_command(self.id, mid, epoch, kind, number, device.hpke_key, delivery)

    def deliver(
        self, mid: bytes, kind: EvidenceKind, number: int, bundle: bytes, node: str = "node-1"
    ) -> bytes:
        """Return a node's signed delivery of a bundle."""
        signer = founding_party(Role.NODE, node).id()
        delivery = Delivery(signer, mid, self.meter(mid).epoch, int(kind), number, bundle)
        return self.document(node, DELIVERY_DOMAIN, encode(delivery))

    def accuse(self, mid: bytes, delivery: bytes) -> Outcome:
        """Have node 2 name another."""
        time = max(self.meter(mid).time, *self.accused_at) + 1
        self.accused_at.append(time)
        try:
            for kind, body in delivery_bodies(mid, delivery):
                self.act("node-2", Role.NODE, kind, body, time)
        except (EncodingError, Refused) as error:
            return error
        return len(self.raws) - 1

    def wrap(self, keys: Sequence[WrappedKey]) -> None:
        """Keep wrapped keys."""
        for mid, epoch, period, recipient, box in keys:
            self.wrapped[mid, epoch, period, recipient] = box
