"""Scores against values worked by hand, baselines, and a backtest that never sees its own answer."""

from __future__ import annotations

import pytest

from gridmonitoring.data_center.forecasts import backtest, seasonal_average, seasonal_naive
from gridmonitoring.data_center.scores import mae, mape, pinball, rmse, skill, smape
from gridmonitoring.errors import UserError

ACTUAL = [100.0, 200.0, 400.0]
FORECAST = [110.0, 180.0, 400.0]


def test_scores_by_hand() -> None:
    assert mae(ACTUAL, FORECAST) == 10
    assert rmse(ACTUAL, FORECAST) == pytest.approx((500 / 3) ** 0.5)
    assert mape(ACTUAL, FORECAST) == pytest.approx(0.2 / 3)
    assert smape(ACTUAL, FORECAST) == pytest.approx((20 / 210 + 40 / 380) / 3)
    assert smape([0.0], [0.0]) == 0
    assert skill(5, 10) == 0.5
    assert skill(20, 10) == -1


def test_the_pinball_loss_weighs_too_little_and_too_much_by_the_quantile() -> None:
    assert pinball([10.0], [0.0], 0.9) == pytest.approx(9)
    assert pinball([0.0], [10.0], 0.9) == pytest.approx(1)
    assert pinball(ACTUAL, FORECAST, 0.5) == pytest.approx(mae(ACTUAL, FORECAST) / 2)


def test_the_best_constant_for_the_pinball_loss_is_the_quantile() -> None:
    values = [float(value) for value in range(100)]
    best = min(values, key=lambda constant: pinball(values, [constant] * 100, 0.9))
    assert best == pytest.approx(89.5, abs=1)


def test_scores_that_have_no_value_say_so() -> None:
    with pytest.raises(UserError, match="0 forecasts for 0 values"):
        mae([], [])
    with pytest.raises(UserError, match="0 forecasts for 1 values"):
        mae([1.0], [])
    with pytest.raises(UserError, match="sMAPE"):
        mape([0.0], [1.0])
    with pytest.raises(UserError, match="quantile"):
        pinball([1.0], [1.0], 1.0)
    with pytest.raises(UserError, match="no skill"):
        skill(1, 0)


def test_the_seasonal_naive_repeats_the_last_season() -> None:
    assert seasonal_naive([9, 1, 2, 3], 3, 5) == [1, 2, 3, 1, 2]


def test_the_seasonal_average_is_of_the_same_place_in_the_last_seasons() -> None:
    assert seasonal_average([1, 10, 3, 20], 2, 3) == [2, 15, 2]
    assert seasonal_average([5, 1, 10], 2, 2) == [1, 7.5]
    long = [float(value) for value in range(100)]
    assert seasonal_average(long, 10, 1) == [(90 + 80 + 70 + 60) / 4]


def test_a_perfect_season_is_forecast_without_error() -> None:
    score = backtest([1, 2, 3] * 5, 3, 2, seasonal_naive)
    assert (score.mae, score.rmse, score.smape, score.pinball, score.skill) == (0, 0, 0, 0, None)
    assert score.forecasts == 2 * (15 - 3 - 2 + 1)


def test_averages_beat_the_naive_forecast_on_noise() -> None:
    noisy = [100 + (7 * n * n) % 13 for n in range(60)]
    score = backtest(noisy, 7, 1, seasonal_average)
    assert score.skill is not None
    assert 0 < score.skill < 1


def test_a_backtest_knows_only_what_came_before() -> None:
    seen: list[int] = []

    def watch(history: object, season: int, horizon: int) -> list[float]:
        assert isinstance(history, list)
        seen.append(len(history))
        return seasonal_naive(history, season, horizon)

    series = [float(value) for value in range(10)]
    score = backtest(series, 3, 2, watch)
    assert seen == list(range(3, 9))
    assert score.mae == pytest.approx(3)


@pytest.mark.parametrize(("length", "season", "horizon"), [(6, 7, 1), (7, 7, 1), (9, 0, 1), (9, 7, 0)])
def test_too_short_a_series_is_refused(length: int, season: int, horizon: int) -> None:
    with pytest.raises(UserError):
        backtest([1.0] * length, season, horizon, seasonal_naive)
