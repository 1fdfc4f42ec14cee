"""Plans: everyone different, every incident has a house and a time, whoever is careless runs out."""

from __future__ import annotations

import pytest

from gridmonitoring.user_layer.demo.household import MINUTES_PER_DAY, MS_PER_DAY, Household, open_household
from gridmonitoring.user_layer.demo.incidents import INCIDENTS as COURSES
from gridmonitoring.user_layer.demo.plan import (
    CENT,
    INCIDENTS,
    PRICE,
    SLOT_MS,
    STANDING,
    START_MS,
    TERMS,
    expected_cost,
    incident_times,
    plan_house,
    share_of,
)
from gridmonitoring.user_layer.demo.scenario import make_plans
from tests.support.billing import flat


@pytest.fixture(scope="module")
def household() -> Household:
    return open_household()


def test_houses_differ_in_readings_tariff_and_terms(household: Household) -> None:
    plans = make_plans(household, 6, 2)
    assert len({plan.series.recorded_ms for plan in plans}) == 6
    assert {plan.series.start_ms for plan in plans} == {START_MS}
    assert {plan.tariff for plan in plans} == {"flat", "slab", "time-of-use"}
    assert len({plan.terms for plan in plans}) == len(TERMS)
    assert [plan.name for plan in plans[:2]] == ["house-01", "house-02"]


@pytest.mark.parametrize("houses", [1, 2, 3, 6, 20])
def test_one_house_is_careless_and_nothing_keeps_its_power_on(household: Household, houses: int) -> None:
    plans = make_plans(household, houses, 1)
    (careless,) = [plan for plan in plans if plan.careless]
    assert careless.terms.billing.emergency_credit == 0
    assert careless.terms.no_cut == ()


@pytest.mark.parametrize("houses", [1, 3, 6, 20])
@pytest.mark.parametrize("days", [1, 2, 7, 30])
def test_incidents_have_a_house_and_an_interval_within_the_days(houses: int, days: int) -> None:
    times = incident_times(houses, days)
    assert [time for time, _, _ in times] == sorted(time for time, _, _ in times)
    for time, name, house in times:
        assert START_MS < time < START_MS + days * MS_PER_DAY
        assert (time - START_MS) % SLOT_MS == 0
        assert 0 <= house < houses
        assert name in COURSES
    assert len(times) == len(INCIDENTS) == len(COURSES) - 2


def test_expected_cost_is_that_of_the_readings(household: Household) -> None:
    plan = plan_house(0, 6, household.minutes(household.house_window(0, 2, 6), 2 * MINUTES_PER_DAY))
    tariff = flat(price=PRICE, standing=STANDING)
    energy = sum(plan.series.watts) / 60_000
    expected = (energy * PRICE + 2 * STANDING) * 1.196
    assert expected_cost(plan.series, tariff, plan.terms.billing) == pytest.approx(expected, rel=1e-6)


def test_a_share_is_whole_cents_of_at_most_a_week() -> None:
    assert share_of(140 * CENT, 50, 14) == 35 * CENT
    assert share_of(140 * CENT, 50, 7) == 70 * CENT
    assert share_of(101 * CENT // 2, 100, 1) == 50 * CENT
    assert share_of(1, 1, 30) == CENT


def test_the_night_is_without_cuts_in_one_agreement() -> None:
    (night,) = [terms for terms in TERMS if terms.no_cut]
    assert [(window.from_minute, window.to_minute) for window in night.no_cut] == [(0, 360), (1320, 1440)]
