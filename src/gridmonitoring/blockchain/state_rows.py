"""The rows of the state (docs/spec/state.md): tables, keys and values.

A row is (table, key, value); the value is the encoding of one struct below, or of a struct of
the folder that owns its meaning (accounts and tariffs: `energy_center`; agreements: `contracts`).
`processing.state_transition` alone writes them.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import Annotated

from msgspec import Meta, Struct

from gridmonitoring.blockchain.bodies import Epoch, OptionalId, Part, Period, Place, Short
from gridmonitoring.encoding.bounds import (
    Bytes16,
    Bytes32,
    Document,
    Millis,
    Money,
    Name,
    Unsigned,
    WattHours,
    Watts,
)

Peaks = Annotated[bytes, Meta(max_length=64 * 32)]
"""Peaks of a Merkle range, 32 bytes each, largest subtree first."""
OptionalKey = Annotated[bytes, Meta(max_length=32)]
"""A public key, or empty where it was revoked."""


class Table(IntEnum):
    """Tables of the state; the number is part of every row's hash."""

    PARAMETERS = 1
    """Key empty: `genesis.Parameters`."""
    VALIDATORS = 2
    """Key empty: `genesis.ValidatorSet`."""
    PARTY = 3
    """Key role (1 byte), party ID: `PartyRow`."""
    SUPPLY_POINT = 4
    """Key MID: `SupplyPointRow`."""
    DEVICE = 5
    """Key MID, epoch (4 bytes): `DeviceRow`."""
    METER = 6
    """Key MID: `MeterRow`."""
    AGREEMENT = 7
    """Key MID: `contracts.agreement.AgreementRow`."""
    ACCOUNT = 8
    """Key MID: `energy_center.credit.Account`."""
    LOT = 9
    """Key MID, height (8 bytes): `LotRow`, until its block is locked."""
    TARIFF = 10
    """Key tariff hash: `energy_center.tariffs.Tariff`."""
    CAPACITY = 11
    """Key empty: `processing.rows.CapacityRow`."""
    PAYMENT = 12
    """Key vendor ID, reference: `PaymentRow`; never deleted."""
    PURCHASE = 13
    """Key payer ID, idempotency key: `PurchaseRow`; never deleted."""
    COMMAND = 14
    """Key MID, number (8 bytes): `CommandRow`, until the meter reports a number at or past it."""
    BLOCK = 15
    """Key MID, height (8 bytes): `BlockRow`, one per locked parent block."""
    SIDE = 16
    """Key MID, height (8 bytes) of the parent: `SideRow`."""
    MESSAGE = 17
    """Key MID, number (8 bytes): `MessageRow`, until a side block holds it."""
    DUE = 18
    """Key MID, height (8 bytes): `DueRow`; the block is complete and waits for its lock."""
    GOVERNANCE = 19
    """Key empty: `GovernanceRow`."""
    TARIFF_SERIES = 20
    """Key sha256d of utility and name: `TariffSeriesRow`."""
    SUPPLY_WISH = 21
    """Key MID: `SupplyWishRow`."""
    CONSUMER = 22
    """Key consumer's party ID: `ConsumerRow`."""
    ACCESS = 30
    """Key MID: `AccessRow`, once anything was granted, asked for or erased."""
    GRANT = 31
    """Key MID, number (8 bytes): `GrantRow`; never deleted."""
    READ = 32
    """Key MID, number (8 bytes): `ReadRow`; never deleted."""
    ERASURE = 33
    """Key MID, number (8 bytes): `ErasureRow`; never deleted."""
    FINDING = 35
    """Key MID, number (8 bytes) of its message: `FindingRow`; never deleted."""
    OPEN_FINDING = 36
    """Key MID, TVLN (2 bytes): `OpenFindingRow`."""
    COPY = 40
    """Key node ID, first 16 bytes of sha256d of [part, table, place]: `CopyRow`, until it is healed."""
    CONDUCT = 41
    """Key node ID: `ConductRow`."""
    SILENCE = 42
    """Key MID: `SilenceRow`, of the last silence that was noticed."""
    CONTRACT_KEY = 45
    """Key number (8 bytes): `ContractKeyRow`, once a key was rotated; never deleted."""
    CONTRACT_KEYS = 46
    """Key empty: `ContractKeysRow`, once a key was rotated."""
    METER_KEY = 47
    """Key MID: `MeterKeyRow`, once the device in service was told of another contract key than genesis'."""
    PROPOSAL = 48
    """Key node ID, first 16 bytes of sha256d of [log size, log root, MID or empty]: `ProposalRow`."""
    EXHIBIT = 49
    """Key node ID, number of the part (2 bytes): `ExhibitRow`, until used or another takes its place."""


