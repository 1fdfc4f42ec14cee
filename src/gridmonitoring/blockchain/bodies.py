"""What each type of transaction says (docs/spec/transactions.md); the closed table.

A body is an array; documents of other layers (agreement, tariff, blocks) travel in it as their
own encoded bytes and are decoded where their type is known. Who may sign a type and what it
changes is in `processing.state_transition`; here are the shapes and the signers.

Paper: IV-A (registration), IV-C (forms), IV-B and V-A (reports), V-B and V-C (blocks).
"""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, Any

from msgspec import Meta, Struct

from gridmonitoring.encoding.bounds import (
    Bytes6,
    Bytes16,
    Bytes32,
    Currency,
    Document,
    Millis,
    Money,
    Name,
    SignedMoney,
    Unsigned,
    WattHours,
    Watts,
)

SignedDocument = Annotated[bytes, Meta(min_length=72, max_length=12 * 1024)]
"""A COSE_Sign1 by another party, carried as bytes."""
Approvals = Annotated[tuple[tuple[Bytes16, SignedDocument], ...], Meta(min_length=1, max_length=128)]
"""(node, its COSE_Sign1 over a document that nodes approve), sorted by the nodes' keys."""
OptionalId = Annotated[bytes, Meta(max_length=32)]
"""A transaction ID, or empty."""
Reference = Annotated[bytes, Meta(min_length=1, max_length=64)]
"""A payment provider's reference, opaque bytes."""
Register = tuple[Bytes6, WattHours]
"""(OBIS code, Wh)."""
Registers = Annotated[tuple[Register, ...], Meta(max_length=66)]
"""Registers sorted by OBIS code, each once."""
Short = Annotated[int, Meta(ge=0, le=0xFFFF)]
"""A closed code or bit field of two bytes."""
Epoch = Annotated[int, Meta(ge=1, le=0xFFFFFFFF)]
"""Meter epoch: 1 for the first device at a supply point, one more for each swap."""
Period = Annotated[int, Meta(ge=0, le=0xFFFFFFFF)]
"""A period of the load profile: a UTC day, in days since 1970."""


REQUEST_DOMAIN = "gridmon/purchase-request/1"
"""Domain tag of a payer's signature on a `PurchaseRequest`."""
PAYMENT_DOMAIN = "gridmon/payment/1"
"""Domain tag of a vendor's signature on a `PaymentConfirmation`."""


class Kind(IntEnum):
    """Types of transaction; the number is part of the encoding and never reused."""

    GOVERNANCE = 1
    REGISTRATION = 2
    ROTATE_KEY = 3
    REVOKE_KEY = 4
    REPLACE_KEY = 5
    CONFIRM_KEY = 6
    SUPPLY_POINT = 10
    AUTHENTICATE = 11
    LINK_METER = 12
    AGREEMENT = 13
    INSTALLATION = 14
    ACCESS = 15
    TARIFF = 20
    CAPACITY = 21
    FORM = 22
    REPORT = 23
    LOCK = 24
    SIDE_BLOCK = 25
    REVERSE_PAYMENT = 26
    CLOSE_ACCOUNT = 27
    SWAP_DEVICE = 28
    SUPPLY = 29
    CLEAR_TAMPER = 30
    GRANT = 40
    REVOKE_GRANT = 41
    READ = 42
    ANSWER = 43
    ERASE = 44
    DISPUTE = 50
    RESOLVE = 51
    LIFT_CUT_OFF = 52
    ACCUSE = 53
    COPY_DIFFERS = 60
    COPY_HEALED = 61
    SILENCE = 62
    ROTATE_CONTRACT_KEY = 70
    TELL_CONTRACT_KEY = 71
    ACCUSE_PROPOSER = 75
    PAYOUT = 76
    EXHIBIT = 77
    ACCUSE_EXHIBIT = 78


class Body(Struct, array_like=True, frozen=True, forbid_unknown_fields=True, gc=False):
    """Base of every body: a frozen array without names."""


class Governance(Body, frozen=True):
    """A change that more than two thirds of the nodes' power approve."""

    proposal: Document
    """Encoded `genesis.Proposal`."""
    approvals: Approvals
    """(node, its COSE_Sign1 over the proposal), sorted by the nodes' keys."""


