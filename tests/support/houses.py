"""A house on the small grid: a consumer, a meter with its agent, and what people do about them."""

from __future__ import annotations

from msgspec.structs import replace

from gridmonitoring.blockchain.bodies import (
    PAYMENT_DOMAIN,
    REQUEST_DOMAIN,
    Access,
    Agree,
    Authenticate,
    Capacity,
    ClearTamper,
    CloseAccount,
    Dispute,
    Form,
    Kind,
    LiftCutOff,
    LinkMeter,
    PaymentConfirmation,
    PayOut,
    PublishTariff,
    PurchaseRequest,
    Registration,
    Resolve,
    ReversePayment,
    Supply,
    SupplyPoint,
    SwapDevice,
)
from gridmonitoring.blockchain.state_rows import FindingRow, SupplyPointRow, Table, height_key
from gridmonitoring.blockchain.transactions import Transaction, party_id
from gridmonitoring.contracts.agreement import Agreement, CustomerClass, encode_agreement
from gridmonitoring.encoding.bounds import Role
from gridmonitoring.encoding.cbor import encode
from gridmonitoring.encoding.hashes import sha256d
from gridmonitoring.energy_center.credit import BillingTerms
from gridmonitoring.energy_center.tariffs import Tariff, energy_for
from gridmonitoring.keys.sealed_boxes import hpke_public_key
from gridmonitoring.processing.accounts import CLEAR_DOMAIN
from gridmonitoring.processing.closing import CLOSE_DOMAIN, PAYOUT_DOMAIN
from gridmonitoring.processing.disputes import RESOLVE_DOMAIN
from gridmonitoring.processing.installations import AGREEMENT_DOMAIN, SWAP_DOMAIN
from gridmonitoring.processing.rows import AgreementRow, TariffRow
from gridmonitoring.registration.installation_code import code_key
from gridmonitoring.registration.registrar import REGISTRATION_DOMAIN, registration_document
from gridmonitoring.runtime.entropy import KeyPair
from gridmonitoring.runtime.meter_agent import Device, MeterAgent
from gridmonitoring.runtime.meter_port import GridPort
from gridmonitoring.runtime.storage.outbox import Outbox
from gridmonitoring.smart_meter.memory import Handover
from tests.support.billing import CENT, DAY, MINUTE
from tests.support.mini_chain import founding_party, key, seed
from tests.support.small_grid import SmallGrid

UTILITY_ID = founding_party(Role.UTILITY, "utility").id()
VENDOR_ID = founding_party(Role.VENDOR, "vendor").id()
MIDNIGHT = 1_699_916_400_000
"""2023-11-14, 00:00 at UTC+1."""
NOVEMBER_30 = MIDNIGHT + 16 * DAY
QUARTER = 15 * MINUTE
TERMS = BillingTerms(500 * CENT, 100 * CENT, tax_ppm=196_000)


def agreement_of(consumer: bytes, mid: bytes, tariff: Tariff, terms: BillingTerms = TERMS) -> Agreement:
    """Return a household's agreement."""
    return Agreement(
        *(UTILITY_ID, consumer, mid, CustomerClass.HOME, tariff.digest, terms, QUARTER, DAY, 0, False, "en"),
        *(False, (), (), 0),
    )


def publish(grid: SmallGrid, tariff: Tariff, time: int) -> Tariff:
    """Publish a tariff of the utility of the chain, and return it as published."""
    own = replace(tariff, utility=UTILITY_ID)
    if (Table.TARIFF, own.digest) not in grid.rows:
        grid.act("utility", Role.UTILITY, Kind.TARIFF, PublishTariff(encode(own)), time)
    return own


def offer_capacity(grid: SmallGrid, time: int) -> None:
    """Offer more than anybody buys, for a year."""
    if not grid.rows.get((Table.CAPACITY, b"")):
        capacity = Capacity(time, time + 400 * DAY, 2**60)
        grid.act("energy-center", Role.ENERGY_CENTER, Kind.CAPACITY, capacity, time)


