"""Charts of a run over time: each house's credit as its display showed it, and how the log grew.

Left out: what appliances used (`charts`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct

from gridmonitoring.smart_meter.channels import Channel
from gridmonitoring.user_layer.demo.charts import COLOURS, FIXED_COLOUR, MONEY, WIDTH
from gridmonitoring.user_layer.demo.dates import day_marks, day_text
from gridmonitoring.user_layer.demo.logbook import Growth
from gridmonitoring.user_layer.demo.story import Sample, Told
from gridmonitoring.user_layer.svg import Box, Canvas, Scale, round_up

LINE, MARK, WARNING = "#0064a8", "#b3261e", "#9a6200"
"""Colours of a single line, of what stands out on it, and of a threshold."""
DARK = "#1f2933"
"""Laid faintly over the time without power."""
ROW = 172
"""Height of a small chart with its title and axis, pixels."""


class CreditLine(Struct, frozen=True):
    """What is drawn of one house."""

    samples: Sequence[Sample]
    """Looks at its display, in order."""
    threshold: int
    """Credit at which the meter warns, money."""
    events: Sequence[Told]
    """What happened there."""


def credit_chart(houses: Mapping[str, CreditLine], source: str) -> str:
    """Return credit over time, a small chart for each house."""
    columns = min(3, len(houses))
    rows = -(-len(houses) // columns)
    canvas = Canvas(WIDTH, 84 + ROW * rows + 36, "Credit over time in EUR, as the displays showed it", source)
    entries = [("credit less debt", LINE), ("warning threshold", WARNING)]
    canvas.legend(20, 56, [*entries, ("event (point at it)", MARK), ("no power", "#c3c8ce")])
    width = (WIDTH - 16) / columns
    for place, (name, house) in enumerate(houses.items()):
        left, top = 16 + width * (place % columns), 112 + ROW * (place // columns)
        _credit(canvas, Box(left + 40, top, width - 76, 108), name, house)
    return canvas.render()


def _credit(canvas: Canvas, box: Box, name: str, house: CreditLine) -> None:
    samples = house.samples
    values = [sample.balance / MONEY for sample in samples]
    ends = samples[0].time, max(samples[-1].time, samples[0].time + 1)
    across = Scale(*ends, box.left, box.left + box.width)
    up = Scale(min(0.0, *values), round_up(max(1.0, *values), 3), box.top + box.height, box.top)
    canvas.text(box.left, box.top - 10, name, size=12, weight=600)
    canvas.axis_y(box, up, "", 3)
    for begin, end in _dark(samples):
        left, right = across.at(begin), across.at(end)
        label = f"no power, {day_text(begin)} to {day_text(end)}"
        canvas.shade(Box(left, box.top, max(right - left, 2), box.height), DARK, label)
    limit = up.at(house.threshold / MONEY)
    canvas.line([(box.left, limit), (box.left + box.width, limit)], WARNING, 1, "5 4")
    canvas.line([(across.at(s.time), up.at(s.balance / MONEY)) for s in samples], LINE, 2)
    for told in house.events:
        if across.low <= told.time <= across.high:
            before = [sample.balance for sample in samples if sample.time <= told.time]
            label = f"{day_text(told.time)}: {told.text}"
            canvas.dot(across.at(told.time), up.at(before[-1] / MONEY), MARK, label)
    canvas.axis_x(box, day_marks(across))


def _dark(samples: Sequence[Sample]) -> Iterator[tuple[int, int]]:
    """Return (begin, end) of the times without power, as far as the samples tell."""
    begin: int | None = None
    for sample in samples:
        if sample.dark and begin is None:
            begin = sample.time
        elif not sample.dark and begin is not None:
            yield begin, sample.time
            begin = None
    if begin is not None:
        yield begin, samples[-1].time


def growth_chart(growth: Sequence[Growth], source: str) -> str:
    """Return how the log grew: transactions, reports among them, and signed bytes."""
    canvas = Canvas(WIDTH, 350, "Growth of the log: transactions and their signed bytes", source)
    half, last = WIDTH / 2 - 84, growth[-1]
    first, second = Box(64, 96, half, 180), Box(WIDTH / 2 + 64, 96, half, 180)
    orange = COLOURS[Channel.KITCHEN]
    counts = [(LINE, [g.transactions for g in growth]), (orange, [g.reports for g in growth])]
    entries = [(f"{last.transactions:,} transactions", LINE), (f"{last.reports:,} of them reports", orange)]
    canvas.legend(first.left, 56, entries)
    _rising(canvas, first, "count", growth, counts)
    unit, size = ("kB", 1e3) if last.size < 2_000_000 else ("MB", 1e6)
    canvas.legend(second.left, 56, [(f"{last.size / size:,.0f} {unit} of signed bytes", FIXED_COLOUR)])
    _rising(canvas, second, unit, growth, [(FIXED_COLOUR, [g.size / size for g in growth])])
    return canvas.render()


def _rising(
    canvas: Canvas,
    box: Box,
    unit: str,
    growth: Sequence[Growth],
    lines: Sequence[tuple[str, Sequence[float]]],
) -> None:
    start, end = growth[0].time, growth[-1].time
    across = Scale(start, max(end, start + 1), box.left, box.left + box.width)
    highest = max(values[-1] for _, values in lines)
    up = Scale(0, round_up(highest), box.top + box.height, box.top)
    canvas.axis_y(box, up, unit)
    canvas.axis_x(box, day_marks(across))
    for colour, values in lines:
        points = [(across.at(g.time), up.at(value)) for g, value in zip(growth, values, strict=True)]
        canvas.line(points, colour, 2)