class RotateContractKey(Body, frozen=True):
    """The successor of the contract key, which more than two thirds of the nodes' power approve (II-B)."""

    successor: Document
    """Encoded `genesis.Successor`."""
    approvals: Approvals
    """(node, its COSE_Sign1 over the successor), sorted by the nodes' keys."""


class TellContractKey(Body, frozen=True):
    """A node has a meter told of the contract key in force (II-B)."""

    mid: Bytes16
    """The meter."""
    number: Unsigned
    """Number of the key."""


class Registration(Body, frozen=True):
    """A consumer or researcher joins: received first by the registrar (IV-A)."""

    role: Short
    """`Role` of the new party."""
    party: Bytes16
    """Its ID, `party_id(role, sign_key)`."""
    sign_key: Bytes32
    """Ed25519 public key, made on the party's own device."""
    hpke_key: Bytes32
    """X25519 public key for boxes to this party."""
    personal: Bytes32
    """Salted commitment to name, address and contact; the registrar keeps what it opens to."""
    proof: SignedDocument
    """COSE_Sign1 by `sign_key` over the fields above: proof of possession."""


class RotateKey(Body, frozen=True):
    """A party, signing with its old key, moves to a new pair."""

    sign_key: Bytes32
    """New Ed25519 public key."""
    hpke_key: Bytes32
    """New X25519 public key."""
    proof: SignedDocument
    """COSE_Sign1 by the new key over [role, party, sign_key, hpke_key]."""


class RevokeKey(Body, frozen=True):
    """The registrar, or the party itself, ends a key from this position of the log on."""

    role: Short
    """`Role` of the party whose key ends."""
    party: Bytes16
    """Its ID (a MID for a meter)."""
    sign_key: Bytes32
    """The key that ends; it must be the one in force."""


class ReplaceKey(Body, frozen=True):
    """A consumer lost the key: registrar and authenticator together announce a new one."""

    party: Bytes16
    """The consumer."""
    sign_key: Bytes32
    """New Ed25519 public key."""
    hpke_key: Bytes32
    """New X25519 public key."""
    after: Unsigned
    """Log index of the last change or announcement of the consumer's keys; approved for that moment."""
    proof: SignedDocument
    """COSE_Sign1 by the new key over [party, sign_key, hpke_key, after]."""
    authenticator: Bytes16
    """The authenticator who agrees."""
    approval: SignedDocument
    """Its COSE_Sign1 over the same document."""


class ConfirmKey(Body, frozen=True):
    """The registrar puts an announced key in force once the notice has run out."""

    party: Bytes16
    """The consumer."""
    sign_key: Bytes32
    """The announced key."""


class SupplyPoint(Body, frozen=True):
    """The registrar makes the meter ID of a consumer's supply point (IV-A)."""

    mid: Bytes16
    """MID, made by the registrar."""
    consumer: Bytes16
    """Who holds the account."""
    utility: Bytes16
    """Who supplies."""
    house: Bytes32
    """HN: salted commitment to the house number."""
    code_key: Bytes32
    """Ed25519 public key of the one-time installation code, which is its seed."""


class Authenticate(Body, frozen=True):
    """The authenticator verified the consumer's data and forwards the supply point (IV-A)."""

    mid: Bytes16
    """The supply point."""


class LinkMeter(Body, frozen=True):
    """A node adds the area code and links a device to the supply point (IV-A)."""

    mid: Bytes16
    """The supply point."""
    area: Name
    """Area code; must be the chain's."""
    device: Bytes32
    """Commitment to the device's serial number."""


class Agree(Body, frozen=True):
    """Utility (envelope) and consumer sign the agreement."""

    mid: Bytes16
    """The supply point."""
    agreement: Document
    """Encoded `contracts.agreement.Agreement`."""
    consent: SignedDocument
    """COSE_Sign1 by the consumer over the agreement."""


class Installation(Body, frozen=True):
    """The meter's contract made its key pair and reports (IV-A, V-A)."""

    epoch: Epoch
    """Meter epoch this device begins."""
    sign_key: Bytes32
    """The meter's Ed25519 public key; it signs this envelope."""
    hpke_key: Bytes32
    """The meter's X25519 public key."""
    proof: SignedDocument
    """COSE_Sign1 by the one-time code's key over [mid, epoch, sign_key, hpke_key, succeeded]."""
    script: Bytes32
    """Hash of the script that runs on the meter."""
    registers: Registers
    """First registers of the device, Wh."""
    succeeded: bool
    """"Installation successful", or failed."""


