"""The owner's side of consent: granting, wrapping keys of past days, revoking, erasing (paper II-B, IV-C).

The meter wraps the keys of each new day for those let in. The keys of days that have begun the owner has: the
client here opens the owner's own boxes and wraps them for the new reader, only the days and the parts that
the grants cover. The nodes never see a key.

Left out: what a grant means (`contracts.consent`).
"""

from __future__ import annotations

from msgspec import Struct

from gridmonitoring.blockchain.bodies import Erase, Grant, Kind, RevokeGrant
from gridmonitoring.blockchain.state_rows import GrantRow, PartyRow, Table, height_key, party_key
from gridmonitoring.contracts.consent import Data, detail_parts, let_in
from gridmonitoring.keys.detail_keys import KeyPlace, day_of, open_keys
from gridmonitoring.processing.access import access_of, readers_in_force
from gridmonitoring.runtime.grid_port import Grid
from gridmonitoring.runtime.meter_keys import wrap_keys
from gridmonitoring.runtime.parties import Signer


class Offer(Struct, frozen=True):
    """What an owner lets somebody read."""

    mid: bytes
    """The owner's meter."""
    role: int
    """`Role` of the reader."""
    reader: bytes
    """Its party ID."""
    data: Data
    """What."""
    first: int
    """First day, days since 1970."""
    last: int
    """Last day."""
    purpose: str
    """What for."""
    expires: int
    """After this time nothing is answered any more, ms."""


class Granted(Struct, frozen=True):
    """A grant in force."""

    number: int
    """Its number."""
    index: int
    """Log index of the transaction."""
    days: int
    """Days whose keys the owner wrapped for the reader."""


def grant(grid: Grid, owner: Signer, offer: Offer) -> Granted:
    """Grant, and wrap the keys of the days that have begun; raises `Refused`, `CannotOpen`, `UserError`."""
    body = Grant(
        offer.mid,
        offer.role,
        offer.reader,
        int(offer.data),
        offer.first,
        offer.last,
        offer.purpose,
        offer.expires,
    )
    receipt = grid.require(owner.transaction(Kind.GRANT, body, grid.clock.now_ms()))
    number = access_of(grid.row, offer.mid).grants
    return Granted(number, receipt.index, share_past(grid, owner, offer.mid, number))


def share_past(grid: Grid, owner: Signer, mid: bytes, number: int) -> int:
    """Wrap the keys of days that have begun for the reader of a grant; return of how many days.

    With keys of other grants of the same reader, as one box of a period holds them all. Raises `CannotOpen`.
    """
    row: GrantRow = grid.row(Table.GRANT, height_key(mid, number))
    party: PartyRow = grid.row(Table.PARTY, party_key(row.role, row.reader))
    readers = readers_in_force(grid.row, mid)
    wrapped, days = [], set()
    for epoch, period, box in grid.wrapped(mid, owner.keys.hpke_key):
        day = day_of(period)
        data = let_in(readers, day).get(party.hpke_key, 0)
        if row.first <= day <= row.last and detail_parts(data):
            place = KeyPlace(grid.chain_id, mid, epoch, period)
            keys = open_keys(place, owner.keys.hpke_secret, owner.keys.hpke_key, box)
            days.add(day)
            wrapped.append(wrap_keys(place, keys, party.hpke_key, detail_parts(data)))
    if wrapped:
        grid.wrap(wrapped)
    return len(days)


def revoke(grid: Grid, owner: Signer, mid: bytes, number: int) -> int:
    """End a grant; return the log index. Raises `Refused`."""
    body = RevokeGrant(mid, number)
    return grid.require(owner.transaction(Kind.REVOKE_GRANT, body, grid.clock.now_ms())).index


def erase(grid: Grid, owner: Signer, mid: bytes, first: int, last: int, *, personal: bool = False) -> int:
    """Have details of days erased at every node; return the log index. Raises `Refused`."""
    body = Erase(mid, first, last, personal)
    return grid.require(owner.transaction(Kind.ERASE, body, grid.clock.now_ms())).index
