"""The in-home display as text, section by section; no terminal is needed to say it (paper IV-B, V-A).

Left out: colours, layout and keys (`app`).
"""

from __future__ import annotations

from msgspec import Struct

from gridmonitoring.contracts.messages import FIELDS, Message, Texts, render
from gridmonitoring.contracts.meter_rule import TAMPER_BITS, Relay
from gridmonitoring.energy_center.calendar import DAY_MINUTES, local_time
from gridmonitoring.smart_meter.display import DisplayState, lock_reason, warnings
from gridmonitoring.user_layer.cli.money import MILLION, money_text
from gridmonitoring.user_layer.screen.labels import Labels

DAY_MS = DAY_MINUTES * 60_000
"""Milliseconds of a day."""
BAR = 24
"""Characters of the longest bar."""
PRICE_DIGITS = 2
"""Decimals of a price beyond those of the currency."""


class Wording(Struct, frozen=True):
    """How things are said at one meter."""

    mid: bytes
    """Its meter ID."""
    texts: Texts
    """Texts of the messages, in the language of the agreement."""
    labels: Labels
    """The screen's own words, in the same."""
    currency: str
    """Currency of all amounts."""
    minor_digits: int
    """Decimals of the currency."""

    def message(self, message: Message, date: str = "-") -> str:
        """Return a message; `date` is when something comes in force, what else is not known is left open."""
        unknown = dict.fromkeys(FIELDS[message], "-")
        return render(message, {**unknown, "mid": self.mid.hex()[:8], "date": date}, self.texts)

    def money(self, amount: int, more_digits: int = 0) -> str:
        """Return an amount rounded down to the currency's decimals and some more."""
        unit = MILLION // 10**more_digits
        return f"{money_text(amount // unit * unit, self.minor_digits)} {self.currency}"


class Panel(Struct, frozen=True):
    """Everything on the display, as text."""

    title: str
    """Meter, state and local time."""
    alarms: tuple[str, ...]
    """What the owner has to know now, the gravest first."""
    credit: tuple[str, ...]
    """Credit, how long it lasts, debt."""
    power: tuple[str, ...]
    """Power now."""
    tariff: tuple[str, ...]
    """Tariff, price now, until when."""
    today: tuple[str, ...]
    """Energy and cost of the day."""
    appliances: tuple[tuple[str, str, str, str], ...]
    """(name, bar, energy, cost) of each channel."""
    messages: tuple[str, ...]
    """Time and text, newest first."""


def compose(shown: DisplayState, say: Wording) -> Panel:
    """Return what the display shows, in words."""
    words = say.labels
    state = words.states[shown.state]
    title = f"{words.meter} {say.mid.hex()[:8]}   {state}   {_clock(shown, shown.time, date=True)}"
    coming = _coming(shown)
    messages = tuple(
        f"{_clock(shown, since, date=True)}  {say.message(message, coming)}"
        for message, since in shown.messages
    )
    return Panel(
        title,
        _alarms(shown, say),
        _credit(shown, say),
        (f"{shown.power / 1000:.2f} kW" if shown.relay is Relay.CONNECTED else "-",),
        _tariff(shown, say),
        (f"{shown.energy_today / 1000:.2f} kWh", say.money(shown.cost_today)),
        _appliances(shown, say),
        messages or (words.none_yet,),
    )


def _clock(shown: DisplayState, time: int, *, date: bool = False) -> str:
    at = local_time(shown.calendar, time)
    clock = f"{at.minute // 60:02d}:{at.minute % 60:02d}"
    return f"{at.year}-{at.month:02d}-{at.day:02d} {clock}" if date else clock


def _coming(shown: DisplayState) -> str:
    """Return when the announced key comes in force."""
    return _clock(shown, shown.key_notice, date=True) if shown.key_notice else "-"


def _alarms(shown: DisplayState, say: Wording) -> tuple[str, ...]:
    """Return the warnings, what was found of a tamper, and why there is no power."""
    words, reason = say.labels, lock_reason(shown)
    found = warnings(shown)
    lines = [say.message(message, _coming(shown)) for message in found]
    inputs = [words.inputs[bit] for bit in TAMPER_BITS if bit & shown.tamper]
    if inputs:
        lines.append(words.sealed.format(what=", ".join(inputs)))
    if reason is not None and reason not in found:
        lines.append(f"{words.why} {say.message(reason)}")
    return tuple(lines)


def _credit(shown: DisplayState, say: Wording) -> tuple[str, ...]:
    words = say.labels
    lines = [say.money(shown.credit)]
    if shown.lasts is not None and shown.credit:
        lines.append(words.lasts.format(days=f"{shown.lasts / DAY_MS:.1f}"))
    if shown.debt:
        lines.append(f"{words.debt} {say.money(shown.debt)}")
    return tuple(lines)


def _tariff(shown: DisplayState, say: Wording) -> tuple[str, ...]:
    words = say.labels
    price = words.per_kwh.format(price=say.money(shown.price, PRICE_DIGITS))
    lines = [shown.tariff, price]
    if shown.price_until is not None:
        lines.append(words.until.format(time=_clock(shown, shown.price_until)))
    return (*lines, words.taxed)


def _appliances(shown: DisplayState, say: Wording) -> tuple[tuple[str, str, str, str], ...]:
    most = max((appliance.energy for appliance in shown.appliances), default=0)
    names = say.labels.channels
    return tuple(
        (
            names[appliance.channel],
            "█" * -(-appliance.energy * BAR // most) if most else "",
            f"{appliance.energy / 1000:.2f} kWh",
            say.money(appliance.cost),
        )
        for appliance in shown.appliances
    )