class Access(Body, frozen=True):
    """The authenticator verified the installed meter: access to electricity (IV-A)."""

    mid: Bytes16
    """The supply point."""
    epoch: Epoch
    """The installed device."""


class PublishTariff(Body, frozen=True):
    """A utility publishes a tariff."""

    tariff: Document
    """Encoded `energy_center.tariffs.Tariff`."""


class Capacity(Body, frozen=True):
    """The energy center offers generation capacity (III-A-6)."""

    window_from: Millis
    """Start of the window, ms."""
    window_to: Millis
    """End of the window, ms, exclusive."""
    energy: WattHours
    """Energy that can be dispatched in it."""


class PurchaseRequest(
    Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="purchase-request/1"
):
    """What a payer signs; its time is TTP."""

    payer_role: Short
    """`Role` of the payer: consumer, or anyone paying for them."""
    payer: Bytes16
    """The payer."""
    mid: Bytes16
    """The meter that gets the credit."""
    amount: Money
    """Millionths of the minor unit."""
    currency: Currency
    """ISO 4217 code; the chain's."""
    idempotency: Bytes16
    """Chosen by the payer; the same key and content is the same purchase."""
    time: Millis
    """When the request was signed (TTP)."""


class PaymentConfirmation(Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="payment/1"):
    """What a vendor signs: the money arrived."""

    vendor: Bytes16
    """The vendor."""
    request: Bytes32
    """sha256d of the purchase request's payload."""
    amount: Money
    """Millionths of the minor unit; the request's."""
    currency: Currency
    """ISO 4217 code; the request's."""
    reference: Reference
    """The payment's reference, usable once, forever."""
    time: Millis
    """When the money arrived."""


class Form(Body, frozen=True):
    """A node processes a purchase into a form (IV-C, IV-D); its envelope's time is TPT."""

    request: SignedDocument
    """COSE_Sign1 by the payer over a `PurchaseRequest`."""
    confirmation: SignedDocument
    """COSE_Sign1 by the vendor over a `PaymentConfirmation`."""
    mid: Bytes16
    """Meter ID."""
    house: Bytes32
    """HN: commitment to the house number."""
    area: Name
    """Area code."""
    tariff: Bytes32
    """Hash of the tariff in force."""
    script: Bytes32
    """Hash of the script generated for the agreement in force."""
    energy: WattHours
    """APP: energy that the money buys at TPT's price, a quote."""
    dispatch: Millis
    """Start of the capacity window that the energy is booked in."""
    replaces: OptionalId
    """The refused form that this one replaces, or empty."""


class Settlement(Struct, array_like=True, frozen=True, forbid_unknown_fields=True, gc=False):
    """The part of a claim that validators see of a household."""

    registers: Registers
    """1.8.0, rates 1.8.x, export 2.8.0, Wh."""
    credit: SignedMoney
    """Credit left by the meter's own computation, debt negative."""


class Report(Body, frozen=True):
    """A meter's claim (V-A); the envelope carries MID, sequence and time."""

    epoch: Epoch
    """Meter epoch."""
    event: Short
    """`contracts.meter_rule.Event`."""
    status: Short
    """`contracts.meter_rule.Status` bits."""
    relay: Short
    """`contracts.meter_rule.Relay`, after the event."""
    carried_out: Unsigned
    """Number of the last command carried out."""
    detail: Bytes32
    """sha256 of the detail's ciphertext."""
    period_key: Bytes32
    """Commitment to the period key that the detail is under."""
    reading: Bytes32 | Settlement
    """A salted hash of the registers, opened in the detail; or the settlement itself."""


class Lock(Body, frozen=True):
    """A node locks a parent block (V-B)."""

    mid: Bytes16
    """The thread."""
    height: Unsigned
    """Height in the thread."""
    block: Document
    """Encoded parent block."""


class AppendSideBlock(Body, frozen=True):
    """A node appends a side block to its parent (V-C)."""

    mid: Bytes16
    """The thread."""
    height: Unsigned
    """Height of the parent in the thread."""
    block: Document
    """Encoded side block."""


class ReversePayment(Body, frozen=True):
    """A vendor reverses a payment that bounced."""

    reference: Reference
    """The payment's reference."""


