"""From what a meter has to report to the claim it signs and the detail it seals (paper V-A).

The claim is what the ledger sees: of a settlement the registers and the credit left, of any other report a
salted hash of the registers, which the detail opens. What needs entropy (salt, keys) or a clock comes from
the caller.

Left out: signing and sealing, which are `runtime`'s.
"""

from __future__ import annotations

from msgspec import Struct

from gridmonitoring.blockchain.bodies import Register, Report, Settlement
from gridmonitoring.blockchain.readings import reading_commitment
from gridmonitoring.contracts.meter_rule import Event, Relay
from gridmonitoring.smart_meter.channels import Appliances, Channel, Detail, LoadProfile

MINUTE_MS = 60_000
"""Length of a minute of the profile, ms."""


class Draft(Struct, frozen=True, gc=False):
    """A report that is still to be salted, signed and sealed; its number is used up."""

    sequence: int
    """Sequence within the meter epoch."""
    time: int
    """Time to sign, ms; later than that of the report before."""
    event: Event
    """What it is about."""
    status: int
    """`meter_rule.Status` bits."""
    relay: Relay
    """The relay after the event."""
    carried_out: int
    """Number of the last command dealt with."""
    registers: tuple[Register, ...]
    """(OBIS code, Wh) in order of code."""
    credit: int | None
    """Credit less debt by the meter's own account where the report settles, money; else None."""
    channels: tuple[tuple[Channel, int], ...]
    """(channel, Wh since the last report)."""
    profile: tuple[int, ...]
    """Mean power of each minute since the last report, W."""


def make_detail(draft: Draft, salt: bytes) -> Detail:
    """Return the detail of a report; `salt` is 16 fresh random bytes."""
    interval = len(draft.profile) * MINUTE_MS
    load = LoadProfile(salt, draft.registers, interval, draft.profile)
    return Detail(load, Appliances(interval, draft.channels))


def make_claim(draft: Draft, epoch: int, salt: bytes, detail: bytes, period_key: bytes) -> Report:
    """Return the body of the claim.

    `detail` is sha256 of the sealed detail, `period_key` the commitment to the keys of the day.
    """
    reading: bytes | Settlement
    if draft.credit is None:
        reading = reading_commitment(salt, draft.registers)
    else:
        reading = Settlement(draft.registers, draft.credit)
    return Report(
        epoch,
        int(draft.event),
        draft.status,
        int(draft.relay),
        draft.carried_out,
        detail,
        period_key,
        reading,
    )