class Row(Struct, array_like=True, frozen=True, forbid_unknown_fields=True, gc=False):
    """Base of every row value."""


class FormerKey(Row, frozen=True):
    """A signing key that is no longer in force."""

    sign_key: Bytes32
    """Ed25519 public key."""
    since: Unsigned
    """Log index from which it was in force."""
    until: Unsigned
    """Log index from which it was not."""


class PendingKey(Row, frozen=True):
    """A replacement that waits for its notice to run out."""

    sign_key: Bytes32
    """New Ed25519 public key."""
    hpke_key: Bytes32
    """New X25519 public key."""
    effective: Millis
    """Earliest signed time of the confirmation."""
    announced: Unsigned
    """Log index of the announcement."""


class PartyRow(Row, frozen=True):
    """A party with keys."""

    sign_key: OptionalKey
    """Ed25519 public key in force, or empty."""
    hpke_key: Bytes32
    """X25519 public key."""
    since: Unsigned
    """Log index from which `sign_key` is in force (0 for founding parties)."""
    nonce: Unsigned
    """Nonce of its last transaction."""
    time: Millis
    """Time of its last transaction."""
    personal: OptionalId
    """Salted commitment to personal data, or empty."""
    pending: PendingKey | None
    """Replacement under notice."""
    former: Annotated[tuple[FormerKey, ...], Meta(max_length=64)]
    """Earlier keys, oldest first."""


MAX_METERS = 64
"""Open supply points of one consumer: each is told when the consumer's key is to be replaced."""


class ConsumerRow(Row, frozen=True):
    """The supply points of a consumer."""

    meters: Annotated[tuple[Bytes16, ...], Meta(max_length=MAX_METERS)]
    """MIDs of those that are not closed, oldest first."""


class Stage(IntEnum):
    """How far registration and installation have come (IV-A)."""

    REGISTERED = 1
    AUTHENTICATED = 2
    LINKED = 3
    INSTALLED = 4
    SUPPLIED = 5
    CLOSED = 6


class SupplyPointRow(Row, frozen=True):
    """A supply point and how far its installation has come."""

    consumer: Bytes16
    """Who holds the account."""
    utility: Bytes16
    """Who supplies."""
    house: Bytes32
    """HN commitment."""
    code_key: OptionalKey
    """Ed25519 public key of the one-time code still unused, or empty."""
    stage: Stage
    """Progress of IV-A."""
    area: Annotated[str, Meta(max_length=64)]
    """Area code, empty before a node added it."""
    device: OptionalId
    """Commitment to the device's serial number, or empty."""


class DeviceRow(Row, frozen=True):
    """The keys of one device (meter epoch)."""

    sign_key: OptionalKey
    """Ed25519 public key in force, or empty."""
    hpke_key: Bytes32
    """X25519 public key."""
    since: Unsigned
    """Log index from which `sign_key` is in force."""
    former: Annotated[tuple[FormerKey, ...], Meta(max_length=64)]
    """Earlier keys, oldest first."""


