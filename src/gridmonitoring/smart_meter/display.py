"""The in-home display: "exactly how much energy a user is consuming in real time" (paper IV-B, V-A).

What it shows, as data; a screen, a web page or a terminal renders it, with the texts of `contracts.messages`.

Left out: rendering, and the history that the owner reads from the details.
"""

from __future__ import annotations

from msgspec import Struct

from gridmonitoring.contracts.messages import Message
from gridmonitoring.contracts.meter_rule import MeterState, Relay
from gridmonitoring.encoding.bounds import Millis, Money, WattHours, Watts


class DisplayState(Struct, frozen=True):
    """What the display shows now."""

    time: Millis
    """End of the last minute that was measured."""
    message: Message | None
    """The last message; none before the first."""
    message_time: Millis
    """Since when it is shown, ms."""
    credit: Money
    """Money left, as far as it is used up to this minute, millionths of the minor unit."""
    debt: Money
    """Money owed, in the same way."""
    energy_today: WattHours
    """Imported since local midnight, Wh."""
    power: Watts
    """Mean power of the last minute, W."""
    relay: Relay
    """Where the relay is."""
    state: MeterState
    """What the contract holds the meter to be."""
    key_notice: Millis
    """When another key of the consumer comes in force, ms; shown until then beside the last message, so that
    no other message hides it. 0 where none is announced."""
