"""Scores of forecasts (paper IV-C: the utility uses the stored data for forecasting).

Hyndman and Koehler, "Another look at measures of forecast accuracy" (2006), for the point scores and for
skill against a naive forecast; the pinball (quantile) loss as in the Global Energy Forecasting Competition
2014.

Left out: scores of whole distributions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from gridmonitoring.errors import UserError

Series = Sequence[float]
"""Values one period apart."""


def mae(actual: Series, forecast: Series) -> float:
    """Return the mean absolute error, in the unit of the series."""
    return _mean(actual, forecast, lambda a, f: abs(a - f))


def rmse(actual: Series, forecast: Series) -> float:
    """Return the root mean squared error, in the unit of the series."""
    return math.sqrt(_mean(actual, forecast, lambda a, f: (a - f) ** 2))


def mape(actual: Series, forecast: Series) -> float:
    """Return the mean absolute error in parts of the actual value; raises `UserError` where one is 0."""
    if any(value == 0 for value in actual):
        raise UserError("MAPE has no value where an actual value is 0; use sMAPE")
    return _mean(actual, forecast, lambda a, f: abs(a - f) / abs(a))


def smape(actual: Series, forecast: Series) -> float:
    """Return the symmetric MAPE, 0 .. 2: the error in parts of the mean of both; 0 where both are 0."""
    return _mean(actual, forecast, lambda a, f: 2 * abs(a - f) / (abs(a) + abs(f)) if a or f else 0.0)


def pinball(actual: Series, forecast: Series, quantile: float) -> float:
    """Return the pinball loss of forecasts of a quantile, in the unit of the series.

    At 0.5 it is half the mean absolute error. Raises `UserError` unless 0 < `quantile` < 1.
    """
    if not 0 < quantile < 1:
        raise UserError(f"a quantile is between 0 and 1, not {quantile}")
    return _mean(actual, forecast, lambda a, f: max(quantile * (a - f), (quantile - 1) * (a - f)))


def skill(error: float, naive: float) -> float:
    """Return 1 - error / naive: 1 is perfect, 0 as good as the naive forecast, below 0 worse.

    Raises `UserError` where the naive forecast makes no error: nothing can be better.
    """
    if naive <= 0:
        raise UserError("the naive forecast makes no error; there is no skill beside it")
    return 1 - error / naive


def _mean(actual: Series, forecast: Series, loss: Callable[[float, float], float]) -> float:
    if not actual or len(actual) != len(forecast):
        raise UserError(f"{len(forecast)} forecasts for {len(actual)} values; they must be as many, and some")
    return math.fsum(loss(a, f) for a, f in zip(actual, forecast, strict=True)) / len(actual)
