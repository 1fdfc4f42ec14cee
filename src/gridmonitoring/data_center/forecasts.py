"""Baseline forecasts of demand, and how well they would have done (paper IV-C).

Two plain ones, which any better forecast has to beat: the seasonal naive (what was one season ago) and the
seasonal average (the mean of the last seasons at the same place in the season). A backtest moves through
the series and forecasts from what was known at each time, so no score has seen its own answer.

Left out: weather, holidays and models that learn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import fsum
from typing import NamedTuple

from gridmonitoring.data_center.scores import Series, mae, pinball, rmse, skill, smape
from gridmonitoring.errors import UserError

SEASONS = 4
"""Seasons that an average looks back."""

Forecaster = Callable[[Series, int, int], list[float]]
"""(history, season, horizon) -> the next values."""


class Score(NamedTuple):
    """How a forecast did in a backtest."""

    forecasts: int
    """How many values were forecast."""
    mae: float
    """Mean absolute error, in the unit of the series."""
    rmse: float
    """Root mean squared error, in the unit of the series."""
    smape: float
    """Symmetric mean absolute error, 0 .. 2."""
    pinball: float
    """Pinball loss at the median, in the unit of the series."""
    skill: float | None
    """Skill in MAE against the seasonal naive; None where that makes no error."""


def seasonal_naive(history: Series, season: int, horizon: int) -> list[float]:
    """Return the next values as they were one season ago; raises `UserError` with less than a season."""
    _require(history, season, horizon)
    last = history[-season:]
    return [float(last[step % season]) for step in range(horizon)]


def seasonal_average(history: Series, season: int, horizon: int) -> list[float]:
    """Return means of the last `SEASONS` seasons at the same place in them; raises as the naive one."""
    _require(history, season, horizon)
    means: list[float] = []
    for place in range(season):
        past = [history[at] for at in range(len(history) - season + place, -1, -season)][:SEASONS]
        means.append(fsum(past) / len(past))
    return [means[step % season] for step in range(horizon)]


FORECASTERS: Mapping[str, Forecaster] = {
    "seasonal-naive": seasonal_naive,
    "seasonal-average": seasonal_average,
}
"""Name -> baseline."""


def backtest(series: Series, season: int, horizon: int, forecaster: Forecaster) -> Score:
    """Return how a forecaster would have done at every time from the first season on.

    Raises `UserError` where the series is shorter than a season and a horizon.
    """
    actual, forecast = _forecasts(series, season, horizon, forecaster)
    _, naive = _forecasts(series, season, horizon, seasonal_naive)
    error, reference = mae(actual, forecast), mae(actual, naive)
    return Score(
        len(actual),
        error,
        rmse(actual, forecast),
        smape(actual, forecast),
        pinball(actual, forecast, 0.5),
        skill(error, reference) if reference else None,
    )


def _forecasts(
    series: Series, season: int, horizon: int, forecaster: Forecaster
) -> tuple[list[float], list[float]]:
    """Return actual values and forecasts of all origins, pairwise."""
    _require(series[:-horizon] if horizon > 0 else series, season, horizon)
    actual: list[float] = []
    forecast: list[float] = []
    for origin in range(season, len(series) - horizon + 1):
        actual += series[origin : origin + horizon]
        forecast += forecaster(series[:origin], season, horizon)
    return actual, forecast


def _require(history: Sequence[float], season: int, horizon: int) -> None:
    if season < 1 or horizon < 1:
        raise UserError("a season and a horizon are one period or longer")
    if len(history) < season:
        raise UserError(f"{len(history)} periods are known, a forecast by season needs {season}")
