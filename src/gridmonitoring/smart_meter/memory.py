"""What a meter keeps through a power cut, apart from its keys: written with each report that it makes.

In parts, because they change at different times: the standing with every report, the books with settlements
and commands about money, the terms with a new agreement or tariff, the readers with a grant.
"""

from __future__ import annotations

from msgspec import Struct

from gridmonitoring.contracts.meter_rule import MeterState, Relay
from gridmonitoring.encoding.bounds import Bytes16, Bytes32, Millis, Unsigned, WattHours, Watts
from gridmonitoring.energy_center.credit import Account
from gridmonitoring.smart_meter.books import BooksState
from gridmonitoring.smart_meter.channels import ChannelState
from gridmonitoring.smart_meter.day import DayState
from gridmonitoring.smart_meter.registers import RegisterState
from gridmonitoring.smart_meter.terms import TermsState


class Identity(Struct, frozen=True):
    """Which meter this is, on which chain."""

    chain_id: Bytes32
    """The chain."""
    contract_key: bytes
    """Contract key of genesis, which a device begins with; the one in use is in `Terms`."""
    mid: Bytes16
    """Meter ID."""
    epoch: int
    """Meter epoch: 1 for the first device at the supply point."""


class Handover(Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """What a device takes over from the one that it replaces, read from the ledger at installation."""

    account: Account
    """The account after the last registers were settled."""
    state: MeterState
    """What the contract holds the meter to be; what only a person may lift outlives the device."""
    tampered: Unsigned
    """Sequence of the last tamper report not cleared, or 0."""
    cut_off: bool
    """Whether an agreed cut-off is in force."""
    carried_out: Unsigned
    """Number of the last command ordered before."""
    own_limit: Watts
    """Power limit that the consumer set, W; 0 for none."""


class Standing(Struct, array_like=True, frozen=True, forbid_unknown_fields=True, tag="meter-standing/2"):
    """Everything that changes from report to report."""

    sequence: Unsigned = 0
    """Last sequence used."""
    signed: Millis = 0
    """Time of the last report, ms."""
    time: Millis = 0
    """End of the last minute measured, ms."""
    state: MeterState = MeterState.NEW
    """What the contract holds the meter to be."""
    relay: Relay = Relay.DISCONNECTED
    """Where the relay is."""
    carried_out: Unsigned = 0
    """Number of the last command dealt with."""
    in_service: bool = False
    """Whether access to electricity was given, and the installation reported."""
    tampered: Unsigned = 0
    """Sequence of the last tamper report not cleared, or 0."""
    cut_off: bool = False
    """Whether an agreed cut-off is in force."""
    own_limit: Watts = 0
    """Power limit that the consumer set, W; 0 for none."""
    disputed: Unsigned = 0
    """Sequence of the last report of a billing discrepancy, or 0."""
    lasting: Unsigned = 0
    """Status bits that last: tamper inputs, clock, voltage gone."""
    passing: Unsigned = 0
    """Status bits of the interval that is running."""
    passwords: Unsigned = 0
    """Wrong passwords since the last tamper."""
    over_limit: Unsigned = 0
    """Minutes in a row over the power limit."""
    power: Watts = 0
    """Mean power of the last minute, W."""
    midnight_total: WattHours = 0
    """Total register at the last local midnight, Wh."""
    registers: RegisterState = RegisterState()
    """Registers."""
    channels: ChannelState = ChannelState()
    """Channels and profile since the last report."""
    key_notice: Millis = 0
    """When another key of the consumer comes in force, ms; 0 where none was announced."""
    day: DayState = DayState()
    """What the display tells of the day."""


class Memory(Struct, frozen=True):
    """All parts."""

    standing: Standing
    """Changes with every report."""
    terms: TermsState
    """Changes with an agreement, a tariff or another contract key."""
    books: BooksState | None
    """Changes with money; none before the installation."""
    readers: bytes = b""
    """Whom the consumer lets read, as the last GRANTS command has it; changes with a grant."""