class MeterRow(Row, frozen=True):
    """The state of one meter; written by every report."""

    epoch: Epoch
    """Meter epoch of the device in service."""
    sequence: Unsigned
    """Highest sequence accepted in this epoch."""
    time: Millis
    """Time of that report."""
    state: Short
    """`contracts.meter_rule.MeterState`."""
    relay: Short
    """`contracts.meter_rule.Relay` as last reported."""
    status: Short
    """Status word as last reported."""
    carried_out: Unsigned
    """Last command the meter carried out."""
    commands: Unsigned
    """Number of the last command ordered."""
    messages: Unsigned
    """Number of the last contract message."""
    height: Unsigned
    """Height of the parent block whose life is running."""
    next_height: Unsigned
    """Height of the next form."""
    life_size: Unsigned
    """Transactions so far in the life of block `height`."""
    life_peaks: Peaks
    """Their Merkle range (sha256d)."""
    life_actions: Unsigned
    """Violations recorded on the running block so far."""
    tampered: Unsigned
    """Sequence of the last tamper report not cleared, or 0."""
    cut_off: bool
    """Whether an agreed cut-off is in force, also while the meter is tampered."""
    gaps: Annotated[tuple[tuple[Unsigned, Unsigned], ...], Meta(max_length=16)]
    """Sequences missing, (first, last) inclusive, oldest first."""


class LotRow(Row, frozen=True):
    """A parent block in the making: a form and what happened to its credit."""

    form: Bytes32
    """Form transaction ID."""
    format: Bytes16
    """The block's ID."""
    ttp: Millis
    """Time to purchase power."""
    tpt: Millis
    """Time to process the transaction."""
    tpr: Millis | None
    """Time power starts reading."""
    tprt: Millis | None
    """Time power reaches the threshold value."""
    tpf: Millis | None
    """Time power gets finished."""
    node: Bytes16
    """NID of the form's node."""
    payer: Bytes16
    """Who paid."""
    vendor: Annotated[bytes, Meta(max_length=16)]
    """Vendor that confirmed, or empty (installation)."""
    energy: WattHours
    """APP, a quote."""
    amount: Money
    """Amount paid."""
    tariff: Bytes32
    """Hash of the tariff at TPT."""
    script: Bytes32
    """Hash of the script at TPT."""
    dispatch: Millis
    """Start of the capacity window, 0 for none."""
    log_root: Bytes32
    """Root of the log just before the form."""
    log_size: Unsigned
    """Its size."""
    replaces: OptionalId
    """The refused form this one replaces, or empty."""
    life_size: Unsigned
    """Transactions in the block's life, while it is not the running one."""
    life_peaks: Peaks
    """Their Merkle range."""
    actions: Unsigned
    """Action counter: violations recorded on this block."""
    last_time: Millis
    """Time of the last entry of the block's life."""
    reason: Short
    """`parent_block.LockReason`, 0 while open."""


class PaymentRow(Row, frozen=True):
    """A payment reference that was used."""

    form: Bytes32
    """Form transaction ID."""
    mid: Bytes16
    """Meter credited."""
    height: Unsigned
    """Height of its block."""
    amount: Money
    """Amount paid."""
    reversed: bool
    """Whether the vendor reversed it."""


class PurchaseRow(Row, frozen=True):
    """An idempotency key that was used."""

    request: Bytes32
    """sha256d of the request's payload: the same content gets the first receipt."""
    form: Bytes32
    """Form transaction ID."""
    index: Unsigned
    """Its log index."""


