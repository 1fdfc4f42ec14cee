"""What the in-home display tells of the day: appliances, money spent, how long credit lasts, messages (IV-B).

"Consumers don't know which electrical appliances consume more power": the meter knows, and shows it at home
without telling anyone. Energy and cost of the appliances are counted report by report at the price of its
end; what the day costs in all is what the settlements charged.

Left out: longer histories, which the owner reads from the details.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta, Struct

from gridmonitoring.contracts.messages import Message
from gridmonitoring.encoding.bounds import MAX_INT, Millis, Money, Unsigned, WattHours
from gridmonitoring.smart_meter.channels import Channel

DAY_MS = 86_400_000
"""Length of most days, ms."""
KEPT_DAYS = 7
"""Days whose spending is kept."""
KEPT_MESSAGES = 8
"""Messages that are kept."""
SHORTEST_MS = DAY_MS // 4
"""A day of which less was measured says nothing about spending, ms."""

FourEnergies = tuple[WattHours, WattHours, WattHours, WattHours]
"""One for each channel, in order."""
FourCosts = tuple[Unsigned, Unsigned, Unsigned, Unsigned]
"""The same of cost, thousandths of a money unit without tax."""


class DayState(Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """The day so far, to be kept through a power cut."""

    since: Millis = 0
    """Local midnight, or when the meter came into service, ms."""
    energy: FourEnergies = (0, 0, 0, 0)
    """Of each channel since then and up to the last report, Wh."""
    cost: FourCosts = (0, 0, 0, 0)
    """What it cost."""
    charged: Money = 0
    """What settlements charged since then, money."""
    days: Annotated[tuple[Money, ...], Meta(max_length=KEPT_DAYS)] = ()
    """What a whole day like each of the last would be charged, money, oldest first."""
    messages: Annotated[tuple[tuple[Unsigned, Millis], ...], Meta(max_length=KEPT_MESSAGES)] = ()
    """(message, since when in ms), the last of them, oldest first."""
    overcharged: Millis = 0
    """When "You are being over charged" was last shown, ms; 0 for never."""


class Day:
    """Gathers the day."""

    __slots__ = ("_charged", "_cost", "_days", "_energy", "_since", "messages", "overcharged")

    def __init__(self, state: DayState) -> None:
        self._since, self._charged = state.since, state.charged
        self._energy, self._cost = list(state.energy), list(state.cost)
        self._days = list(state.days)
        self.messages = state.messages
        """(message, since when in ms), oldest first."""
        self.overcharged = state.overcharged
        """When the meter last said that its owner is being over charged, ms; 0 for never."""

    def state(self) -> DayState:
        """Return what was gathered so far."""
        one, two, three, four = self._energy
        cost_one, cost_two, cost_three, cost_four = self._cost
        return DayState(
            self._since,
            (one, two, three, four),
            (cost_one, cost_two, cost_three, cost_four),
            self._charged,
            tuple(self._days),
            self.messages,
            self.overcharged,
        )

    def begin(self, time: int) -> None:
        """Another day begins."""
        lasted = time - self._since
        if self._since and lasted >= SHORTEST_MS:
            self._days = [*self._days, self._charged * DAY_MS // lasted][-KEPT_DAYS:]
        self._since, self._charged = time, 0
        self._energy, self._cost = [0, 0, 0, 0], [0, 0, 0, 0]

    def count(self, energies: Sequence[tuple[Channel, int]], price: int) -> None:
        """Add (channel, Wh) of a report at the price of a kWh, money without tax."""
        for channel, energy in energies:
            self._energy[channel - 1] += energy
            self._cost[channel - 1] = min(self._cost[channel - 1] + energy * price, MAX_INT)

    def charge(self, money: int) -> None:
        """Add what a settlement charged."""
        self._charged = min(self._charged + money, MAX_INT)

    def show(self, message: Message, time: int) -> None:
        """Note a message; the same again takes the place of the last."""
        before = [noted for noted in self.messages[-1:] if noted[0] != message]
        self.messages = (*self.messages[:-1], *before, (int(message), time))[-KEPT_MESSAGES:]
        if message is Message.OVERCHARGED:
            self.overcharged = time

    def appliances(self, waiting: Sequence[int], price: int) -> tuple[tuple[Channel, int, int], ...]:
        """Return (channel, Wh, cost) of the day; `waiting` is each channel's Wh since the last report.

        The cost is in thousandths of a money unit, without tax.
        """
        return tuple(
            (channel, self._energy[channel - 1] + energy, self._cost[channel - 1] + energy * price)
            for channel, energy in zip(Channel, waiting, strict=True)
        )

    def charged(self, waiting: int) -> int:
        """Return what the day cost so far, money; `waiting` is what is not settled yet."""
        return self._charged + waiting

    def lasts(self, credit: int, waiting: int, time: int) -> int | None:
        """Return how long credit lasts at the pace of the last days, ms; None where nothing is spent.

        Before the first whole day, the pace is that of this one; `waiting` as for `charged`.
        """
        spent, during = sum(self._days), len(self._days) * DAY_MS
        if not self._days:
            spent, during = self.charged(waiting), time - self._since
        return min(credit * during // spent, MAX_INT) if spent > 0 and during > 0 else None
