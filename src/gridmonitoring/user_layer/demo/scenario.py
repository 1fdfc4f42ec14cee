"""The demonstration: a town lives through some days of real readings at full speed (paper III to V).

All houses live through a reporting interval before any lives through the next, as they would in time. What
their meters say goes out together, commands and statements come back with proofs, people act, incidents
happen.

Left out: what is made of it afterwards (`aftermath`).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from gridmonitoring.contracts.agreement import DAY_MS
from gridmonitoring.contracts.meter_rule import MeterState
from gridmonitoring.user_layer.demo.acts import Course
from gridmonitoring.user_layer.demo.household import MINUTES_PER_DAY, Household
from gridmonitoring.user_layer.demo.incidents import INCIDENTS
from gridmonitoring.user_layer.demo.plan import SLOT_MS, START_MS, HousePlan, incident_times, plan_house
from gridmonitoring.user_layer.demo.story import Story
from gridmonitoring.user_layer.demo.town import House, Town

UNFINISHED = "had no time to happen"
"""Outcome of an incident that did not come to its end within the days."""
DAYS_AFTER = 365
"""Days for which capacity is offered at the end, for those who go on with the network."""
SAMPLE_MS = 4 * SLOT_MS
"""Time between two looks at the displays."""


class _Running:
    """An incident on its way."""

    def __init__(self, name: str, course: Course, due: int) -> None:
        self.name = name
        self.course = course
        self.due = due


def make_plans(household: Household, houses: int, days: int) -> list[HousePlan]:
    """Return the plans of all houses, each another part of the recording; raises `UserError`."""
    plans = []
    for index in range(houses):
        recorded = household.house_window(index, days, houses)
        plans.append(plan_house(index, houses, household.minutes(recorded, days * MINUTES_PER_DAY)))
    return plans


class Scenario:
    """One run."""

    def __init__(self, root: Path, plans: list[HousePlan], tell: Callable[[int], None]) -> None:
        """Found the town and have everyone move in; `tell` is called with the number of houses that have.

        Raises `UserError`.
        """
        self.town = Town(root, plans, tell)
        self.story = Story()
        self.end_ms = plans[0].series.start_ms + len(plans[0].series) * DAY_MS // MINUTES_PER_DAY
        """End of the last minute, ms."""
        self.outcomes = dict.fromkeys(INCIDENTS, UNFINISHED)
        """Incident -> what became of it."""
        self._running = self._schedule(len(plans), (self.end_ms - START_MS) // DAY_MS)

    def _schedule(self, houses: int, days: int) -> list[_Running]:
        beginning = [
            (START_MS, "low_credit", next(h for h in self.town.houses)),
            (START_MS, "out_of_credit", next(h for h in self.town.houses if h.plan.careless)),
        ]
        beginning += [
            (time, name, self.town.houses[house]) for time, name, house in incident_times(houses, days)
        ]
        return [
            _Running(name, INCIDENTS[name](self.town, house, self.story), time)
            for time, name, house in beginning
        ]

    def run(self, tell: Callable[[int], None]) -> None:
        """Live through all days; `tell` is called with the number of intervals done."""
        town = self.town
        town.offer(START_MS)
        for number, now in enumerate(range(START_MS + SLOT_MS, self.end_ms + SLOT_MS, SLOT_MS), 1):
            town.grid.move_clock(now)
            town.measure(now)
            town.exchange(town.houses)
            if (now - START_MS) % DAY_MS == 0:
                town.offer(now, 1 if now < self.end_ms else DAYS_AFTER)
            if now < self.end_ms:
                self._live(now)
            if number == 1 or now % SAMPLE_MS == 0:
                self.story.sample(town.houses)
            tell(number)

    def _live(self, now: int) -> None:
        for running in [one for one in self._running if one.due <= now]:
            self._go_on(running, now)
        for house in self.town.houses:
            self._look_at_display(house)

    def _look_at_display(self, house: House) -> None:
        """Everyone but the careless buys power when the display asks for it."""
        if house.heeds and house.state in (MeterState.LOW_CREDIT, MeterState.OUT_OF_CREDIT):
            self.town.buy(house, house.share(100))
            self.town.exchange([house])

    def _go_on(self, running: _Running, now: int) -> None:
        try:
            running.due = now + next(running.course) * SLOT_MS
        except StopIteration as end:
            self.outcomes[running.name] = end.value
            self._running.remove(running)
