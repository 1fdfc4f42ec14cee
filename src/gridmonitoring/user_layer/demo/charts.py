"""Charts of what a household reads of itself: energy and cost per appliance, its load by the minute.

Paper I: consumers "don't know which electrical appliances consume more power". What is drawn comes from
details that were opened with the household's own key. Colours stand out from the ground and from their
neighbours, for those too who do not tell red from green.

Left out: what a whole run looks like over time (`timelines`); interaction beyond pointing at a mark.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gridmonitoring.contracts.agreement import DAY_MS
from gridmonitoring.smart_meter.channels import Channel
from gridmonitoring.user_layer.demo.consumer_book import ConsumerBook, Entry
from gridmonitoring.user_layer.demo.dates import hour_marks
from gridmonitoring.user_layer.demo.household import MS_PER_MINUTE
from gridmonitoring.user_layer.demo.plan import START_MS
from gridmonitoring.user_layer.svg import (
    INK,
    SOFT,
    Box,
    Canvas,
    Point,
    Scale,
    number,
    round_up,
    text_width,
)

NAMES: Mapping[Channel, str] = {
    Channel.KITCHEN: "kitchen",
    Channel.LAUNDRY: "laundry, fridge, light",
    Channel.CLIMATE: "water heater, air conditioning",
    Channel.REST: "rest, not sub-metered",
}
"""What the channels are called."""
COLOURS: Mapping[Channel, str] = {
    Channel.KITCHEN: "#c77700",
    Channel.LAUNDRY: "#3a8fd0",
    Channel.CLIMATE: "#9e2a1f",
    Channel.REST: "#8a929c",
}
FIXED, FIXED_COLOUR = "standing charge, fees", "#00634d"
MONEY = 100_000_000
"""Money units of a euro."""
WIDTH = 920
MARGIN = 64
"""Room for the vertical axis, pixels."""
GAP = 1
"""Pixels between the parts of a bar."""

Stack = Sequence[tuple[str, str, float]]
"""(name, colour, value) from the bottom up."""


def energy_chart(books: Mapping[str, ConsumerBook], source: str) -> str:
    """Return energy per appliance channel, house by house."""
    stacks = {
        house: [(NAMES[channel], COLOURS[channel], wh / 1000) for channel, wh in book.energy.items()]
        for house, book in books.items()
    }
    return _bars("Energy by appliance, from the details that each household opened", "kWh", stacks, source)


def cost_chart(books: Mapping[str, ConsumerBook], source: str) -> str:
    """Return cost per appliance channel and what is charged besides, house by house."""
    stacks = {
        house: [
            *((NAMES[channel], COLOURS[channel], money / MONEY) for channel, money in book.cost.items()),
            (FIXED, FIXED_COLOUR, book.fixed_cost / MONEY),
        ]
        for house, book in books.items()
    }
    return _bars(
        "Cost by appliance, each interval at its tariff's price, tax included", "EUR", stacks, source
    )


def _bars(title: str, unit: str, stacks: Mapping[str, Stack], source: str) -> str:
    canvas = Canvas(WIDTH, 440, title, source)
    box = Box(MARGIN, 92, WIDTH - MARGIN - 20, 270)
    highest = max(sum(value for _, _, value in stack) for stack in stacks.values())
    scale = Scale(0, round_up(max(highest, 0.001)), box.top + box.height, box.top)
    canvas.legend(MARGIN, 56, [(name, colour) for name, colour, _ in next(iter(stacks.values()))])
    canvas.axis_y(box, scale, unit)
    step = box.width / len(stacks)
    marks = []
    for place, (house, stack) in enumerate(stacks.items()):
        middle = box.left + step * (place + 0.5)
        _bar(canvas, scale, Box(middle - step * 0.35, 0, step * 0.7, 0), house, unit, stack)
        marks.append((middle, house if len(stacks) <= 10 else house[-2:]))
    canvas.axis_x(box, marks)
    return canvas.render()


def _bar(canvas: Canvas, scale: Scale, where: Box, house: str, unit: str, stack: Stack) -> None:
    """Draw one house; parts that have room say their share, and the whole its sum."""
    whole, height = sum(value for _, _, value in stack), 0.0
    middle = where.left + where.width / 2
    for name, colour, value in stack:
        upper, lower = scale.at(height + value), scale.at(height)
        tall = max(lower - upper - GAP, 0)
        share = f"{100 * value / whole:.0f} %" if whole else ""
        part = Box(where.left, upper, where.width, tall)
        canvas.bar(part, colour, f"{house}, {name}: {value:.2f} {unit}, {share}")
        if tall >= 18 and where.width >= text_width(share, 11) + 4:
            canvas.text(
                middle, upper + tall / 2 + 4, share, size=11, weight=600, anchor="middle", colour="#fff"
            )
        height += value
    total = number(whole)
    if where.width / 0.7 >= text_width(total, 11):
        canvas.text(middle, scale.at(height) - 6, total, size=11, weight=600, anchor="middle")


def load_chart(house: str, book: ConsumerBook, days: int, source: str) -> str:
    """Return a household's load: mean power of each appliance channel and each minute's total."""
    end = START_MS + days * DAY_MS
    entries = [
        entry for entry in book.entries if START_MS < entry.claim.time <= end and entry.detail.load.profile
    ]
    title = f"What {house} sees of itself, and nobody else: load by appliance and by minute"
    canvas = Canvas(WIDTH, 400, title, source)
    box = Box(MARGIN, 92, WIDTH - MARGIN - 30, 232)
    canvas.legend(MARGIN, 56, [*((NAMES[c], COLOURS[c]) for c in reversed(Channel)), ("each minute", INK)])
    peak = max((max(entry.detail.load.profile, default=0) for entry in entries), default=0)
    across = Scale(START_MS, end, box.left, box.left + box.width)
    up = Scale(0, round_up(max(peak / 1000, 0.1)), box.top + box.height, box.top)
    canvas.axis_y(box, up, "kW")
    edges = [
        (across.at(e.claim.time - MS_PER_MINUTE * len(e.detail.load.profile)), across.at(e.claim.time))
        for e in entries
    ]
    base = [0.0] * len(entries)
    for channel in reversed(Channel):
        raised = [low + _kilowatts(entry, channel) for low, entry in zip(base, entries, strict=True)]
        canvas.area(_steps(edges, raised, up), _steps(edges, base, up), COLOURS[channel])
        base = raised
    minutes = [
        (left + (right - left) * place / len(entry.detail.load.profile), up.at(watts / 1000))
        for (left, right), entry in zip(edges, entries, strict=True)
        for place, watts in enumerate(entry.detail.load.profile)
    ]
    canvas.line(minutes, INK, 0.6)
    canvas.axis_x(box, hour_marks(across))
    canvas.text(box.left, box.top + box.height + 34, "local time of the recording", size=11, colour=SOFT)
    return canvas.render()


def _kilowatts(entry: Entry, channel: Channel) -> float:
    """Return the mean power of a channel over the minutes of an entry."""
    return dict(entry.detail.appliances.channels)[channel] * 60 / 1000 / len(entry.detail.load.profile)


def _steps(edges: Sequence[tuple[float, float]], values: Sequence[float], scale: Scale) -> list[Point]:
    """Return the corners of steps, one for each interval."""
    return [
        (x, scale.at(value))
        for (left, right), value in zip(edges, values, strict=True)
        for x in (left, right)
    ]
