"""The whole demonstration, from an empty directory to a verified one with a report in it."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter

from msgspec import Struct

from gridmonitoring.user_layer.demo.aftermath import Outcome, Steps, conclude
from gridmonitoring.user_layer.demo.household import open_household
from gridmonitoring.user_layer.demo.plan import SLOT_MS, HousePlan
from gridmonitoring.user_layer.demo.report import Shown, write_report
from gridmonitoring.user_layer.demo.scenario import Scenario, make_plans


class Cast(Struct, frozen=True):
    """Who will take part."""

    plans: list[HousePlan]
    """The houses."""
    source: str
    """Where their readings come from."""


class Result(Struct, frozen=True):
    """What a run left."""

    outcome: Outcome
    """What it came to."""
    report: Path
    """Its report."""
    seconds: tuple[float, float, float]
    """Founding and moving in, living, books and verification, s."""


def choose_cast(houses: int, days: int, data: Path | None) -> Cast:
    """Return who takes part; `data` are readings in the original format, None for the package's own.

    Raises `UserError` where there are not so many readings, or the file cannot be used.
    """
    household = open_household(data)
    return Cast(make_plans(household, houses, days), household.source)


def run_demo(cast: Cast, shown: Shown, steps: Steps) -> Result:
    """Run the demonstration in an empty directory; raises `UserError`."""
    root = shown.directory.resolve()
    began = perf_counter()
    steps.stage("houses move in", len(cast.plans))
    scenario = Scenario(root, cast.plans, steps.done)
    try:
        moved = perf_counter()
        steps.stage("days go by", (scenario.end_ms - cast.plans[0].series.start_ms) // SLOT_MS)
        scenario.run(steps.done)
        lived = perf_counter()
        outcome = conclude(scenario, cast.source, steps)
    finally:
        scenario.town.close()
    report = write_report(outcome, root, shown)
    return Result(outcome, report, (moved - began, lived - moved, perf_counter() - lived))
