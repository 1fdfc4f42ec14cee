"""Registers of a smart meter: watt-minutes in, whole watt-hours out (paper IV-B; COSEM 1.8.0, 1.8.x, 2.8.0).

A meter counts as one with a pulse output does: 60 watt-minutes make a Wh, what is left over waits for the
next, so nothing is ever rounded away. A Wh is counted, whole, in the total and in the register of the rate
that is active when it becomes whole; so the rates always add up to the total, and no Wh is split afterwards.

Left out: reactive energy, demand registers and load limitation registers.
"""

from __future__ import annotations

from msgspec import Struct

from gridmonitoring.blockchain.bodies import Register
from gridmonitoring.encoding.bounds import EXPORT_TOTAL, IMPORT_TOTAL, Unsigned, WattHours, import_rate
from gridmonitoring.energy_center.tariffs import Tariff, active_rate, next_rate_change_ms

WATT_MINUTES = 60
"""Watt-minutes of a Wh."""
NEVER = 2**63 - 1
"""A time that does not come, ms."""


class RegisterState(Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """What the registers hold, to be kept through a power cut."""

    total: WattHours = 0
    """Imported, Wh."""
    left: Unsigned = 0
    """Imported beyond that, watt-minutes, under 60."""
    rates: tuple[tuple[Unsigned, WattHours], ...] = ()
    """(rate, Wh imported under it) of each rate that a tariff ever had, in order."""
    exported: WattHours = 0
    """Exported, Wh."""
    exported_left: Unsigned = 0
    """Exported beyond that, watt-minutes, under 60."""


class Registers:
    """The registers of one device; they only go up."""

    __slots__ = ("_exported", "_exported_left", "_left", "_rate", "_rates", "total")

    def __init__(self, state: RegisterState) -> None:
        self.total = state.total
        """Imported, Wh."""
        self._left = state.left
        self._rates = dict(state.rates)
        self._exported = state.exported
        self._exported_left = state.exported_left
        self._rate = 0

    def state(self) -> RegisterState:
        """Return what the registers hold."""
        rates = tuple(sorted(self._rates.items()))
        return RegisterState(self.total, self._left, rates, self._exported, self._exported_left)

    def switch(self, tariff: Tariff, time_ms: int) -> int:
        """Count under the rate that is active at a time, with a register for each rate of the tariff.

        Returns until when, ms.
        """
        for _, rate in tariff.rate_registers:
            self._rates.setdefault(rate, 0)
        self._rate = active_rate(tariff, time_ms) if tariff.rate_registers else 0
        change = next_rate_change_ms(tariff, time_ms)
        return NEVER if change is None else change

    def imported(self, watt_minutes: int) -> None:
        """Count energy that came from the grid."""
        whole, self._left = divmod(self._left + watt_minutes, WATT_MINUTES)
        if whole:
            self.total += whole
            if self._rate:
                self._rates[self._rate] += whole

    def give(self, watt_minutes: int) -> None:
        """Count energy that was given to the grid."""
        whole, self._exported_left = divmod(self._exported_left + watt_minutes, WATT_MINUTES)
        self._exported += whole

    def reading(self) -> tuple[Register, ...]:
        """Return (OBIS code, Wh) in order of code: total, rates, export."""
        rates = [(import_rate(rate), energy) for rate, energy in sorted(self._rates.items())]
        return ((IMPORT_TOTAL, self.total), *rates, (EXPORT_TOTAL, self._exported))
