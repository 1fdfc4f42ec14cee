"""Access to data: consent, requests, answers, erasure, all in the owner's thread (paper II-A, II-B, IV-C).

A request is decided before anything is answered, so the owner sees each one. A validly signed request beyond
its grant is not refused like a malformed one: it is recorded with its verdict, is the violation `data_use`
with its side block, and the owner's display says so. No node answers it.

Left out: keys and answers themselves (`runtime`); the log has who asked, the details stay outside it.
"""

from __future__ import annotations

from msgspec.structs import replace

from gridmonitoring.blockchain.bodies import Answer, Erase, Grant, Read, RevokeGrant
from gridmonitoring.blockchain.ledger import Ledger, party_in_force, refuse
from gridmonitoring.blockchain.state_rows import (
    AccessRow,
    CommandKind,
    ErasureRow,
    GrantRow,
    MeterRow,
    PartyRow,
    ReadRow,
    Stage,
    SupplyPointRow,
    Table,
    height_key,
    party_key,
)
from gridmonitoring.blockchain.transactions import Transaction
from gridmonitoring.contracts.consent import (
    DAY_MS,
    MAX_IN_FORCE,
    Reader,
    Verdict,
    encode_readers,
    judge,
    known_data,
    reader_of,
)
from gridmonitoring.contracts.messages import Message
from gridmonitoring.contracts.violations import Violation
from gridmonitoring.encoding.bounds import Role
from gridmonitoring.processing.blocks import GetRow
from gridmonitoring.processing.findings import violate
from gridmonitoring.processing.rows import AgreementRow
from gridmonitoring.processing.threads import live_on, order

READERS = frozenset({Role.UTILITY, Role.ENERGY_CENTER, Role.OPERATOR, Role.AUDITOR, Role.CUSTODIAN}) | {
    Role.CONSUMER,
    Role.RESEARCHER,
}
"""Roles that can be granted to read."""

NO_ACCESS = AccessRow(0, (), 0, 0, 0)


def grant(ledger: Ledger, transaction: Transaction) -> None:
    """The owner lets somebody read; the meter is told for whom to wrap the keys of the days."""
    payload = transaction.payload
    body: Grant = payload.body
    point = _own_point(ledger, body.mid, payload.signer)
    if body.role not in READERS:
        refuse("bad_grant", f"a party of role {body.role} is not one that reads")
    party_in_force(ledger, body.role, body.reader)
    if (body.role, body.reader) == (Role.CONSUMER, point.consumer):
        refuse("bad_grant", "the owner reads without a grant")
    _require_scope(body.data, body.first, body.last)
    if body.expires <= payload.time:
        refuse("bad_grant", "the grant has expired before it begins")
    access = access_of(ledger.view.get, body.mid)
    in_force = tuple(n for n in access.in_force if _grant(ledger, body.mid, n).expires > payload.time)
    if len(in_force) >= MAX_IN_FORCE:
        refuse("too_many_grants", f"at most {MAX_IN_FORCE} grants of a meter are in force; revoke one first")
    number = access.grants + 1
    row = GrantRow(
        *(body.role, body.reader, body.data, body.first, body.last, body.purpose),
        *(payload.time, body.expires, 0),
    )
    ledger.view.put(Table.GRANT, height_key(body.mid, number), row)
    access = replace(access, grants=number, in_force=(*in_force, number))
    _change_readers(ledger, transaction, point, body.mid, access, Message.ACCESS_GRANTED)


def revoke_grant(ledger: Ledger, transaction: Transaction) -> None:
    """The owner ends a grant; what the meter reports once it hears of it, its reader has no key of."""
    payload = transaction.payload
    body: RevokeGrant = payload.body
    point = _own_point(ledger, body.mid, payload.signer)
    access = access_of(ledger.view.get, body.mid)
    row: GrantRow | None = ledger.view.get(Table.GRANT, height_key(body.mid, body.number))
    if row is None or row.revoked:
        refuse("unknown_grant", f"meter {body.mid.hex()[:8]} has no grant {body.number} to revoke")
    revoked = replace(row, revoked=max(payload.time, 1))
    ledger.view.put(Table.GRANT, height_key(body.mid, body.number), revoked)
    access = replace(access, in_force=tuple(n for n in access.in_force if n != body.number))
    _change_readers(ledger, transaction, point, body.mid, access, Message.ACCESS_ENDED)