class House:
    """One supply point."""

    def __init__(
        self,
        grid: SmallGrid,
        tariff: Tariff,
        *,
        start: int = MIDNIGHT,
        name: str = "house",
        terms: BillingTerms = TERMS,
        outbox: Outbox | None = None,
        port: GridPort | None = None,
        **agreed: object,
    ) -> None:
        self.grid = grid
        self.name = name
        self.tariff = publish(grid, tariff, start)
        self.mid = sha256d(name.encode())[:16]
        self.code = sha256d(b"code" + name.encode())
        self.consumer = party_id(Role.CONSUMER, key(name))
        self.outbox = outbox or Outbox()
        self.port: GridPort = port or grid
        self.keys = KeyPair(seed(f"{name} meter"), seed(f"{name} meter box"))
        self.agreement = replace(agreement_of(self.consumer, self.mid, self.tariff, terms), **agreed)
        self.epoch = 1
        self.payments = 0
        offer_capacity(grid, start)
        self._register(start)
        self.agree(self.agreement, start)
        self.agent = self.wake()

    def wake(self) -> MeterAgent:
        """Start the agent, or start it again on the same outbox."""
        self.agent = MeterAgent(self.device(), self.keys, self.port, self.outbox)
        return self.agent

    def device(self) -> Device:
        """Return what the installer puts into the meter."""
        reader, custodian = hpke_public_key(seed(self.name)), hpke_public_key(seed("custodian"))
        tariffs = [self.tariff]
        while following := self.grid.rows[Table.TARIFF, tariffs[-1].digest].successor:
            row: TariffRow = self.grid.rows[Table.TARIFF, following]
            tariffs.append(row.tariff)
        return Device(
            *(self.grid.genesis(), self.mid, self.epoch, self.agreement, tuple(tariffs), reader, custodian)
        )

    def _register(self, time: int) -> None:
        body = Registration(
            *(int(Role.CONSUMER), self.consumer, key(self.name), hpke_public_key(seed(self.name))),
            *(bytes(32), b""),
        )
        proof = self.grid.document(self.name, REGISTRATION_DOMAIN, registration_document(body))
        act = self.grid.act
        act("registrar", Role.REGISTRAR, Kind.REGISTRATION, replace(body, proof=proof), time)
        point = SupplyPoint(self.mid, self.consumer, UTILITY_ID, bytes(32), code_key(self.code))
        act("registrar", Role.REGISTRAR, Kind.SUPPLY_POINT, point, time)
        act("authenticator", Role.AUTHENTICATOR, Kind.AUTHENTICATE, Authenticate(self.mid), time)
        act("node-1", Role.NODE, Kind.LINK_METER, LinkMeter(self.mid, "Area 7", bytes(32)), time)

    def agree(self, agreement: Agreement, time: int) -> None:
        """Utility and consumer sign an agreement that begins now."""
        agreement = self.agreement = replace(agreement, valid_from_ms=time)
        document = encode_agreement(agreement)
        consent = self.grid.document(self.name, AGREEMENT_DOMAIN, document)
        body = Agree(self.mid, document, consent)
        self.grid.act("utility", Role.UTILITY, Kind.AGREEMENT, body, time)

    def install(self, time: int, handover: Handover | None = None) -> None:
        """Install the device, and give access; the meter has not heard of it yet."""
        self.grid.submit(self.agent.install(self.code, time, handover))
        body = Access(self.mid, self.epoch)
        self.grid.act("authenticator", Role.AUTHENTICATOR, Kind.ACCESS, body, time + 1)

    def buy(self, amount: int, time: int) -> bytes:
        """Pay, and have a node make the form; return the payment's reference."""
        self.payments += 1
        name, currency = self.name, "EUR"
        mark = sha256d(f"{name} {self.payments}".encode())
        wanted = PurchaseRequest(
            *(int(Role.CONSUMER), self.consumer, self.mid, amount, currency, mark[:16], time)
        )
        request = self.grid.document(name, REQUEST_DOMAIN, encode(wanted))
        arrived = PaymentConfirmation(VENDOR_ID, sha256d(encode(wanted)), amount, currency, mark, time)
        confirmation = self.grid.document("vendor", PAYMENT_DOMAIN, encode(arrived))
        agreed: AgreementRow = self.grid.rows[Table.AGREEMENT, self.mid]
        point: SupplyPointRow = self.grid.rows[Table.SUPPLY_POINT, self.mid]
        tariff = self._tariff(agreed.agreement.tariff, time)
        energy = energy_for(tariff, amount, time, agreed.agreement.billing.tax_ppm)
        window = self.grid.rows[Table.CAPACITY, b""].windows[0].from_ms
        form = Form(
            *(request, confirmation, self.mid, point.house, point.area, tariff.digest, agreed.script),
            *(energy, window, b""),
        )
        self.grid.act("node-1", Role.NODE, Kind.FORM, form, time)
        return mark

    def _tariff(self, first: bytes, time: int) -> Tariff:
        row: TariffRow = self.grid.rows[Table.TARIFF, first]
        while row.successor:
            following: TariffRow = self.grid.rows[Table.TARIFF, row.successor]
            if following.tariff.valid_from_ms > time:
                break
            row = following
        return row.tariff

    def bounce(self, reference: bytes, time: int) -> None:
        """The vendor takes a payment back."""
        self.grid.act("vendor", Role.VENDOR, Kind.REVERSE_PAYMENT, ReversePayment(reference), time)

    def wish(self, on: bool, time: int, power_limit: int = 0) -> None:
        """The consumer switches the own supply."""
        body = Supply(self.mid, on, power_limit)
        self.grid.act(self.name, Role.CONSUMER, Kind.SUPPLY, body, time, self.consumer)

    def clear(self, time: int) -> Transaction:
        """Two operators clear the last tamper."""
        sequence = self.grid.meter(self.mid).tampered
        document = encode([self.mid, self.epoch, sequence])
        second = founding_party(Role.OPERATOR, "operator-2").id()
        approval = self.grid.document("operator-2", CLEAR_DOMAIN, document)
        body = ClearTamper(self.mid, self.epoch, second, approval, sequence)
        return self.grid.act("operator", Role.OPERATOR, Kind.CLEAR_TAMPER, body, time)

    def findings(self) -> dict[int, FindingRow]:
        """Return the violations of the meter with their receipts, by number."""
        keys = {n: (Table.FINDING, height_key(self.mid, n)) for n in range(1, self._messages() + 1)}
        return {number: self.grid.rows[key] for number, key in keys.items() if key in self.grid.rows}

    def _messages(self) -> int:
        return self.grid.meter(self.mid).messages

    def dispute(self, number: int, time: int) -> Transaction:
        """The consumer disputes a violation."""
        body = Dispute(self.mid, number, b"")
        return self.grid.act(self.name, Role.CONSUMER, Kind.DISPUTE, body, time, self.consumer)

    def decide(self, number: int, time: int, *, upheld: bool) -> Transaction:
        """Two operators decide a dispute."""
        second = founding_party(Role.OPERATOR, "operator-2").id()
        document = encode([self.mid, number, upheld])
        approval = self.grid.document("operator-2", RESOLVE_DOMAIN, document)
        body = Resolve(self.mid, number, upheld, second, approval)
        return self.grid.act("operator", Role.OPERATOR, Kind.RESOLVE, body, time)

    def lift(self, time: int) -> None:
        """The utility lifts a cut-off."""
        self.grid.act("utility", Role.UTILITY, Kind.LIFT_CUT_OFF, LiftCutOff(self.mid), time)

    def close(self, time: int) -> None:
        """The consumer moves out."""
        consent = self.grid.document(self.name, CLOSE_DOMAIN, encode([self.mid, b"", VENDOR_ID]))
        body = CloseAccount(self.mid, b"", VENDOR_ID, consent)
        self.grid.act("utility", Role.UTILITY, Kind.CLOSE_ACCOUNT, body, time)

    def pay_out(self, amount: int, time: int, move_to: bytes = b"") -> None:
        """The closed account pays out, through the vendor or to another meter."""
        vendor = b"" if move_to else VENDOR_ID
        consent = self.grid.document(self.name, PAYOUT_DOMAIN, encode([self.mid, amount, move_to, vendor]))
        body = PayOut(self.mid, amount, move_to, vendor, consent)
        self.grid.act("utility", Role.UTILITY, Kind.PAYOUT, body, time)

    def swap(self, time: int) -> Handover:
        """The device is swapped: return what the new one takes over."""
        self.epoch += 1
        self.code = sha256d(self.code)
        registers = self.agent.meter.registers()
        document = encode([self.mid, self.epoch, registers, code_key(self.code)])
        witness = self.grid.document("operator", SWAP_DOMAIN, document)
        operator = founding_party(Role.OPERATOR, "operator").id()
        body = SwapDevice(self.mid, self.epoch, registers, code_key(self.code), operator, witness)
        self.grid.act("registrar", Role.REGISTRAR, Kind.SWAP_DEVICE, body, time)
        self.keys = KeyPair(seed(f"{self.name} {self.epoch}"), seed(f"{self.name} {self.epoch} box"))
        self.outbox = Outbox()
        self.wake()
        meter = self.grid.meter(self.mid)
        return Handover(
            *(self.grid.account(self.mid), self.agent.meter.state.__class__(meter.state), meter.tampered),
            *(meter.cut_off, meter.carried_out, 0),
        )

    def meet(self, now: int) -> None:
        """The agent sends what waits, hears what there is, and sends again."""
        self.agent.flush()
        self.agent.poll(now)
        self.agent.flush()