class CommandKind(IntEnum):
    """What a meter is told to do; closed."""

    CREDIT = 1
    """Add a lot; by a FORM, or a CLOSE_ACCOUNT or PAYOUT that moves credit here."""
    MESSAGE = 2
    """Show a message; by a REPORT on which the consumer is alerted, a REPLACE_KEY, a READ of another than the
    owner, a DISPUTE or a RESOLVE."""
    DISCONNECT = 3
    """Open the relay, as agreed for a violation; by what shows it."""
    RECONNECT = 4
    """Give power once installed, by ACCESS; or lift a cut-off, by LIFT_CUT_OFF or RESOLVE."""
    SUPPLY_OFF = 5
    """Open the relay at the consumer's wish; by SUPPLY."""
    SUPPLY_ON = 6
    """Close it again; by SUPPLY."""
    POWER_LIMIT = 7
    """Keep the consumer's own power limit; by SUPPLY."""
    CLEAR_TAMPER = 8
    """Leave the state TAMPERED; by CLEAR_TAMPER."""
    REVERSAL = 9
    """Take back what is left of a lot; by REVERSE_PAYMENT."""
    SCRIPT = 10
    """Go on under other terms; by an AGREEMENT of an installed meter."""
    CLOSE = 11
    """The account is closed, by CLOSE_ACCOUNT; or pays out what it was given since, by PAYOUT."""
    CONTRACT_KEY = 12
    """Seal what is reported to this contract key from now on; by TELL_CONTRACT_KEY, and ACCESS."""
    GRANTS = 20
    """Wrap keys for these readers from now on; by GRANT, REVOKE_GRANT, and ACCESS."""
    PENALTY = 30
    """Charge an agreed penalty, or take a compensation back; by what shows a violation, or a RESOLVE."""
    COMPENSATION = 31
    """Credit an agreed compensation, or give a penalty back; by what shows a violation, or a RESOLVE."""


class CommandRow(Row, frozen=True):
    """A command to a meter; its proof up to a quorum is its authority."""

    kind: CommandKind
    """What to do."""
    epoch: Epoch
    """The device it is for."""
    cause: Bytes32
    """Transaction that ordered it."""
    time: Millis
    """That transaction's signed time."""
    expires: Millis
    """After this time the meter ignores it."""
    height: Unsigned
    """CREDIT, REVERSAL: height of the lot; MESSAGE: message code; GRANTS: message code, if there is something
    to tell; PENALTY, COMPENSATION, DISCONNECT: number of the finding, if for one;
    CONTRACT_KEY: number of the key; else 0."""
    amount: Money
    """CREDIT, REVERSAL: money of the lot; PENALTY, COMPENSATION: money; CLOSE: the refund or payout;
    POWER_LIMIT: W; CLEAR_TAMPER: the sequence cleared; MESSAGE: when what it announces comes in force, ms;
    else 0."""
    document: Document
    """SCRIPT: encoded agreement; GRANTS: encoded readers; CONTRACT_KEY: encoded key; of money: the
    debt just before it, encoded, where there was any; else empty."""


class BlockRow(Row, frozen=True):
    """A locked parent block, by reference."""

    block_hash: Bytes32
    """sha256d of its header."""
    format: Bytes16
    """Its ID."""
    index: Unsigned
    """Log index of the transaction that locked it."""


class SideRow(Row, frozen=True):
    """The chain of side blocks of one parent."""

    format: Bytes16
    """The parent's ID."""
    count: Unsigned
    """Side blocks so far."""
    peaks: Peaks
    """Merkle range over them (sha256d)."""
    last: OptionalId
    """Hash of the last one, or empty."""
    actions: Unsigned
    """Violations in them."""


class EntryKind(IntEnum):
    """What a contract message is."""

    STATE = 1
    VIOLATION = 2


class MessageRow(Row, frozen=True):
    """A contract message on its way into a side block (contract database)."""

    height: Unsigned
    """Height of the parent it belongs to."""
    kind: EntryKind
    """State message or violation."""
    code: Short
    """Message code."""
    violation: Short
    """TVLN, 0 for a state message."""
    tsv: Millis
    """TSV: time of the violation, 0 for a state message."""
    tsm: Millis
    """TSM: time of the meter's state."""
    state: Short
    """State of the meter."""
    evidence: Annotated[tuple[Bytes32, ...], Meta(max_length=8)]
    """Transaction IDs that show it."""
    count: Unsigned
    """Identical findings while this one is open."""
    action: Short
    """What was done about it: `Done` bits, 0 for nothing."""
    receipt: Money
    """Money that this moved, 0 for none."""


class Done(IntFlag):
    """What was done about a violation by agreement (III-A-5); several bits may be set."""

    PENALTY = 1
    """The penalty was charged."""
    COMPENSATION = 2
    """The compensation was credited."""
    CUT_OFF = 4
    """The cut-off was ordered."""
    NOTICE = 8
    """The consumer was told."""