def request_read(ledger: Ledger, transaction: Transaction) -> None:
    """A request for data joins the owner's thread; one beyond its grant is the violation `data_use`."""
    payload = transaction.payload
    body: Read = payload.body
    _require_scope(body.data, body.first, body.last)
    meter = live_on(ledger, body.mid, transaction)
    access = access_of(ledger.view.get, body.mid)
    asked = ReadRow(
        transaction.id,
        ledger.log_size,
        payload.role,
        payload.signer,
        body.grant,
        body.data,
        body.first,
        body.last,
        body.purpose,
        payload.time,
        0,
        b"",
        b"",
    )
    verdict = verdict_at(ledger.view.get, body.mid, asked, payload.time)
    number = access.reads + 1
    ledger.view.put(Table.READ, height_key(body.mid, number), replace(asked, verdict=int(verdict)))
    access = replace(access, reads=number)
    if verdict is not Verdict.ALLOWED:
        meter = _misuse(ledger, transaction, body.mid, meter)
    elif access.told <= meter.carried_out and _by_another(ledger, body.mid, asked):
        meter = order(ledger, body.mid, meter, CommandKind.MESSAGE, transaction, int(Message.DATA_READ))
        access = replace(access, told=meter.commands)
    ledger.view.put(Table.ACCESS, body.mid, access)
    ledger.view.put(Table.METER, body.mid, meter)


def _by_another(ledger: Ledger, mid: bytes, read: ReadRow) -> bool:
    """Tell whether a request is not the owner's, and there is a device to tell the owner."""
    point: SupplyPointRow = ledger.view.get(Table.SUPPLY_POINT, mid)
    own = (read.role, read.reader) == (Role.CONSUMER, point.consumer)
    return not own and point.stage in _WITH_DEVICE


def _misuse(ledger: Ledger, transaction: Transaction, mid: bytes, meter: MeterRow) -> MeterRow:
    """Record the violation, and tell the owner by the display, once per finding."""
    found = violate(ledger, transaction, mid, meter, Violation.DATA_USE, told=True)
    point: SupplyPointRow = ledger.view.get(Table.SUPPLY_POINT, mid)
    if found.messages > meter.messages and point.stage in _WITH_DEVICE:
        found = order(ledger, mid, found, CommandKind.MESSAGE, transaction, int(Message.DATA_REFUSED))
    return found


def answer(ledger: Ledger, transaction: Transaction) -> None:
    """A node answers a request that is allowed, also now; the hash of its tags is kept with the request."""
    payload = transaction.payload
    body: Answer = payload.body
    key = height_key(body.mid, body.number)
    row: ReadRow | None = ledger.view.get(Table.READ, key)
    if row is None:
        refuse("unknown_request", f"meter {body.mid.hex()[:8]} has no request {body.number}")
    if row.tags:
        refuse("already_answered", f"request {body.number} of this meter was answered")
    if (
        row.verdict != Verdict.ALLOWED
        or verdict_at(ledger.view.get, body.mid, row, payload.time) is not Verdict.ALLOWED
    ):
        refuse("not_allowed", f"request {body.number} of this meter is not allowed, or no longer")
    live_on(ledger, body.mid, transaction)
    ledger.view.put(Table.READ, key, replace(row, node=payload.signer, tags=body.tags))


