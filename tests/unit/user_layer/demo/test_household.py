"""The reader: any recorded minute, exact energies, windows for houses, and faults named."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from itertools import chain, pairwise
from pathlib import Path

import pytest

from gridmonitoring.errors import BadTimeRange
from gridmonitoring.user_layer.demo.household import (
    MS_PER_DAY,
    MS_PER_MINUTE,
    Household,
    MinuteSeries,
    open_household,
)
from gridmonitoring.user_layer.demo.household_format import Minute, MonthMinutes, local_text, minute_of

EXTRACT = Path(__file__).with_name("household_extract.csv")


def ms_of(local: str) -> int:
    return minute_of(local) * MS_PER_MINUTE


def local_of(ms: int) -> str:
    assert ms % MS_PER_MINUTE == 0
    return local_text(Minute(ms // MS_PER_MINUTE))


def channels(series: MinuteSeries) -> tuple[array[int], ...]:
    return series.watts, series.kitchen, series.laundry, series.climate, series.rest


@pytest.fixture(scope="module")
def packaged() -> Household:
    return open_household()


def test_the_recording_is_read_as_utc_plus_one(packaged: Household) -> None:
    assert packaged.start_ms == 1_166_286_240_000  # 2006-12-16T16:24Z
    assert packaged.end_ms == 1_290_801_780_000  # 2010-11-26T20:03Z
    assert (packaged.end_ms - packaged.start_ms) // MS_PER_MINUTE == 2_075_259


def test_the_source_names_authors_licence_and_changes(packaged: Household) -> None:
    for words in ("Georges Hebrail", "Alice Berard", "UCI", "10.24432/C58K54", "CC-BY-4.0", "changed"):
        assert words in packaged.source
    assert open_household(EXTRACT).source == "Readings: household_extract.csv"


def test_the_packaged_readings_are_those_of_the_original_extract(packaged: Household) -> None:
    extract = open_household(EXTRACT)
    count = (extract.end_ms - extract.start_ms) // MS_PER_MINUTE
    assert count == 360
    series = extract.minutes(extract.start_ms, count)
    assert local_of(series.start_ms) == "2009-07-31T19:00"
    assert packaged.minutes(extract.start_ms, count) == series


def test_every_minute_adds_up_but_for_the_clamped_ones(packaged: Household) -> None:
    count = (packaged.end_ms - packaged.start_ms) // MS_PER_MINUTE
    series = packaged.minutes(packaged.start_ms, count)
    assert {len(channel) for channel in channels(series)} == {len(series)} == {2_075_259}
    total, *parts = (sum(channel) for channel in channels(series))
    assert series.clamped == 1_059
    assert series.clamped_watt_minutes == 19_362
    assert sum(parts) == total + series.clamped_watt_minutes
    # the recording's own totals: 37,680 kWh, of which 2,321, 2,679 and 13,383 in the sub-meters
    assert total == 2_260_823_938
    assert [energy // 60 for energy in parts[:3]] == [2_321_124, 2_679_431, 13_382_588]


def test_a_clamped_minute_keeps_the_measured_total() -> None:
    series = open_household(EXTRACT).minutes(ms_of("2009-07-31T19:26"), 2)
    assert (series.clamped, series.clamped_watt_minutes) == (1, 20)
    assert [channel[1] for channel in channels(series)] == [3700, 1500, 1140, 1080, 0]
    first = [channel[0] for channel in channels(series)]
    assert first[0] == sum(first[1:])


def test_any_cut_of_the_readings_is_the_same_readings(packaged: Household) -> None:
    start, count = ms_of("2007-01-31T23:30"), 60
    whole = packaged.minutes(start, count)
    for pieces in (1, 7, 29, 30, 31):
        cuts = [*range(0, count, pieces), count]
        parts = [packaged.minutes(start + a * MS_PER_MINUTE, b - a) for a, b in pairwise(cuts)]
        joined = tuple(array("H", chain(*channel)) for channel in zip(*map(channels, parts), strict=True))
        assert joined == channels(whole)


def test_a_window_over_three_months_is_continuous(packaged: Household) -> None:
    series = packaged.minutes(ms_of("2007-01-31T23:59"), 1 + 28 * 1440 + 1)
    for index, local in (
        (0, "2007-01-31T23:59"),
        (1, "2007-02-01T00:00"),
        (len(series) - 1, "2007-03-01T00:00"),
    ):
        assert series.watts[index] == packaged.minutes(ms_of(local), 1).watts[0]


def test_only_the_months_that_are_asked_for_are_loaded_and_once() -> None:
    months = [MonthMinutes(Minute(60 + 10 * i), array("H", [i] * 10), *(bytes(10),) * 3) for i in range(12)]
    loaded: list[int] = []

    def load(index: int) -> MonthMinutes:
        loaded.append(index)
        return months[index]

    household = Household("test", [(month.first, 10) for month in months], load)
    assert loaded == []
    for _ in range(3):
        assert list(household.minutes(75 * MS_PER_MINUTE, 10).watts) == [1] * 5 + [2] * 5
    assert loaded == [1, 2]
    assert len(household.minutes(household.start_ms, 120)) == 120
    assert sorted(set(loaded)) == list(range(12))
    loaded.clear()
    household.minutes(household.start_ms, 1)  # the oldest month made room for later ones
    assert loaded == [0]


def test_what_a_caller_does_to_its_series_stays_with_the_caller(packaged: Household) -> None:
    before = packaged.minutes(packaged.start_ms, 3)
    taken = packaged.minutes(packaged.start_ms, 3)
    taken.watts[0] = 0
    assert packaged.minutes(packaged.start_ms, 3) == before != taken


@pytest.mark.parametrize(
    ("shift_ms", "count"),
    [
        (-MS_PER_MINUTE, 1),
        (0, 361),
        (359 * MS_PER_MINUTE, 2),
        (360 * MS_PER_MINUTE, 1),
        (0, 0),
        (0, -1),
        (1, 1),
    ],
)
def test_minutes_that_were_not_recorded_are_refused(shift_ms: int, count: int) -> None:
    household = open_household(EXTRACT)
    with pytest.raises(BadTimeRange):
        household.minutes(household.start_ms + shift_ms, count)


def windows(household: Household, days: int, houses: int) -> Sequence[int]:
    return [household.house_window(house, days, houses) for house in range(houses)]


@pytest.mark.parametrize(
    ("houses", "days"), [(1, 1), (1, 1440), (6, 7), (20, 30), (40, 31), (46, 31), (480, 3), (1440, 1)]
)
def test_windows_are_recorded_whole_local_days_that_never_overlap(
    packaged: Household, houses: int, days: int
) -> None:
    starts = windows(packaged, days, houses)
    assert starts == windows(open_household(), days, houses)
    assert all(local_of(start).endswith("T00:00") for start in starts)
    assert all(b - a >= days * MS_PER_DAY for a, b in pairwise(starts))
    assert starts[0] >= packaged.start_ms
    assert starts[-1] + days * MS_PER_DAY <= packaged.end_ms
    if houses <= 46:
        assert len({local_of(start)[:7] for start in starts}) == houses


def test_the_windows_of_forty_houses_can_be_read(packaged: Household) -> None:
    series = [packaged.minutes(start, 31 * 1440) for start in windows(packaged, 31, 40)]
    assert {len(one) for one in series} == {31 * 1440}
    assert len({sum(one.watts) for one in series}) == 40


@pytest.mark.parametrize(
    ("house", "days", "houses"),
    [
        (0, 1441, 1),
        (0, 32, 46),
        (0, 1, 1441),
        (-1, 7, 6),
        (6, 7, 6),
        (0, 0, 6),
        (0, -1, 6),
        (0, 7, 0),
        (0, 7, -1),
    ],
)
def test_windows_beyond_the_recording_are_refused(
    packaged: Household, house: int, days: int, houses: int
) -> None:
    with pytest.raises(BadTimeRange):
        packaged.house_window(house, days, houses)


def test_a_recording_without_a_whole_day_has_no_window() -> None:
    with pytest.raises(BadTimeRange, match="has 0 whole days"):
        open_household(EXTRACT).house_window(0, 1, 1)


def test_a_series_moves_to_another_date_by_whole_days(packaged: Household) -> None:
    series = packaged.minutes(packaged.house_window(3, 2, 6), 2 * 1440)
    assert series.start_ms == series.recorded_ms
    moved = series.aligned(ms_of("2026-03-01T00:00"))
    assert (moved.start_ms, moved.recorded_ms) == (ms_of("2026-03-01T00:00"), series.start_ms)
    assert channels(moved) == channels(series)
    assert moved.aligned(series.start_ms) == series
    for wrong in ("2026-03-01T01:00", "2026-02-28T23:59"):
        with pytest.raises(BadTimeRange):
            series.aligned(ms_of(wrong))
