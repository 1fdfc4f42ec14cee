"""What people and offices do, as signed transactions: register, install, agree, pay (paper IV-A, IV-C).

Functions here return encoded transactions for `Network.submit`; they hold no state of their own.
The CLI, the demo and the benchmarks use the same ones.
"""

from __future__ import annotations

from typing import Any, Protocol

from msgspec import Struct

from gridmonitoring.blockchain.bodies import (
    PAYMENT_DOMAIN,
    REQUEST_DOMAIN,
    Access,
    Agree,
    Authenticate,
    Capacity,
    Form,
    Kind,
    LinkMeter,
    PaymentConfirmation,
    PublishTariff,
    PurchaseRequest,
    Registration,
    SupplyPoint,
)
from gridmonitoring.blockchain.state_rows import SupplyPointRow, Table
from gridmonitoring.contracts.agreement import Agreement, encode_agreement
from gridmonitoring.encoding.bounds import Role
from gridmonitoring.encoding.cbor import encode
from gridmonitoring.encoding.hashes import sha256d
from gridmonitoring.energy_center.tariffs import Tariff, energy_for
from gridmonitoring.errors import UserError
from gridmonitoring.keys.signatures import split
from gridmonitoring.processing.installations import AGREEMENT_DOMAIN
from gridmonitoring.processing.rows import AgreementRow, CapacityRow, TariffRow
from gridmonitoring.registration.installation_code import code_key
from gridmonitoring.registration.registrar import REGISTRATION_DOMAIN, registration_document
from gridmonitoring.runtime.entropy import KeyPair, random_bytes
from gridmonitoring.runtime.network import Network
from gridmonitoring.runtime.parties import Signer


class NewMeter(Struct, frozen=True):
    """What the registrar hands over for an installation; the code and the salt are secret."""

    mid: bytes
    """Meter ID."""
    code: bytes
    """One-time installation code, 32 bytes; for the installer's device, and never on the ledger."""
    house: bytes
    """HN: commitment to the house number."""
    salt: bytes
    """What opens the commitment, with the house number."""


def commitment(text: str, salt: bytes) -> bytes:
    """Return a salted commitment to personal data; deleting the salt erases the link."""
    return sha256d(encode(["commitment/1", text, salt]))


def new_meter(house_number: str) -> NewMeter:
    """Make a meter ID, its one-time code and the commitment to its house number."""
    salt = random_bytes(32)
    return NewMeter(random_bytes(16), random_bytes(32), commitment(house_number, salt), salt)


def register(registrar: Signer, consumer: Signer, personal: bytes, time: int) -> bytes:
    """The registrar registers a consumer or researcher, who proves possession of its key."""
    keys = consumer.keys
    body = Registration(int(consumer.role), consumer.id, keys.sign_key, keys.hpke_key, personal, b"")
    proof = consumer.document(REGISTRATION_DOMAIN, registration_document(body))
    signed = Registration(body.role, body.party, body.sign_key, body.hpke_key, personal, proof)
    return registrar.transaction(Kind.REGISTRATION, signed, time)


def begin_supply(
    registrar: Signer,
    authenticator: Signer,
    node: Signer,
    area: str,
    consumer: bytes,
    utility: bytes,
    meter: NewMeter,
    serial: bytes,
    time: int,
) -> list[bytes]:
    """Registrar, authenticator and node prepare a supply point, in the order of IV-A."""
    point = SupplyPoint(meter.mid, consumer, utility, meter.house, code_key(meter.code))
    return [
        registrar.transaction(Kind.SUPPLY_POINT, point, time),
        authenticator.transaction(Kind.AUTHENTICATE, Authenticate(meter.mid), time),
        node.transaction(Kind.LINK_METER, LinkMeter(meter.mid, area, serial), time),
    ]


def agree(utility: Signer, consumer: Signer, agreement: Agreement, time: int) -> bytes:
    """Utility and consumer sign an agreement."""
    document = encode_agreement(agreement)
    body = Agree(agreement.mid, document, consumer.document(AGREEMENT_DOMAIN, document))
    return utility.transaction(Kind.AGREEMENT, body, time)


