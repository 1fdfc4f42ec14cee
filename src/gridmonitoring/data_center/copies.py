"""The copies that the data center keeps, one flat row each (paper III-A-7, IV-C; docs/spec/data_center.md).

"The data center receives copies of the data that are processed onto the sovereign blockchain." A copy has
what any reader of the ledger sees of a form, settlement, event or contract message, in columns.

Left out, so that nobody has to remember to hide it: load profiles and appliance channels (they are not on the
ledger), the house number's commitment, who paid, idempotency keys and payment references.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta, Struct

from gridmonitoring.encoding.bounds import (
    Bytes16,
    Bytes32,
    Currency,
    Millis,
    Money,
    Name,
    Unsigned,
    WattHours,
)

Code = Annotated[int, Meta(ge=0, le=0xFFFF)]
"""A closed code of the ledger; 0 for none."""
Text = Annotated[str, Meta(max_length=64)]
"""A name, empty where the ledger has none."""
Replaced = Annotated[bytes, Meta(max_length=32)]
"""A transaction ID, or empty."""


class Copy(Struct, array_like=True, frozen=True, forbid_unknown_fields=True, gc=False):
    """Base of every copy: which log entry it is a copy of, and of which meter."""

    log_index: Unsigned
    """Log index of the transaction."""
    mid: Bytes16
    """MID; a pseudonym in exports."""


class FormCopy(Copy, frozen=True, tag="form-copy/1"):
    """A form that was accepted (IV-C)."""

    form: Bytes32
    """Form transaction ID."""
    area: Text
    """Area code."""
    utility: Bytes16
    """Party ID of the utility."""
    customer_class: Code
    """`contracts.agreement.CustomerClass`."""
    tariff: Bytes32
    """Hash of the tariff at TPT."""
    tariff_name: Text
    """Its name."""
    script: Bytes32
    """Hash of the contract's script."""
    vendor: Bytes16
    """Vendor that confirmed the payment."""
    node: Bytes16
    """NID: the node that made the form."""
    ttp_ms: Millis
    """TTP: when the purchase was asked for, ms."""
    tpt_ms: Millis
    """TPT: when it was processed, ms."""
    amount: Money
    """What was paid, millionths of the minor unit."""
    currency: Currency
    """ISO 4217 code."""
    quoted: WattHours
    """APP: what the money buys at TPT, Wh."""
    dispatch_ms: Millis
    """Start of the capacity window that it is booked in, ms."""
    replaces: Replaced
    """The refused form that it replaces, or empty."""


class SettlementCopy(Copy, frozen=True, tag="settlement-copy/1"):
    """A statement: what one settlement counted and charged (V-A).

    `energy_charge`, `standing`, `subscription` and `tax` add up to `charge`.
    """

    area: Text
    """Area code."""
    utility: Bytes16
    """Party ID of the utility."""
    customer_class: Code
    """`contracts.agreement.CustomerClass`."""
    tariff: Bytes32
    """Hash of the tariff."""
    tariff_name: Text
    """Its name."""
    sequence: Unsigned
    """Sequence of the report that was settled."""
    number: Unsigned
    """Number of the statement; 0 opens the account."""
    from_ms: Millis
    """Time of the statement before, ms, exclusive."""
    time_ms: Millis
    """Signed time of the report, ms, inclusive."""
    energy: WattHours
    """Energy charged, Wh."""
    exported: WattHours
    """Energy that left the house, Wh."""
    energy_charge: Money
    """Charge for energy, without tax."""
    standing: Money
    """Standing charges, without tax."""
    subscription: Money
    """Subscription, without tax."""
    tax: Money
    """Tax on all three."""
    charge: Money
    """What the settlement charged."""
    topped_up: Money
    """Money of the lots since the statement before."""
    taken: Money
    """Penalties, reversals and refunds since then."""
    recovered: Money
    """Part of `topped_up` that went to debt."""
    credit: Money
    """Credit left."""
    debt: Money
    """Debt left."""


class LineCopy(Copy, frozen=True, tag="line-copy/1"):
    """One line of a statement: what a rate or slab counted and charged."""

    time_ms: Millis
    """Time of the statement, ms."""
    rate: Code
    """Rate, or slab counted from 1."""
    energy: WattHours
    """Wh."""
    charge: Money
    """Money without tax."""


class ReadingCopy(Copy, frozen=True, tag="reading-copy/1"):
    """One register over the time of a statement (IV-B)."""

    time_ms: Millis
    """Time of the statement, ms."""
    register: Name
    """OBIS code C.D.E, as `1.8.0`."""
    before: WattHours
    """Register at the statement before, Wh."""
    after: WattHours
    """Register at this one, Wh."""


class EventCopy(Copy, frozen=True, tag="event-copy/1"):
    """A report that is about more than the end of an interval."""

    time_ms: Millis
    """Signed time of the report, ms."""
    event: Code
    """`contracts.meter_rule.Event`."""
    status: Code
    """`contracts.meter_rule.Status` bits."""
    relay: Code
    """`contracts.meter_rule.Relay` after the event."""


class MessageCopy(Copy, frozen=True, tag="message-copy/1"):
    """An entry of a side block: a state message or a violation (V-C)."""

    number: Unsigned
    """Number of the message in its thread."""
    kind: Code
    """`state_rows.EntryKind`: 1 state, 2 violation."""
    code: Code
    """Message code."""
    violation: Code
    """TVLN, 0 for a state message."""
    tsv_ms: Millis
    """TSV, ms; 0 for a state message."""
    tsm_ms: Millis
    """TSM, ms."""
    state: Code
    """State of the meter."""
    count: Unsigned
    """Identical findings in this entry."""
    action: Code
    """Agreed action carried out, 0 for none."""
    receipt: Money
    """Money that the action moved."""


AnyCopy = FormCopy | SettlementCopy | LineCopy | ReadingCopy | EventCopy | MessageCopy
"""A row of any table."""

TABLES: Mapping[str, type[AnyCopy]] = {
    "forms": FormCopy,
    "settlements": SettlementCopy,
    "lines": LineCopy,
    "readings": ReadingCopy,
    "events": EventCopy,
    "messages": MessageCopy,
}
"""Name of a table -> its rows."""


class BlockCopies(Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="block-copies/1"):
    """All copies of one consensus block."""

    height: Unsigned
    """Its height."""
    time_ms: Millis
    """Block time, ms."""
    header: Bytes32
    """sha256d of its header."""
    copies: tuple[AnyCopy, ...]
    """In order of the log."""