def erase(ledger: Ledger, transaction: Transaction) -> None:
    """The owner has the details of days that have ended erased; what was logged of them stays."""
    payload = transaction.payload
    body: Erase = payload.body
    _own_point(ledger, body.mid, payload.signer)
    if body.first > body.last or body.last >= payload.time // DAY_MS:
        refuse("bad_erasure", "details are erased day by day, in order, once the last of the days has ended")
    access = access_of(ledger.view.get, body.mid)
    number = access.erasures + 1
    row = ErasureRow(transaction.id, ledger.log_size, body.first, body.last, payload.time, body.personal)
    ledger.view.put(Table.ERASURE, height_key(body.mid, number), row)
    ledger.view.put(Table.ACCESS, body.mid, replace(access, erasures=number))
    live_on(ledger, body.mid, transaction)


def access_of(get: GetRow, mid: bytes) -> AccessRow:
    """Return how far access to a meter's data has come."""
    found: AccessRow | None = get(Table.ACCESS, mid)
    return found or NO_ACCESS


def verdict_at(get: GetRow, mid: bytes, read: ReadRow, time: int) -> Verdict:
    """Return what a request comes to by the grants and the agreement as they stand, at a time."""
    point: SupplyPointRow = get(Table.SUPPLY_POINT, mid)
    agreed: AgreementRow | None = get(Table.AGREEMENT, mid)
    named: GrantRow | None = get(Table.GRANT, height_key(mid, read.grant)) if read.grant else None
    custodian = agreed is not None and agreed.agreement.custodian_may_read
    return judge(read, named, point.consumer, custodian, time)


def readers_in_force(get: GetRow, mid: bytes) -> tuple[Reader, ...]:
    """Return for whom keys of details may be kept by the grants in force, in their order.

    A reader whose key was revoked is none.
    """
    found = []
    for number in access_of(get, mid).in_force:
        row: GrantRow = get(Table.GRANT, height_key(mid, number))
        party: PartyRow = get(Table.PARTY, party_key(row.role, row.reader))
        reader = reader_of(row, party.hpke_key)
        if reader is not None and party.sign_key:
            found.append(reader)
    return tuple(found)


def retell_readers(ledger: Ledger, transaction: Transaction, mid: bytes, meter: MeterRow) -> MeterRow:
    """Order a new device to wrap keys for those who may read; return the meter's row (unwritten)."""
    readers = readers_in_force(ledger.view.get, mid)
    if not readers:
        return meter
    document = encode_readers(readers)
    return order(ledger, mid, meter, CommandKind.GRANTS, transaction, document=document)


_WITH_DEVICE = (Stage.INSTALLED, Stage.SUPPLIED)


def _change_readers(
    ledger: Ledger,
    transaction: Transaction,
    point: SupplyPointRow,
    mid: bytes,
    access: AccessRow,
    message: Message,
) -> None:
    """Write who has access now, and tell the meter, which tells the owner."""
    ledger.view.put(Table.ACCESS, mid, access)
    meter = live_on(ledger, mid, transaction)
    if point.stage in _WITH_DEVICE:
        document = encode_readers(readers_in_force(ledger.view.get, mid))
        meter = order(ledger, mid, meter, CommandKind.GRANTS, transaction, int(message), document=document)
        ledger.view.put(Table.METER, mid, meter)


def _grant(ledger: Ledger, mid: bytes, number: int) -> GrantRow:
    found: GrantRow = ledger.view.get(Table.GRANT, height_key(mid, number))
    return found


def _own_point(ledger: Ledger, mid: bytes, consumer: bytes) -> SupplyPointRow:
    point: SupplyPointRow | None = ledger.view.get(Table.SUPPLY_POINT, mid)
    if point is None:
        refuse("unknown_meter", f"no meter {mid.hex()[:8]} on this chain")
    if point.consumer != consumer:
        refuse("wrong_consumer", "only the consumer of this meter decides about its data")
    return point


def _require_scope(data: int, first: int, last: int) -> None:
    if not known_data(data) or first > last:
        refuse("bad_scope", "name some of settlements, profile and appliances, and days in order")
