"""The network that the lies are told to: something of every kind is there already, and stays as it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from gridmonitoring.blockchain.bodies import (
    PAYMENT_DOMAIN,
    REQUEST_DOMAIN,
    CopyDiffers,
    Form,
    Installation,
    Kind,
    PaymentConfirmation,
    PurchaseRequest,
    RevokeGrant,
    SupplyPoint,
)
from gridmonitoring.blockchain.genesis import FoundingParty
from gridmonitoring.blockchain.state_rows import (
    MAX_METERS,
    PartyRow,
    SupplyPointRow,
    Table,
    open_finding_key,
    party_key,
)
from gridmonitoring.blockchain.transactions import (
    Transaction,
    decode_payload,
    decode_transaction,
    sign_transaction,
)
from gridmonitoring.contracts.agreement import Agreement
from gridmonitoring.contracts.consent import MAX_IN_FORCE
from gridmonitoring.contracts.meter_rule import Event, Relay
from gridmonitoring.contracts.violations import Violation
from gridmonitoring.encoding.bounds import IMPORT_TOTAL, Role
from gridmonitoring.encoding.cbor import encode
from gridmonitoring.encoding.hashes import sha256d
from gridmonitoring.energy_center.lots import MAX_LOTS
from gridmonitoring.keys.signatures import split
from gridmonitoring.processing.monitoring import MAX_OPEN_COPIES
from gridmonitoring.processing.rows import AgreementRow, CapacityRow, TariffRow
from gridmonitoring.registration.installation_code import installation_document, prove_code
from gridmonitoring.registration.registrar import MAX_FORMER_KEYS, key_standing
from gridmonitoring.runtime.contract_offices import dispute
from gridmonitoring.runtime.entropy import KeyPair, new_keys
from gridmonitoring.runtime.key_files import write_keys
from gridmonitoring.runtime.offices import (
    NewMeter,
    agree,
    begin_supply,
    form_body,
    new_meter,
    publish,
)
from gridmonitoring.runtime.parties import Signer
from tests.support.acts import (
    answering,
    asking,
    closing,
    differing,
    governance,
    granting,
    new_consumer,
    new_researcher,
    proposal,
    replacement,
    reversal,
    revocation,
    rotation,
    silence,
    tamper,
)
from tests.support.network import CREDIT, INTERVAL_MS, MeterInHand, SmallNetwork, buy, small_network

USED_REFERENCE = b"a payment that was made"
USED_UP = 2**26
"""More Wh than two purchases buy."""
USED_KEY = b"idempotency key!"


class Scene:
    """Four validators, meters in every condition, a second utility and vendor, and what was used before."""

    def __init__(self, folder: Path) -> None:
        self._keys: list[KeyPair] = []
        self._signers: dict[str, Signer] = {}
        self.small: SmallNetwork = small_network(folder, 4, 7)
        self.network = self.small.network
        self.meter, self.tampered, self.closed, self.neighbour, *others = self.small.meters
        self.with_a_gap, self.revoked, self.waiting = others
        self.guest, joins = new_consumer(self.network, "guest", self.now)
        self.small.submit([joins])
        self.gone, joins = new_consumer(self.network, "gone", self.now)
        self.small.submit([joins])
        self._end_of(Role.CONSUMER, self.gone.id, self.gone.keys)
        self._end_of(Role.METER, self.revoked.mid, self.revoked.keys)
        self._second_parties()
        self.points = {name: new_meter(name) for name in ("registered", "verified", "linked", "agreed")}
        self._points()
        self._reports()
        self._payments()
        vendor = self.signer("vendor")
        self.small.submit([closing(self.network, self.closed, self.now, vendor=vendor.id)])
        self.announced = new_keys()
        self.approved = self.standing(self.guest)
        self.small.submit([replacement(self.network, self.guest.id, self.announced, self.now)])
        self._many_keys()
        self._many_meters()
        self._access()
        self._unlocked()
        self._watched()

    def _watched(self) -> None:
        """A meter is silent, one has reported just now, and a node's file is full of what differs."""
        self.small.clock.move_to(self.now + 2 * 3_600_000)
        self.small.submit([silence(self.network, "node-01", self.with_a_gap.mid, self.now)])
        meter, full = self.neighbour, self.signer("node-04")
        meter.resume()
        claim = meter.claim(Event.INTERVAL, Relay.CONNECTED, settles=False, time=self.now)
        self.network.engine.decide([claim], self.now).durable.result()
        body: CopyDiffers = self.decoded(differing(self.network, "node-04", self.now)).payload.body
        places = (number.to_bytes(2, "big") for number in range(MAX_OPEN_COPIES))
        raws = [full.transaction(Kind.COPY_DIFFERS, replace(body, place=place), self.now) for place in places]
        decision = self.network.engine.decide(raws, self.now)
        decision.durable.result()
        assert not any(receipt.error for receipt in decision.receipts)

    def _end_of(self, role: Role, party: bytes, keys: KeyPair) -> None:
        registrar = self.signer("registrar")
        self.small.submit([revocation(registrar, role, party, keys.sign_key, self.now)])

    def _reports(self) -> None:
        """One meter is tampered with; another's report is lost on the way, so that a gap is open."""
        self.small.submit([tamper(self.tampered)])
        meter = self.with_a_gap
        meter.claim(Event.INTERVAL, Relay.CONNECTED, settles=False, time=meter.time + 1)
        self.small.submit([meter.claim(Event.INTERVAL, Relay.CONNECTED, settles=False, time=meter.time + 1)])
        self.small.clock.move_to(self.tampered.time)
        found = self.network.row(Table.OPEN_FINDING, open_finding_key(meter.mid, Violation.SEQUENCE_GAP))
        self.small.submit([dispute(meter.consumer, meter.mid, found.number, self.now)])

    def _payments(self) -> None:
        """References and idempotency keys are used up, a payment bounces, and one meter has all its lots."""
        buy(self.small, self.meter, CREDIT, USED_REFERENCE)
        self._processed = self.form(key=USED_KEY, reference=b"another payment")
        self.small.submit([self._processed])
        buy(self.small, self.meter, CREDIT, b"bounced")
        self.small.submit([reversal(self.network, b"bounced", self.now)])
        house = self.house(self.neighbour)
        self.small.submit(
            self.form(
                payer=self.neighbour.consumer,
                request={"mid": self.neighbour.mid, "amount": 10**5},
                key=number.to_bytes(16, "big"),
                reference=b"lot" + number.to_bytes(2, "big"),
                mid=self.neighbour.mid,
                house=house,
            )
            for number in range(1, MAX_LOTS)
        )

    def _unlocked(self) -> None:
        """A meter uses up several lots at once: their blocks are complete, and no node has locked them."""
        meter = self.waiting
        buy(self.small, meter, CREDIT)
        meter.register += USED_UP
        raw = meter.claim(Event.INTERVAL, Relay.CONNECTED, settles=True, time=meter.time + INTERVAL_MS)
        # Not by `submit`, which would have the nodes lock the blocks.
        self.network.engine.decide([raw], self.now).durable.result()

    def _access(self) -> None:
        """A researcher is let in, asks, is answered, asks for more, and asks again; a second grant ends."""
        self.reader, joins = new_researcher(self.network, self.now)
        self.small.submit([joins, granting(self.meter, self.reader, self.now)])
        self.small.submit([asking(self.reader, self.meter.mid, self.now)])
        self.small.submit([answering(self.network, self.meter.mid, 1, self.now)])
        self.small.submit([asking(self.reader, self.meter.mid, self.now, purpose="advertising")])
        self.small.submit([granting(self.meter, self.reader, self.now, purpose="forecasts")])
        self.small.submit([asking(self.reader, self.meter.mid, self.now, grant=2, purpose="forecasts")])
        self.small.submit([self.grant_ended(2)])
        self.small.submit(
            granting(self.neighbour, self.reader, self.now, purpose=f"study {number}")
            for number in range(MAX_IN_FORCE)
        )

    def grant_ended(self, number: int) -> bytes:
        """Return the end of a grant."""
        body = RevokeGrant(self.meter.mid, number)
        return self.meter.consumer.transaction(Kind.REVOKE_GRANT, body, self.now)

    def first_unlocked(self) -> int:
        """Return the height of the first complete block that waits for its lock."""
        prefix = self.waiting.mid
        return min(
            int.from_bytes(key[16:], "big")
            for key, _ in self.network.application.truth.rows_of(Table.DUE, prefix)
        )

    def house(self, meter: MeterInHand) -> bytes:
        """Return HN of a meter."""
        point: SupplyPointRow = self.network.row(Table.SUPPLY_POINT, meter.mid)
        return point.house

    def altered(self, raw: bytes, signer: str | Signer, **changes: Any) -> bytes:
        """Return a transaction's body with other content, signed by this party."""
        payload = self.decoded(raw).payload
        who = self.signer(signer) if isinstance(signer, str) else signer
        return who.transaction(payload.kind, replace(payload.body, **changes), self.now)

    def of_another(self, meter: MeterInHand, consumer: Signer) -> MeterInHand:
        """Return a meter as if it were another consumer's."""
        return MeterInHand(self.network, meter.mid, meter.keys, consumer)

    def again(self) -> bytes:
        """Return the form of a purchase that was processed, made anew by a node."""
        body: Form = self.decoded(self._processed).payload.body
        return self.signer("node-01").transaction(Kind.FORM, body, self.now)

    def _many_keys(self) -> None:
        """A consumer changes its key as often as it may."""
        self._restless, joins = new_consumer(self.network, "restless", self.now)
        self.small.submit([joins, *(self.one_key_more() for _ in range(MAX_FORMER_KEYS))])

    def _many_meters(self) -> None:
        """A consumer has as many meters as it may."""
        self._landlord, joins = new_consumer(self.network, "landlord", self.now)
        self.small.submit([joins])
        self.small.submit([self.one_meter_more() for _ in range(MAX_METERS)])

    def one_meter_more(self) -> bytes:
        """Return another supply point of a consumer who has as many as it may."""
        body = SupplyPoint(
            *(new_keys().sign_key[:16], self._landlord.id, self.signer("utility").id, bytes(32)),
            new_keys().sign_key,
        )
        return self.signer("registrar").transaction(Kind.SUPPLY_POINT, body, self.now)

    def standing(self, consumer: Signer) -> int:
        """Return what an approval of another key for a consumer has to be bound to now."""
        row: PartyRow = self.network.row(Table.PARTY, party_key(consumer.role, consumer.id))
        return key_standing(row)

    def back_to_an_old_key(self) -> bytes:
        """Return a change of key to the first that a consumer had."""
        first = self._keys[0]
        return rotation(self.network, self._restless, first, self.now, first)

    def one_key_more(self) -> bytes:
        """Return another change of the key of a consumer who changed it as often as it may."""
        keys = new_keys()
        raw = rotation(self.network, self._restless, keys, self.now, keys)
        if len(self._keys) < MAX_FORMER_KEYS:
            self._restless.keys = keys
            self._keys.append(keys)
        return raw

    @property
    def now(self) -> int:
        """The clock's time, ms."""
        return self.small.clock.now_ms()

    def signer(self, name: str) -> Signer:
        """Return a party, whose nonces go on from the last that it used or the ledger knows."""
        signer = self._signers.setdefault(name, self.network.signer(name))
        row: PartyRow = self.network.row(Table.PARTY, party_key(signer.role, signer.id))
        signer.resume_after(row.nonce)
        return signer

    def agreement(self, meter: MeterInHand) -> Agreement:
        """Return the agreement in force."""
        row: AgreementRow = self.network.row(Table.AGREEMENT, meter.mid)
        return row.agreement

    def _second_parties(self) -> None:
        joining = []
        for name, role in (("utility-2", Role.UTILITY), ("vendor-2", Role.VENDOR)):
            keys = new_keys()
            party = FoundingParty(role, name, keys.sign_key, keys.hpke_key)
            write_keys(self.small.directory.key_file(name), role, party.id(), keys)
            joining.append(party)
        nodes = [validator.name for validator in self.network.genesis.validators]
        wanted = proposal(self.network, join=tuple(joining))
        self.small.submit([governance(self.network, wanted, nodes, self.now)])
        row: TariffRow = self.network.row(Table.TARIFF, self.agreement(self.meter).tariff)
        utility = self.signer("utility-2")
        self.noticed = replace(row.tariff, utility=utility.id, notice_ms=10**9)
        self.small.submit([publish(utility, self.noticed, self.now)])

    def _points(self) -> None:
        signer = self.signer
        offices = signer("registrar"), signer("authenticator"), signer("node-01")
        for steps, (name, point) in enumerate(self.points.items(), 1):
            raws = begin_supply(
                *offices, "A1", self.guest.id, signer("utility").id, point, bytes(32), self.now
            )
            self.small.submit(raws[:steps])
            if name == "agreed":
                self.small.submit([agree(signer("utility"), self.guest, self.agreed(point), self.now)])

    def agreed(self, point: NewMeter, **changes: Any) -> Agreement:
        """Return the agreement of the guest for a supply point."""
        terms = {name: getattr(self.agreement(self.meter), name) for name in Agreement.__struct_fields__}
        return Agreement(**{**terms, "consumer": self.guest.id, "mid": point.mid, **changes})

    def installation(
        self,
        point: NewMeter,
        sequence: int = 1,
        keys: KeyPair | None = None,
        proof_of: dict[str, Any] | None = None,
        **changes: Any,
    ) -> bytes:
        """Return the installation of a device at a supply point.

        The code proves what is said, or else `proof_of`; `changes` are not what the code proves.
        """
        own = keys or new_keys()
        proved = {"sign_key": own.sign_key, "hpke_key": own.hpke_key, "succeeded": True, **(proof_of or {})}
        document = installation_document(point.mid, 1, **proved)
        script = self.network.row(Table.AGREEMENT, self.points["agreed"].mid).script
        said: dict[str, Any] = {
            "epoch": 1,
            "sign_key": own.sign_key,
            "hpke_key": own.hpke_key,
            "proof": prove_code(point.code, self.network.chain_id, document),
            "script": script,
            "registers": ((bytes(IMPORT_TOTAL), 0),),
            "succeeded": True,
        }
        body = Installation(**{**said, **changes})
        return sign_transaction(
            *(own.seed, self.network.chain_id, Role.METER, point.mid, sequence, self.now),
            *(Kind.INSTALLATION, body),
        )

    def form(
        self,
        *,
        payer: Signer | None = None,
        vendor: str = "vendor",
        reference: bytes = b"a reference",
        key: bytes = bytes(16),
        request: dict[str, Any] | None = None,
        payment: dict[str, Any] | None = None,
        time: int | None = None,
        **changes: Any,
    ) -> bytes:
        """Return a form of a purchase; what is given is said otherwise by payer, vendor or node."""
        who = payer or self.meter.consumer
        now = self.now if time is None else time
        wanted: dict[str, Any] = {
            "payer_role": int(who.role),
            "payer": who.id,
            "mid": self.meter.mid,
            "amount": 10**8,
            "currency": "EUR",
            "idempotency": key,
            "time": now,
        }
        asked = PurchaseRequest(**{**wanted, **(request or {})})
        signed = who.document(REQUEST_DOMAIN, encode(asked))
        seller = self.signer(vendor)
        arrived: dict[str, Any] = {
            "vendor": seller.id,
            "request": sha256d(encode(asked)),
            "amount": asked.amount,
            "currency": asked.currency,
            "reference": reference,
            "time": now,
        }
        paid = seller.document(PAYMENT_DOMAIN, encode(PaymentConfirmation(**{**arrived, **(payment or {})})))
        draft = form_body(self.network, signed, paid, self.meter.mid, asked.amount, now)
        said = {name: getattr(draft, name) for name in Form.__struct_fields__}
        return self.signer("node-01").transaction(Kind.FORM, Form(**{**said, **changes}), now)

    def logged(self, kind: Kind) -> bytes:
        """Return the last transaction of a type in the log."""
        application = self.network.application
        for index in range(application.log.log.size - 1, -1, -1):
            raw = application.truth.transaction(index)
            if decode_payload(split(raw)[0]).kind == kind:
                return raw
        raise AssertionError(f"no {kind.name} in the log")

    def decoded(self, raw: bytes) -> Transaction:
        """Return a transaction as its receiver reads it."""
        return decode_transaction(raw, self.network.application.chain.context)

    def window(self) -> Any:
        """Return the first capacity window."""
        row: CapacityRow = self.network.row(Table.CAPACITY, b"")
        return row.windows[0]


Lie = Callable[[Scene], bytes]
"""Makes the transaction that must be refused."""
Lies = dict[str, tuple[str, Lie]]
"""What is wrong -> (rule that it breaks, or name of the encoding error; the transaction)."""
