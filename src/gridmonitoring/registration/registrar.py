"""The registrar (paper III-A-3, IV-A): parties join, keys change, supply points and devices begin.

The registrar receives a registration first (III-A-3 and IV-A differ; ADR). Keys change by order
in the log, never by a signed time, so a stolen key cannot back-date itself into force.

Left out: personal data, which the registrar keeps off the ledger; here are salted commitments.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from gridmonitoring.blockchain.bodies import (
    ConfirmKey,
    Registration,
    ReplaceKey,
    RevokeKey,
    RotateKey,
    SupplyPoint,
)
from gridmonitoring.blockchain.ledger import Ledger, open_by, party_in_force, refuse, require_document
from gridmonitoring.blockchain.state_rows import (
    MAX_METERS,
    ConsumerRow,
    DeviceRow,
    FormerKey,
    MeterRow,
    PartyRow,
    PendingKey,
    Stage,
    SupplyPointRow,
    Table,
    device_key,
    party_key,
)
from gridmonitoring.blockchain.transactions import Transaction, party_id
from gridmonitoring.encoding.bounds import Role
from gridmonitoring.encoding.cbor import encode
from gridmonitoring.errors import BadPublicKey, Refused
from gridmonitoring.keys.sealed_boxes import check_hpke_key
from gridmonitoring.keys.signatures import check_public_key

REGISTRATION_DOMAIN = "gridmon/registration/1"
"""Domain tag of the proof of possession in a registration."""
NEW_KEY_DOMAIN = "gridmon/new-key/1"
"""Domain tag of a new key's proof of possession where a party changes its key."""
REPLACEMENT_DOMAIN = "gridmon/replace-key/1"
"""Domain tag of what a new key and the authenticator sign where a lost key is replaced."""
MAX_FORMER_KEYS = 64
"""Former keys a party may have; past that it registers anew."""


def registration_document(body: Registration) -> bytes:
    """Return what the new party signs: role, party, keys and commitment."""
    return encode([body.role, body.party, body.sign_key, body.hpke_key, body.personal])


def new_key_document(role: int, party: bytes, sign_key: bytes, hpke_key: bytes) -> bytes:
    """Return what a new key signs when a party changes its key."""
    return encode([role, party, sign_key, hpke_key])


def replacement_document(party: bytes, sign_key: bytes, hpke_key: bytes, after: int) -> bytes:
    """Return what a new key, and the authenticator, sign when a lost key is replaced."""
    return encode([party, sign_key, hpke_key, after])


def key_standing(row: PartyRow) -> int:
    """Return the log index of the last change or announcement of a party's keys.

    It grows with each, so that an approval bound to it is used once and ends with whatever comes between.
    """
    return row.pending.announced if row.pending else row.since


def register(ledger: Ledger, transaction: Transaction) -> None:
    """A consumer or researcher joins with a proof of possession of its key."""
    body: Registration = transaction.payload.body
    if body.role not in (Role.CONSUMER, Role.RESEARCHER):
        refuse("wrong_role", "the registrar registers consumers and researchers only")
    require_keys(body.sign_key, body.hpke_key)
    if body.party != party_id(Role(body.role), body.sign_key):
        refuse("wrong_party_id", "the ID is not the one of this role and key")
    if ledger.view.get(Table.PARTY, party_key(body.role, body.party)) is not None:
        refuse("already_registered", "this key is registered already")
    opened = open_by(ledger, body.sign_key, REGISTRATION_DOMAIN, body.proof)
    require_document(registration_document(body), opened, "registration")
    row = PartyRow(
        body.sign_key, body.hpke_key, ledger.log_size, 0, transaction.payload.time, body.personal, None, ()
    )
    ledger.view.put(Table.PARTY, party_key(body.role, body.party), row)


def rotate_key(ledger: Ledger, transaction: Transaction) -> None:
    """A party moves to a new pair of keys, signing with the old one (II-B)."""
    payload = transaction.payload
    body: RotateKey = payload.body
    require_keys(body.sign_key, body.hpke_key)
    document = new_key_document(payload.role, payload.signer, body.sign_key, body.hpke_key)
    require_document(document, open_by(ledger, body.sign_key, NEW_KEY_DOMAIN, body.proof), "new key")
    key = party_key(payload.role, payload.signer)
    row: PartyRow = ledger.view.get(Table.PARTY, key)
    _require_fresh(row, body.sign_key)
    ledger.view.put(Table.PARTY, key, with_new_key(row, body.sign_key, body.hpke_key, ledger.log_size))


def revoke_key(ledger: Ledger, transaction: Transaction) -> None:
    """A key ends here: by the registrar for consumers, researchers and meters, or by its own holder."""
    payload = transaction.payload
    body: RevokeKey = payload.body
    own = payload.role == body.role and payload.signer == body.party
    joined = (Role.CONSUMER, Role.RESEARCHER, Role.METER)
    if not own and not (payload.role == Role.REGISTRAR and body.role in joined):
        refuse("wrong_role", "only the registrar or the holder revokes a key")
    if body.role == Role.METER:
        _revoke_device(ledger, body)
        return
    row = party_in_force(ledger, body.role, body.party)
    if row.sign_key != body.sign_key:
        refuse("revoked_key", "this key is not the one in force")
    ledger.view.put(
        Table.PARTY, party_key(body.role, body.party), with_new_key(row, b"", row.hpke_key, ledger.log_size)
    )


def _revoke_device(ledger: Ledger, body: RevokeKey) -> None:
    meter: MeterRow | None = ledger.view.get(Table.METER, body.party)
    if meter is None:
        refuse("unknown_meter", f"no meter {body.party.hex()[:8]} on this chain")
    key = device_key(body.party, meter.epoch)
    row: DeviceRow | None = ledger.view.get(Table.DEVICE, key)
    if row is None or row.sign_key != body.sign_key:
        refuse("revoked_key", "this key is not the one in force")
    former = (*row.former, FormerKey(row.sign_key, row.since, ledger.log_size))
    ledger.view.put(Table.DEVICE, key, replace(row, sign_key=b"", since=ledger.log_size, former=former))


