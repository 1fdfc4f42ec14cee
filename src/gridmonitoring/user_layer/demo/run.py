"""One call for the whole demonstration, from an empty directory to a verified one with a report in it."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter

from msgspec import Struct

from gridmonitoring.user_layer.demo.aftermath import Outcome, Steps, conclude
from gridmonitoring.user_layer.demo.household import MS_PER_DAY, open_household
from gridmonitoring.user_layer.demo.plan import SLOT_MS
from gridmonitoring.user_layer.demo.report import write_report
from gridmonitoring.user_layer.demo.scenario import Scenario, make_plans


class Options(Struct, frozen=True):
    """What to run."""

    directory: Path
    """An empty directory."""
    houses: int
    """Houses."""
    days: int
    """Days."""
    data: Path | None
    """Readings in the original format, None for the ones in the package."""


class Result(Struct, frozen=True):
    """What a run left."""

    outcome: Outcome
    """What it came to."""
    report: Path
    """Its report."""
    seconds: tuple[float, float, float]
    """Founding and moving in, living, books and verification, s."""


def run_demo(options: Options, steps: Steps) -> Result:
    """Run the demonstration; raises `UserError` for what cannot be run."""
    household = open_household(options.data)
    plans = make_plans(household, options.houses, options.days)
    began = perf_counter()
    steps.stage("houses move in", 1)
    scenario = Scenario(options.directory.resolve(), plans)
    try:
        steps.done(1)
        moved = perf_counter()
        steps.stage("days go by", options.days * MS_PER_DAY // SLOT_MS)
        scenario.run(steps.done)
        lived = perf_counter()
        outcome = conclude(scenario, household.source, steps)
    finally:
        scenario.town.close()
    report = write_report(outcome, options.directory.resolve(), options.directory)
    return Result(outcome, report, (moved - began, lived - moved, perf_counter() - lived))