def give_access(authenticator: Signer, mid: bytes, epoch: int, time: int) -> bytes:
    """The authenticator verified the installed meter."""
    return authenticator.transaction(Kind.ACCESS, Access(mid, epoch), time)


def publish(utility: Signer, tariff: Tariff, time: int) -> bytes:
    """The utility publishes a tariff."""
    return utility.transaction(Kind.TARIFF, PublishTariff(encode(tariff)), time)


def offer_capacity(center: Signer, from_ms: int, to_ms: int, energy: int, time: int) -> bytes:
    """The energy center offers capacity."""
    return center.transaction(Kind.CAPACITY, Capacity(from_ms, to_ms, energy), time)


def request_purchase(payer: Signer, mid: bytes, amount: int, currency: str, key: bytes, time: int) -> bytes:
    """Return the payer's signed purchase request; `key` is the 16-byte idempotency key."""
    request = PurchaseRequest(int(payer.role), payer.id, mid, amount, currency, key, time)
    return payer.document(REQUEST_DOMAIN, encode(request))


def confirm_payment(
    vendor: Signer, request: bytes, amount: int, currency: str, reference: bytes, time: int
) -> bytes:
    """Return the vendor's signed confirmation that the money of a request arrived."""
    payment = PaymentConfirmation(vendor.id, sha256d(split(request)[0]), amount, currency, reference, time)
    return vendor.document(PAYMENT_DOMAIN, encode(payment))


class Rows(Protocol):
    """Whatever knows the committed rows of the state: a network, a node's client, a replica."""

    def row(self, table: Table, key: bytes) -> Any:
        """Return the struct of a row, or None."""
        ...


def form_body(rows: Rows, request: bytes, confirmation: bytes, mid: bytes, amount: int, time: int) -> Form:
    """Return the form that a node makes of a paid request: it adds MID, HN, area, script, tariff, dispatch.

    Raises `UserError` where the meter is unknown or the energy center has nothing to dispatch.
    """
    point: SupplyPointRow | None = rows.row(Table.SUPPLY_POINT, mid)
    agreement: AgreementRow | None = rows.row(Table.AGREEMENT, mid)
    if point is None or agreement is None:
        raise UserError(f"no meter {mid.hex()} with an agreement on this chain")
    tariff = tariff_in_force(rows, agreement.agreement.tariff, time)
    capacity: CapacityRow | None = rows.row(Table.CAPACITY, b"")
    windows = [w.from_ms for w in capacity.windows if w.from_ms <= time < w.to_ms] if capacity else []
    if not windows:
        raise UserError("the energy center offers no capacity at this time")
    energy = energy_for(tariff, amount, time, agreement.agreement.billing.tax_ppm)
    return Form(
        request,
        confirmation,
        mid,
        point.house,
        point.area,
        tariff.digest,
        agreement.script,
        energy,
        windows[0],
        b"",
    )


def make_form(node: Signer, body: Form, time: int) -> bytes:
    """Return the node's signed form (TPT is its time)."""
    return node.transaction(Kind.FORM, body, time)


def purchase(
    network: Network,
    node: Signer,
    payer: Signer,
    vendor: Signer,
    mid: bytes,
    amount: int,
    reference: bytes,
    time: int,
    key: bytes | None = None,
) -> bytes:
    """Return the form of a whole purchase by parties of this process."""
    currency = network.genesis.currency
    request = request_purchase(payer, mid, amount, currency, key or random_bytes(16), time)
    confirmation = confirm_payment(vendor, request, amount, currency, reference, time)
    return make_form(node, form_body(network, request, confirmation, mid, amount, time), time)


def tariff_in_force(rows: Rows, tariff: bytes, time: int) -> Tariff:
    """Return the tariff of a series in force at a time; raises `UserError`."""
    row: TariffRow | None = rows.row(Table.TARIFF, tariff)
    if row is None:
        raise UserError("no such tariff is published")
    while row.successor:
        following: TariffRow = rows.row(Table.TARIFF, row.successor)
        if following.tariff.valid_from_ms > time:
            break
        row = following
    return row.tariff


def consumer_signer(network: Network, name: str, keys: KeyPair) -> Signer:
    """Return the signer of a new consumer."""
    return Signer(name, Role.CONSUMER, keys, network.chain_id)