class CloseAccount(Body, frozen=True):
    """Moving out: utility (envelope) and consumer close the account."""

    mid: Bytes16
    """The thread that closes."""
    move_to: Annotated[bytes, Meta(max_length=16)]
    """The consumer's new MID that gets the credit left, or empty: refunded through the vendor."""
    vendor: Annotated[bytes, Meta(max_length=16)]
    """The vendor that refunds, or empty."""
    consent: SignedDocument
    """COSE_Sign1 by the consumer over [mid, move_to, vendor]."""


class PayOut(Body, frozen=True):
    """Utility (envelope) and consumer: a closed account pays out what it was given since (III-A-5)."""

    mid: Bytes16
    """The thread that closed."""
    amount: Money
    """All that is left in the account, millionths of the minor unit."""
    move_to: Annotated[bytes, Meta(max_length=16)]
    """The consumer's own other MID that gets it, or empty: refunded through the vendor."""
    vendor: Annotated[bytes, Meta(max_length=16)]
    """The vendor that refunds, or empty."""
    consent: SignedDocument
    """COSE_Sign1 by the consumer over [mid, amount, move_to, vendor]."""


class SwapDevice(Body, frozen=True):
    """The registrar starts a new meter epoch; an operator signs the last register."""

    mid: Bytes16
    """The supply point; it keeps thread and credit."""
    epoch: Epoch
    """The new epoch, one more than the last."""
    registers: Registers
    """Last registers of the removed device, Wh."""
    code_key: Bytes32
    """Ed25519 public key of the new one-time installation code."""
    operator: Bytes16
    """Who read and removed the device."""
    witness: SignedDocument
    """The operator's COSE_Sign1 over [mid, epoch, registers, code_key]."""


class Supply(Body, frozen=True):
    """The consumer's own control of the supply (Table 1: customer utility control)."""

    mid: Bytes16
    """The consumer's supply point."""
    on: bool
    """Whether the consumer wants power."""
    power_limit: Watts
    """Limit the consumer sets, W; 0 for the agreement's."""


class ClearTamper(Body, frozen=True):
    """Two different operators put a tampered meter back in service."""

    mid: Bytes16
    """The meter."""
    epoch: Epoch
    """Its device."""
    second: Bytes16
    """The second operator."""
    approval: SignedDocument
    """The second operator's COSE_Sign1 over [mid, epoch, number of the tamper report]."""
    sequence: Unsigned
    """Sequence of the last tamper report that is cleared."""


class Dispute(Body, frozen=True):
    """Consumer or utility disputes a violation, with what was done about it (III-A-5)."""

    mid: Bytes16
    """The meter."""
    number: Unsigned
    """Number of the finding."""
    document: OptionalId
    """sha256d of what the party says about it, kept outside the ledger; or empty."""


class Resolve(Body, frozen=True):
    """Two operators decide a dispute; or the utility gives a claim of its own up."""

    mid: Bytes16
    """The meter."""
    number: Unsigned
    """Number of the finding."""
    upheld: bool
    """Whether the violation stands; else what was done about it is reversed."""
    second: Annotated[bytes, Meta(max_length=16)]
    """The second operator; empty from the utility."""
    approval: Annotated[bytes, Meta(max_length=12 * 1024)]
    """The second operator's COSE_Sign1 over [mid, number, upheld]; empty from the utility."""


class LiftCutOff(Body, frozen=True):
    """The utility lifts an agreed cut-off."""

    mid: Bytes16
    """The meter."""


class Accuse(Body, frozen=True):
    """A node names another, which told a meter what no quorum proves (V-A: manipulated data)."""

    mid: Bytes16
    """The meter."""
    delivery: SignedDocument
    """COSE_Sign1 by the accused node over a `keys.sealed_commands.Delivery`."""


MAX_PARTS = 88
"""Parts of an exhibit: the largest delivery that a meter reads, 1 MiB, has no more."""
PART_SIZE = 12 * 1024
"""Largest part of an exhibit, bytes."""


class Exhibit(Body, frozen=True):
    """A part of a signed delivery that is too large for one transaction."""

    digest: Bytes32
    """sha256d of the whole."""
    number: Annotated[int, Meta(ge=0, lt=MAX_PARTS)]
    """Number of the part, from 0; each follows the one before."""
    content: Annotated[bytes, Meta(min_length=1, max_length=PART_SIZE)]
    """The part."""


