"""What `gridmon data` prints for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gridmonitoring.data_center.aggregates import Dimension
from gridmonitoring.data_center.forecasts import Score
from gridmonitoring.runtime.columns.research import Given
from gridmonitoring.user_layer.cli.money import energy_text, money_text
from gridmonitoring.user_layer.cli.times import time_text


def status_rows(data: Mapping[str, int]) -> list[tuple[str, str]]:
    """Return how a data center stands, line by line."""
    behind = f", {data['behind']} behind the network" if data["behind"] else ""
    return [
        ("copies up to block", f"{data['height']}, {time_text(data['time'])}{behind}"),
        ("in Parquet", f"{data['parts']} parts, {data['bytes']} bytes; {data['waiting']} blocks wait"),
        ("floors", f"{data['floor_meters']} meters, none above {data['floor_share_permille'] / 10:g} %"),
        ("given", f"{data['given']} cells, {data['atoms']} sets that cannot be told apart"),
        ("exported", f"{data['opened']} settlements"),
    ]


def aggregate_lines(
    given: Given, by: Sequence[Dimension], digits: int
) -> tuple[list[str], list[tuple[str, ...]]]:
    """Return (columns, lines) of aggregates, withheld cells among them."""
    lines: list[tuple[int, tuple[str, ...]]] = []
    for one in given.aggregates:
        sums = (str(one.meters), energy_text(one.energy), money_text(one.charge, digits))
        start = time_text(one.cell.start_ms)
        lines.append((one.cell.start_ms, (start, *(value for _, value in one.cell.by), *sums)))
    for cell in given.withheld:
        values = (value for _, value in cell.by)
        lines.append((cell.start_ms, (time_text(cell.start_ms), *values, "withheld", "-", "-")))
    columns = ["from", *(dimension.value for dimension in by), "meters", "energy", "charge"]
    return columns, [line for _, line in sorted(lines)]


def forecast_lines(scores: Mapping[str, Score]) -> tuple[list[str], list[tuple[str, ...]]]:
    """Return (columns, lines) of scores."""
    lines: list[tuple[str, ...]] = [
        (
            name,
            str(score.forecasts),
            f"{score.mae:.0f} Wh",
            f"{score.rmse:.0f} Wh",
            f"{100 * score.smape:.1f} %",
            f"{score.pinball:.0f} Wh",
            "-" if score.skill is None else f"{score.skill:.3f}",
        )
        for name, score in scores.items()
    ]
    return ["forecast", "values", "MAE", "RMSE", "sMAPE", "pinball 0.5", "skill"], lines


def plain_value(value: Any) -> Any:
    """Return a value of a query as JSON has it: bytes in hex, what JSON has not as text."""
    if isinstance(value, bytes):
        return value.hex()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)
