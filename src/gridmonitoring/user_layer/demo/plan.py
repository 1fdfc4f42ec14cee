"""What the demonstration's houses agree to and how they behave (paper III-A-1, III-A-5, III-A-6).

Every house has a tariff and terms of its own, one of them pays no heed to warnings, and each of the scripted
incidents has a house and a time. Houses are different months of the one recorded house, and how much each
will use is known beforehand, so purchases can be planned such that each incident comes about.

Left out: carrying it out (`town`, `incidents`).
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from gridmonitoring.contracts.agreement import NoCutWindow
from gridmonitoring.contracts.violations import ActionKind, AgreedAction, Violation
from gridmonitoring.energy_center.credit import BillingTerms
from gridmonitoring.energy_center.tariffs import TAX_WHOLE, Tariff, price_at
from gridmonitoring.user_layer.demo.household import (
    MS_PER_DAY,
    MS_PER_MINUTE,
    WATT_MINUTES_PER_WATT_HOUR,
    MinuteSeries,
)

START_MS = 1_771_974_000_000
"""First minute of the replay: Wednesday 2026-02-25, 00:00 at UTC+1; with the fifth day a month begins."""
CURRENCY, MINOR_DIGITS = "EUR", 2
CENT = 1_000_000
"""Money of a minor unit."""
EURO = 100 * CENT
PRICE = 25 * CENT
"""Price of a kWh in the flat tariff; the others are made from it."""
STANDING = 30 * CENT
"""Standing charge of a day."""
TARIFFS = ("flat", "time-of-use", "slab")
"""Names of the tariffs, house by house."""
SLOT_MS = 15 * MS_PER_MINUTE
"""Reporting interval: all houses live through one before any lives through the next."""
SPREE_DAYS = 7
"""Days that a purchase lasts at most."""
FIRST_SHARE, CARELESS_SHARE = 55, 40
"""Of what the first purchase is to last for, the share that it pays, percent."""
EXTRA_SHARE = 4
"""The same for what a house buys beside its habit, where an incident wants a purchase."""
CARELESS = 1
"""Place among the houses of the one that lets its credit run out."""

INCIDENTS: tuple[tuple[str, int, int], ...] = (
    ("refused_form", 2, 20),
    ("duplicate_payment", 2, 24),
    ("no_capacity", 3, 28),
    ("bounced_payment", 4, 32),
    ("supply_off", 0, 40),
    ("researcher_reads", 0, 46),
    ("replayed_report", 1, 50),
    ("use_behind_open_relay", 3, 56),
    ("altered_row", 4, 62),
    ("overcharging_node", 1, 64),
    ("disputed_penalty", 3, 66),
    ("cover_opened", 5, 70),
    ("node_down", 2, 80),
)
"""(name, house, when in percent of the time); with fewer houses they are counted round again."""


class Terms(Struct, frozen=True):
    """What differs between agreements."""

    billing: BillingTerms
    """Money."""
    custodian: bool
    """Whether the utility's custodian may read the load profile."""
    language: str
    """Language of the display."""
    no_cut: tuple[NoCutWindow, ...]
    """Hours in which the relay does not open for want of credit."""


PENALTY = EURO // 2
"""Agreed for use while disconnected."""
ACTIONS = (
    AgreedAction(Violation.USE_WHILE_DISCONNECTED, ActionKind.PENALTY, PENALTY, cut_off=False, notice=True),
)
"""What every agreement says is done about violations."""
TAX = 196_000
"""Tax, parts per million."""
NIGHT = (NoCutWindow((), 0, 6 * 60), NoCutWindow((), 22 * 60, 24 * 60))
"""No shutdown in the night."""
TERMS = (
    Terms(BillingTerms(0, 3 * EURO, tax_ppm=TAX), custodian=False, language="en", no_cut=()),
    Terms(BillingTerms(2 * EURO, 3 * EURO, tax_ppm=TAX), custodian=False, language="en", no_cut=()),
    Terms(BillingTerms(0, 4 * EURO, 500, 5 * EURO, TAX), custodian=True, language="en", no_cut=()),
    Terms(BillingTerms(3 * EURO, 3 * EURO, tax_ppm=TAX), custodian=False, language="fr", no_cut=NIGHT),
)
"""Terms, house by house: without and with subscription, with emergency credit and half of each top-up for
debt, with hours in which nothing is cut."""


class HousePlan(Struct, frozen=True):
    """One house, before it moves in."""

    number: int
    """Counts from 1."""
    tariff: str
    """Name of its tariff."""
    terms: Terms
    """What is agreed."""
    series: MinuteSeries
    """What it would draw, minute by minute, on the replay's calendar."""
    careless: bool
    """Whether it pays no heed to the warning."""

    @property
    def name(self) -> str:
        """What it is called here, and what its consumer's key file is called after."""
        return f"house-{self.number:02d}"


def plan_house(index: int, houses: int, series: MinuteSeries) -> HousePlan:
    """Return the plan of the house at a place among the houses, from 0."""
    return HousePlan(
        index + 1,
        TARIFFS[index % len(TARIFFS)],
        TERMS[index % len(TERMS)],
        series.aligned(START_MS),
        index == CARELESS % houses,
    )


def incident_times(houses: int, days: int) -> Sequence[tuple[int, str, int]]:
    """Return (time, name, place of the house) of each scripted incident, in order of time."""
    length = days * MS_PER_DAY
    return [
        (START_MS + length * percent // 100 // SLOT_MS * SLOT_MS, name, house % houses)
        for name, house, percent in INCIDENTS
    ]


def expected_cost(series: MinuteSeries, tariff: Tariff, terms: BillingTerms) -> int:
    """Return about what the whole recording will cost, money; a plan, never a bill.

    Hour by hour at the hour's price, slabs at their first price.
    """
    watts, total = series.watts, 0
    for first in range(0, len(watts), 60):
        price = price_at(tariff, series.start_ms + first * MS_PER_MINUTE)
        total += sum(watts[first : first + 60]) * price
    energy = total // (1000 * WATT_MINUTES_PER_WATT_HOUR)
    days = len(watts) * MS_PER_MINUTE // MS_PER_DAY
    return (energy + days * tariff.standing_per_day) * (TAX_WHOLE + terms.tax_ppm) // TAX_WHOLE


def share_of(cost: int, percent: int, days: int) -> int:
    """Return a share of what a purchase is to last for, in whole cents, at least one."""
    lasting = cost * min(days, SPREE_DAYS) // days
    return max(lasting * percent // 100 // CENT, 1) * CENT