class AccuseExhibit(Body, frozen=True):
    """As ACCUSE, for a delivery whose parts the same node has just logged."""

    mid: Bytes16
    """The meter."""
    digest: Bytes32
    """sha256d of the COSE_Sign1 by the accused node over a `keys.sealed_commands.Delivery`."""
    count: Annotated[int, Meta(ge=1, le=MAX_PARTS)]
    """Number of its parts."""


class AccountProof(Struct, array_like=True, frozen=True, forbid_unknown_fields=True, gc=False):
    """A meter's account with its proof under a state root."""

    value: Document
    """Encoded account."""
    bucket: Document
    """Content of its bucket of the state tree."""
    path: Annotated[tuple[Bytes32, ...], Meta(max_length=24)]
    """Siblings from the bucket up to the state root."""


class AccuseProposer(Body, frozen=True):
    """A node names a proposer, which signed another result than its transactions have (IV-D)."""

    mid: Annotated[bytes, Meta(max_length=16)]
    """A meter that the proposal charged too much, or empty where none is shown."""
    proposal: SignedDocument
    """COSE_Sign1 by the proposer's validator key over a `blockchain.proposals.BlockProposal`."""
    note: Document
    """Checkpoint of the same log, signed by its quorum, which came to another state."""
    accounts: Annotated[tuple[AccountProof, ...], Meta(max_length=2)]
    """The meter's account as proposed, then as decided; none without a meter."""


class Part(IntEnum):
    """Parts of the files that a node keeps (docs/spec/storage.md); closed."""

    FILE = 1
    """A whole file, or what no schema has."""
    ROW = 2
    """A row of the state."""
    BLOCK = 3
    """A consensus block with its transactions and note."""
    START = 4
    """Where a block's transactions begin in the log."""
    TILE = 5
    """Hashes of the log."""
    SEGMENT = 6
    """Transaction IDs of the log, sorted."""
    HANDOVER = 7
    """A change of the validator set."""
    META = 8
    """The genesis document."""
    DETAIL = 9
    """An encrypted load profile."""
    CHANNEL = 10
    """The offer of a channel."""
    WRAPPED = 11
    """A period key wrapped for a reader."""


Place = Annotated[bytes, Meta(max_length=256)]
"""Where in a part: the row's key, or the encoded array of the key's columns."""


class CopyProof(Struct, array_like=True, frozen=True, forbid_unknown_fields=True, gc=False):
    """What a row of the state was by quorum, and what the node itself says that its copy is."""

    statement: Annotated[bytes, Meta(max_length=1024)]
    """COSE_Sign1 by the node over [height, table, place, found]; empty where the node signs the envelope."""
    note: Annotated[bytes, Meta(max_length=8 * 1024)]
    """Checkpoint of that height, signed by its quorum."""
    bucket: Document
    """Content of the row's bucket of the state tree."""
    path: Annotated[tuple[Bytes32, ...], Meta(max_length=24)]
    """Siblings from the bucket up to the state root."""


class CopyDiffers(Body, frozen=True):
    """A node's copy is not what a quorum signed; found by the node itself, or shown by its own signature."""

    node: Bytes16
    """Whose copy."""
    part: Part
    """Part of its files."""
    table: Short
    """`state_rows.Table` of a row of the state, else 0."""
    place: Place
    """Where in it."""
    found: OptionalId
    """SHA-256 of what is there, or empty where nothing is."""
    expected: OptionalId
    """SHA-256 of what should be there, or empty where nothing should."""
    mid: Annotated[bytes, Meta(max_length=16)]
    """Meter whose data it is; empty where it is nobody's, or the key of a row says it."""
    good: Unsigned
    """Height of the last block at which the finder knows the copy to have been right, 0 for none."""
    proof: CopyProof | None
    """What lets anybody check it; without one a node can report its own copy only."""


class CopyHealed(Body, frozen=True):
    """A node put its copy right again."""

    part: Part
    """Part of its files."""
    table: Short
    """`state_rows.Table` of a row of the state, else 0."""
    place: Place
    """Where in it."""


class MeterSilent(Body, frozen=True):
    """A node noticed that a meter has not reported for longer than agreed (IV-B)."""

    mid: Bytes16
    """The meter."""
    epoch: Epoch
    """Its device."""
    sequence: Unsigned
    """Sequence of its last report."""