def replace_key(ledger: Ledger, transaction: Transaction, known: int) -> int:
    """A consumer lost the key: registrar and authenticator announce a new one, under notice.

    `known` is a time that the chain has reached for sure, from which the notice runs at the earliest: a
    registrar who signed nothing for long could else date it back. Returns when the key can come in force, ms.
    """
    payload = transaction.payload
    body: ReplaceKey = payload.body
    require_keys(body.sign_key, body.hpke_key)
    key = party_key(Role.CONSUMER, body.party)
    row: PartyRow | None = ledger.view.get(Table.PARTY, key)
    if row is None:
        refuse("unknown_consumer", "no such consumer is registered")
    _require_fresh(row, body.sign_key)
    if body.after != key_standing(row):
        refuse("stale_approval", "the consumer's keys changed, or were announced, since this was approved")
    document = replacement_document(body.party, body.sign_key, body.hpke_key, body.after)
    require_document(document, open_by(ledger, body.sign_key, REPLACEMENT_DOMAIN, body.proof), "new key")
    authenticator = party_in_force(ledger, Role.AUTHENTICATOR, body.authenticator)
    approved = open_by(ledger, authenticator.sign_key, REPLACEMENT_DOMAIN, body.approval)
    require_document(document, approved, "approval")
    effective = max(payload.time, known) + ledger.parameters().key_notice
    pending = PendingKey(body.sign_key, body.hpke_key, effective, ledger.log_size)
    ledger.view.put(Table.PARTY, key, replace(row, pending=pending))
    return effective


def _require_fresh(row: PartyRow, sign_key: bytes) -> None:
    """Require a key that a party neither has nor had; raises `Refused` (former_key)."""
    if sign_key == row.sign_key or any(former.sign_key == sign_key for former in row.former):
        refuse("former_key", "this party has, or had, this key; it must make a new one")


def confirm_key(ledger: Ledger, transaction: Transaction) -> None:
    """The announced key comes in force, not before its notice has run out."""
    payload = transaction.payload
    body: ConfirmKey = payload.body
    key = party_key(Role.CONSUMER, body.party)
    row: PartyRow | None = ledger.view.get(Table.PARTY, key)
    if row is None or row.pending is None or row.pending.sign_key != body.sign_key:
        refuse("no_pending_key", "no such key was announced for this consumer")
    if payload.time < row.pending.effective:
        refuse("notice_not_over", "the notice of the new key has not run out")
    ledger.view.put(
        Table.PARTY, key, with_new_key(row, row.pending.sign_key, row.pending.hpke_key, ledger.log_size)
    )


def supply_point(ledger: Ledger, transaction: Transaction) -> SupplyPointRow:
    """The registrar makes the meter ID and shares it with the authenticator (IV-A)."""
    body: SupplyPoint = transaction.payload.body
    if ledger.view.get(Table.SUPPLY_POINT, body.mid) is not None:
        refuse("already_registered", f"meter {body.mid.hex()[:8]} exists already")
    require_sign_key(body.code_key)
    party_in_force(ledger, Role.CONSUMER, body.consumer)
    party_in_force(ledger, Role.UTILITY, body.utility)
    row = SupplyPointRow(body.consumer, body.utility, body.house, body.code_key, Stage.REGISTERED, "", b"")
    ledger.view.put(Table.SUPPLY_POINT, body.mid, row)
    meters = meters_of(ledger, body.consumer)
    if len(meters) >= MAX_METERS:
        refuse("too_many_meters", f"a consumer has at most {MAX_METERS} meters, and more under another key")
    ledger.view.put(Table.CONSUMER, body.consumer, ConsumerRow((*meters, body.mid)))
    return row


def meters_of(ledger: Ledger, consumer: bytes) -> tuple[bytes, ...]:
    """Return the meter IDs of a consumer's open supply points, oldest first."""
    row: ConsumerRow | None = ledger.view.get(Table.CONSUMER, consumer)
    return () if row is None else row.meters


def release_meter(ledger: Ledger, consumer: bytes, mid: bytes) -> None:
    """Take a closed supply point from its consumer."""
    left = tuple(other for other in meters_of(ledger, consumer) if other != mid)
    ledger.view.put(Table.CONSUMER, consumer, ConsumerRow(left))


def require_keys(sign_key: bytes, hpke_key: bytes) -> None:
    """Require a pair of public keys that may be registered; raises `Refused` (bad_public_key)."""
    require_sign_key(sign_key)
    try:
        check_hpke_key(hpke_key)
    except BadPublicKey as error:
        raise Refused("bad_public_key", str(error)) from error


def require_sign_key(sign_key: bytes) -> None:
    """Require a signing key that may be registered; raises `Refused` (bad_public_key)."""
    try:
        check_public_key(sign_key)
    except BadPublicKey as error:
        raise Refused("bad_public_key", str(error)) from error


def with_new_key(row: PartyRow, sign_key: bytes, hpke_key: bytes, index: int) -> PartyRow:
    """Return the row with another key in force from this log index on; empty revokes."""
    if len(row.former) >= MAX_FORMER_KEYS:
        refuse("too_many_keys", "this party changed keys too often; it must register anew")
    former = row.former
    if row.sign_key:
        former = (*former, FormerKey(row.sign_key, row.since, index))
    changes: dict[str, Any] = {"sign_key": sign_key, "hpke_key": hpke_key, "since": index}
    return replace(row, former=former, pending=None, **changes)