class FindingState(IntEnum):
    """How far a finding has come."""

    RECORDED = 1
    DISPUTED = 2
    UPHELD = 3
    REVERSED = 4


class FindingRow(Row, frozen=True):
    """A violation and the receipt of what was done about it (III-A-5)."""

    violation: Short
    """TVLN."""
    height: Unsigned
    """Height of the parent it belongs to."""
    time: Millis
    """TSV."""
    evidence: Bytes32
    """Transaction that showed it first."""
    node: Annotated[bytes, Meta(max_length=16)]
    """The node that it names, or empty."""
    count: Unsigned
    """Identical findings so far; what was agreed is done once."""
    action: Short
    """`Done` bits."""
    amount: Money
    """Money that the action moved, 0 for none."""
    state: FindingState
    """How far it has come."""
    dispute: OptionalId
    """Transaction that disputed it, or empty."""
    resolution: OptionalId
    """Transaction that decided the dispute, or empty."""


class OpenFindingRow(Row, frozen=True):
    """The last finding of a type, with which identical ones are counted."""

    number: Unsigned
    """Its number."""


class DueRow(Row, frozen=True):
    """A block that waits for its lock."""

    node: Bytes16
    """Node whose turn is first."""
    time: Millis
    """Since when."""


class SupplyWishRow(Row, frozen=True):
    """What the consumer set on the own supply (Table 1: customer utility control)."""

    on: bool
    """Whether the consumer wants power."""
    power_limit: Watts
    """W, 0 for the agreement's."""


class AccessRow(Row, frozen=True):
    """How far access to a meter's data has come."""

    grants: Unsigned
    """Number of the last grant."""
    in_force: Annotated[tuple[Unsigned, ...], Meta(max_length=32)]
    """Numbers of the grants that were not revoked and, when one was added last, had not expired."""
    reads: Unsigned
    """Number of the last request."""
    erasures: Unsigned
    """Number of the last erasure."""
    told: Unsigned
    """Number of the command that last told the owner of a request, 0 before the first."""


class GrantRow(Row, frozen=True):
    """What the owner lets somebody read."""

    role: Short
    """`Role` of the reader."""
    reader: Bytes16
    """Its party ID."""
    data: Short
    """What may be read, `contracts.consent.Data` bits."""
    first: Period
    """First day that may be read."""
    last: Period
    """Last day that may be read."""
    purpose: Name
    """What it may be read for."""
    granted: Millis
    """When the owner signed it."""
    expires: Millis
    """After this time nothing is answered any more."""
    revoked: Millis
    """When the owner ended it, 0 where it was not revoked."""


class ReadRow(Row, frozen=True):
    """A request for data and what became of it."""

    request: Bytes32
    """Its transaction ID."""
    index: Unsigned
    """Its log index; an answer speaks of the log before it."""
    role: Short
    """`Role` of who asked."""
    reader: Bytes16
    """Who asked."""
    grant: Unsigned
    """Number of the grant it relied on, 0 for none."""
    data: Short
    """What was asked for, `contracts.consent.Data` bits."""
    first: Period
    """First day."""
    last: Period
    """Last day."""
    purpose: Name
    """What for."""
    time: Millis
    """When it was signed."""
    verdict: Short
    """`contracts.consent.Verdict`."""
    node: Annotated[bytes, Meta(max_length=16)]
    """NID of the node that answered, or empty."""
    tags: OptionalId
    """sha256d of its tags, or empty."""


class ErasureRow(Row, frozen=True):
    """Details that are to be erased, and not to come back."""

    request: Bytes32
    """Transaction ID."""
    index: Unsigned
    """Its log index: of what is logged before it, nothing is kept."""
    first: Period
    """First day."""
    last: Period
    """Last day."""
    time: Millis
    """When the owner signed it."""
    personal: bool
    """Whether what opens the commitments was to be erased, too."""