class Grant(Body, frozen=True):
    """The owner lets somebody read (consent): what, of which days, what for, and until when."""

    mid: Bytes16
    """The owner's meter."""
    role: Short
    """`Role` of the reader."""
    reader: Bytes16
    """Its party ID."""
    data: Short
    """What may be read, `contracts.consent.Data` bits."""
    first: Period
    """First day that may be read."""
    last: Period
    """Last day that may be read; it may be yet to come."""
    purpose: Name
    """What it may be read for; a request names the same."""
    expires: Millis
    """After this time nothing is answered any more."""


class RevokeGrant(Body, frozen=True):
    """The owner ends a grant."""

    mid: Bytes16
    """The owner's meter."""
    number: Unsigned
    """Number of the grant."""


class Read(Body, frozen=True):
    """A request for data; decided before anything is answered, and kept whatever becomes of it."""

    mid: Bytes16
    """Whose data."""
    grant: Unsigned
    """Number of the grant it relies on; 0 for the owner, and for the custodian by agreement."""
    data: Short
    """What is asked for, `contracts.consent.Data` bits."""
    first: Period
    """First day."""
    last: Period
    """Last day."""
    purpose: Name
    """What for."""


class Answer(Body, frozen=True):
    """A node is about to answer a request: what it answers is tagged, and the tags' hash is here."""

    mid: Bytes16
    """Whose data."""
    number: Unsigned
    """Number of the request in the owner's thread."""
    tags: Bytes32
    """sha256d of the node's signed tags."""


class Erase(Body, frozen=True):
    """The owner has details erased, for good and at every node; the log keeps their hashes."""

    mid: Bytes16
    """The owner's meter."""
    first: Period
    """First day whose details are erased."""
    last: Period
    """Last day; it has ended."""
    personal: bool
    """Whether the registrar also erases what opens the commitments to house number and personal data."""


BODIES: dict[tuple[int, int], Any] = {
    (Kind.GOVERNANCE, 1): Governance,
    (Kind.REGISTRATION, 1): Registration,
    (Kind.ROTATE_KEY, 1): RotateKey,
    (Kind.REVOKE_KEY, 1): RevokeKey,
    (Kind.REPLACE_KEY, 1): ReplaceKey,
    (Kind.CONFIRM_KEY, 1): ConfirmKey,
    (Kind.SUPPLY_POINT, 1): SupplyPoint,
    (Kind.AUTHENTICATE, 1): Authenticate,
    (Kind.LINK_METER, 1): LinkMeter,
    (Kind.AGREEMENT, 1): Agree,
    (Kind.INSTALLATION, 1): Installation,
    (Kind.ACCESS, 1): Access,
    (Kind.TARIFF, 1): PublishTariff,
    (Kind.CAPACITY, 1): Capacity,
    (Kind.FORM, 1): Form,
    (Kind.REPORT, 1): Report,
    (Kind.LOCK, 1): Lock,
    (Kind.SIDE_BLOCK, 1): AppendSideBlock,
    (Kind.REVERSE_PAYMENT, 1): ReversePayment,
    (Kind.CLOSE_ACCOUNT, 1): CloseAccount,
    (Kind.SWAP_DEVICE, 1): SwapDevice,
    (Kind.SUPPLY, 1): Supply,
    (Kind.CLEAR_TAMPER, 1): ClearTamper,
    (Kind.GRANT, 1): Grant,
    (Kind.REVOKE_GRANT, 1): RevokeGrant,
    (Kind.READ, 1): Read,
    (Kind.ANSWER, 1): Answer,
    (Kind.ERASE, 1): Erase,
    (Kind.DISPUTE, 1): Dispute,
    (Kind.RESOLVE, 1): Resolve,
    (Kind.LIFT_CUT_OFF, 1): LiftCutOff,
    (Kind.ACCUSE, 1): Accuse,
    (Kind.COPY_DIFFERS, 1): CopyDiffers,
    (Kind.COPY_HEALED, 1): CopyHealed,
    (Kind.SILENCE, 1): MeterSilent,
    (Kind.ROTATE_CONTRACT_KEY, 1): RotateContractKey,
    (Kind.TELL_CONTRACT_KEY, 1): TellContractKey,
    (Kind.ACCUSE_PROPOSER, 1): AccuseProposer,
    (Kind.PAYOUT, 1): PayOut,
    (Kind.EXHIBIT, 1): Exhibit,
    (Kind.ACCUSE_EXHIBIT, 1): AccuseExhibit,
}
"""(type, version) -> body; anything else is refused as malformed."""
