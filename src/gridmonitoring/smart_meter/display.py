"""The in-home display: "exactly how much energy a user is consuming in real time" (paper IV-B, V-A).

What it shows, as data; a screen, a web page or a terminal renders it, with the texts of `contracts.messages`.
Everything on it is the meter's own: it works with the line to the grid cut.

Left out: rendering, and the history that the owner reads from the details.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from gridmonitoring.contracts.messages import Message
from gridmonitoring.contracts.meter_rule import TAMPER_BITS, MeterState, Relay, Status
from gridmonitoring.encoding.bounds import Millis, Money, WattHours, Watts
from gridmonitoring.energy_center.calendar import Calendar
from gridmonitoring.energy_center.charges import MILLI
from gridmonitoring.energy_center.tariffs import TAX_WHOLE
from gridmonitoring.smart_meter.channels import Channel
from gridmonitoring.smart_meter.contract import MeterContract
from gridmonitoring.smart_meter.day import DAY_MS
from gridmonitoring.smart_meter.registers import NEVER

REASONS: Mapping[MeterState, Message] = {
    MeterState.OUT_OF_CREDIT: Message.NO_POWER,
    MeterState.READY_FOR_RECONNECTION: Message.CONFIRM_TO_RECONNECT,
    MeterState.SUPPLY_OFF: Message.SWITCHED_OFF,
    MeterState.TAMPERED: Message.TAMPERED,
    MeterState.CLOSED: Message.ACCOUNT_CLOSED,
    MeterState.CUT_OFF: Message.CUT_OFF,
}
"""State -> why there is no power in it."""


class Appliance(Struct, frozen=True):
    """What one appliance channel used since local midnight."""

    channel: Channel
    """Which."""
    energy: WattHours
    """Wh."""
    cost: Money
    """What it cost by the price of the energy, tax included, money rounded down."""


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
    threshold: Money
    """Credit at which the meter warns, money."""
    lasts: Millis | None
    """How long the credit lasts at the pace of the last days, ms; none where nothing is spent."""
    tariff: str
    """Name of the tariff in force."""
    price: Money
    """Price of the next kWh, tax included, money rounded down."""
    price_until: Millis | None
    """When the next price comes by the clock, ms; none where the clock brings none."""
    cost_today: Money
    """What was charged since local midnight, with what the next settlement will charge up to now, money."""
    appliances: tuple[Appliance, ...]
    """What the appliances used of it, in order of channel."""
    messages: tuple[tuple[Message, Millis], ...]
    """(message, since when in ms), the last of them, newest first."""
    tamper: Status
    """Which covers, magnets or passwords the meter has found."""
    calendar: Calendar
    """Local time, by the tariff in force."""
    overcharged: Millis
    """When the meter last found that its owner is being over charged, ms; 0 for never."""


def display_of(contract: MeterContract, time: int) -> DisplayState:
    """Return what the display of a meter shows; `time` is the end of the last minute measured, ms."""
    day, terms = contract.day, contract.terms
    newest = tuple((Message(message), since) for message, since in reversed(day.messages))
    now = max(time, contract.signed)
    credit = debt = price = waiting = 0
    if contract.installed:
        money, known = contract.projected(now), contract.books.known
        credit, debt = money.credit, money.debt
        waiting = (known.credit - known.debt) - (credit - debt)
        price = contract.price(now)
    tax = TAX_WHOLE + terms.agreement.billing.tax_ppm
    tariff = terms.tariff_at(now + 1)
    spent = day.appliances(contract.channels.waiting(), price)
    return DisplayState(
        time,
        newest[0][0] if newest else None,
        newest[0][1] if newest else 0,
        credit,
        debt,
        contract.registers.total - contract.midnight_total,
        contract.power,
        contract.relay,
        contract.state,
        contract.key_notice if contract.key_notice > now else 0,
        terms.agreement.billing.threshold,
        day.lasts(credit, waiting, now) if contract.installed else None,
        tariff.name,
        price * tax // TAX_WHOLE,
        contract.rate_until if 0 < contract.rate_until < NEVER else None,
        day.charged(waiting),
        tuple(Appliance(channel, wh, cost * tax // (MILLI * TAX_WHOLE)) for channel, wh, cost in spent),
        newest,
        contract.status & TAMPER_BITS,
        tariff.calendar,
        day.overcharged,
    )


def lock_reason(shown: DisplayState) -> Message | None:
    """Return why there is no power; none where there is, and before the installation."""
    return None if shown.relay is Relay.CONNECTED else REASONS.get(shown.state)


def warnings(shown: DisplayState) -> tuple[Message, ...]:
    """Return what the owner has to know now, the gravest first; an over-charge is told for a day."""
    found = []
    if shown.key_notice:
        found.append(Message.KEY_REPLACEMENT)
    if shown.overcharged and shown.time - shown.overcharged < DAY_MS:
        found.append(Message.OVERCHARGED)
    if shown.state is MeterState.TAMPERED:
        found.append(Message.TAMPERED)
    if shown.state is MeterState.OUT_OF_CREDIT and shown.relay is Relay.CONNECTED:
        found.append(Message.SUPPLY_STAYS_ON)
    if shown.state is MeterState.LOW_CREDIT:
        found.append(Message.LOW_CREDIT)
    return tuple(found)