class CopyRow(Row, frozen=True):
    """A node's copy that is not what a quorum signed, and not healed yet (V-B)."""

    report: Bytes32
    """Transaction that reported it."""
    reporter: Bytes16
    """Node that reported it."""
    time: Millis
    """When."""
    part: Part
    """Part of the node's files."""
    table: Short
    """`Table` of a row of the state, else 0."""
    place: Place
    """Where in it."""
    mid: Annotated[bytes, Meta(max_length=16)]
    """Meter whose data it is, or empty."""
    proven: bool
    """Whether the report carried a proof, or is the node's own word."""


class ConductRow(Row, frozen=True):
    """How a node has done its duties; counts only grow, but for `unhealed`."""

    differing: Unsigned
    """Copies of it that were not what a quorum signed."""
    healed: Unsigned
    """Copies that it put right again."""
    unhealed: Unsigned
    """Copies that are not healed yet."""
    missed: Unsigned
    """Blocks that were its to lock and that another node locked after the wait."""
    taken: Unsigned
    """Blocks of other nodes that it locked."""
    time: Millis
    """When the last of these was recorded."""


class SilenceRow(Row, frozen=True):
    """A meter's silence that was noticed."""

    epoch: Epoch
    """Meter epoch of the last report before it."""
    sequence: Unsigned
    """Sequence of that report."""
    last: Millis
    """Signed time of that report."""
    noticed: Millis
    """When a node noticed."""
    node: Bytes16
    """Which node."""


class ContractKeyRow(Row, frozen=True):
    """A contract key of the network: reports are sealed to it (II-B)."""

    suite: Unsigned
    """HPKE suite (`keys.sealed_boxes.SuiteNumber`)."""
    key: Bytes32
    """The public key."""
    since: Unsigned
    """Log size from which it is in force, 0 for the key of genesis."""
    ends: Millis | None
    """Block time after which no report sealed to it is taken, ms; none while no successor was announced."""


class ContractKeysRow(Row, frozen=True):
    """How far rotation of the contract key has come."""

    last: Unsigned
    """Number of the key announced last."""


class MeterKeyRow(Row, frozen=True):
    """Which contract key a device in service seals to."""

    told: Unsigned
    """Number of the key that it was told of last."""
    taken: Unsigned
    """Number of the key that it has taken over; its script names this one."""


class ContractKeyDocument(Row, frozen=True, tag="contract-key/1"):
    """What a CONTRACT_KEY command tells a meter."""

    suite: Unsigned
    """HPKE suite."""
    key: Bytes32
    """The public key to seal to."""


class ProposalRow(Row, frozen=True):
    """A block that a node proposed with another result than the quorum's (IV-D)."""

    accusation: Bytes32
    """Transaction that showed it."""
    reporter: Bytes16
    """Node that sent it."""
    time: Millis
    """When."""
    height: Unsigned
    """Height of the block that was proposed."""
    size: Unsigned
    """Transactions in its log."""
    mid: Annotated[bytes, Meta(max_length=16)]
    """Meter that it charged too much, or empty."""


class ExhibitRow(Row, frozen=True):
    """A part of a large delivery that a node is about to accuse another of."""

    digest: Bytes32
    """sha256d of the whole."""
    content: Document
    """The part."""


class GovernanceRow(Row, frozen=True):
    """Progress of governance."""

    number: Unsigned
    """Number of the last proposal that passed."""


def height_key(mid: bytes, height: int) -> bytes:
    """Return the key of rows per meter and height or number."""
    return mid + height.to_bytes(8, "big")


def open_finding_key(mid: bytes, violation: int) -> bytes:
    """Return the key of the last finding of a type."""
    return mid + violation.to_bytes(2, "big")


def device_key(mid: bytes, epoch: int) -> bytes:
    """Return the key of a device row."""
    return mid + epoch.to_bytes(4, "big")


def party_key(role: int, party: bytes) -> bytes:
    """Return the key of a party row."""
    return bytes((role,)) + party
