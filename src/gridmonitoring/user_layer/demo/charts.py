"""The demonstration's charts: energy and cost per appliance, a load, credit over time, growth of the log.

Paper I: consumers "don't know which electrical appliances consume more power". What is drawn of a household
comes from details that were opened with the household's own key.

Left out: interaction beyond pointing at a mark.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from gridmonitoring.contracts.agreement import DAY_MS
from gridmonitoring.smart_meter.channels import Channel
from gridmonitoring.user_layer.demo.consumer_book import ConsumerBook, Entry
from gridmonitoring.user_layer.demo.household import MS_PER_MINUTE
from gridmonitoring.user_layer.demo.household_format import UTC_OFFSET_MINUTES
from gridmonitoring.user_layer.demo.logbook import Growth
from gridmonitoring.user_layer.demo.plan import START_MS
from gridmonitoring.user_layer.svg import INK, Box, Canvas, Point, Scale, number, ticks

NAMES: Mapping[Channel, str] = {
    Channel.KITCHEN: "kitchen",
    Channel.LAUNDRY: "laundry, fridge, light",
    Channel.CLIMATE: "water heater, air conditioning",
    Channel.REST: "rest, not sub-metered",
}
"""What the channels are called."""
COLOURS: Mapping[Channel, str] = {
    Channel.KITCHEN: "#e69f00",
    Channel.LAUNDRY: "#56b4e9",
    Channel.CLIMATE: "#d55e00",
    Channel.REST: "#a8b0ba",
}
FIXED, FIXED_COLOUR = "standing charge, fees", "#009e73"
LINE, MARK = "#0072b2", "#cc3311"
"""Colours of a single line, and of what stands out on it."""
MONEY = 100_000_000
"""Money units of a euro."""
WIDTH = 920

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
    canvas = Canvas(WIDTH, 420, title, source)
    box = Box(56, 78, WIDTH - 76, 262)
    top = max(sum(value for _, _, value in stack) for stack in stacks.values())
    scale = Scale(0, max(top, 0.001) * 1.02, box.top + box.height, box.top)
    canvas.legend(56, 54, [(name, colour) for name, colour, _ in next(iter(stacks.values()))])
    canvas.axis_y(box, scale, unit)
    step = box.width / len(stacks)
    marks = []
    for place, (house, stack) in enumerate(stacks.items()):
        left, height = box.left + step * (place + 0.15), 0.0
        for name, colour, value in stack:
            upper, lower = scale.at(height + value), scale.at(height)
            canvas.bar(
                Box(left, upper, step * 0.7, lower - upper), colour, f"{house}, {name}: {value:.2f} {unit}"
            )
            height += value
        canvas.text(left + step * 0.35, scale.at(height) - 5, number(height), size=11, anchor="middle")
        marks.append((left + step * 0.35, house if len(stacks) <= 10 else house[-2:]))
    canvas.axis_x(box, marks)
    return canvas.render()


def load_chart(house: str, book: ConsumerBook, days: int, source: str) -> str:
    """Return a household's load: mean power of each appliance channel and each minute's total."""
    end = START_MS + days * DAY_MS
    entries = [entry for entry in book.entries if START_MS < entry.claim.time <= end and entry.detail.profile]
    title = f"What {house} sees of itself, and nobody else: load by appliance and by minute"
    canvas = Canvas(WIDTH, 380, title, source)
    box = Box(56, 78, WIDTH - 86, 222)
    canvas.legend(56, 54, [*((NAMES[c], COLOURS[c]) for c in Channel), ("each minute", INK)])
    peak = max((max(entry.detail.profile, default=0) for entry in entries), default=0)
    across = Scale(START_MS, end, box.left, box.left + box.width)
    up = Scale(0, max(peak / 1000, 0.1), box.top + box.height, box.top)
    canvas.axis_y(box, up, "kW")
    edges = [
        (across.at(e.claim.time - MS_PER_MINUTE * len(e.detail.profile)), across.at(e.claim.time))
        for e in entries
    ]
    base = [0.0] * len(entries)
    for channel in reversed(Channel):
        raised = [low + _kilowatts(entry, channel) for low, entry in zip(base, entries, strict=True)]
        canvas.area(_steps(edges, raised, up), _steps(edges, base, up), COLOURS[channel])
        base = raised
    minutes = [
        (left + (right - left) * place / len(entry.detail.profile), up.at(watts / 1000))
        for (left, right), entry in zip(edges, entries, strict=True)
        for place, watts in enumerate(entry.detail.profile)
    ]
    canvas.line(minutes, INK, 0.6)
    canvas.axis_x(box, _hours(across))
    return canvas.render()


def _kilowatts(entry: Entry, channel: Channel) -> float:
    """Return the mean power of a channel over the minutes of an entry."""
    return dict(entry.detail.channels)[channel] * 60 / 1000 / len(entry.detail.profile)


def _steps(edges: Sequence[tuple[float, float]], values: Sequence[float], scale: Scale) -> list[Point]:
    """Return the corners of steps, one for each interval."""
    return [
        (x, scale.at(value))
        for (left, right), value in zip(edges, values, strict=True)
        for x in (left, right)
    ]


def credit_chart(
    credit: Mapping[str, Sequence[tuple[int, int]]],
    happened: Mapping[str, Sequence[tuple[int, str]]],
    source: str,
) -> str:
    """Return credit over time, a small chart for each house; `happened` are (time, text) to mark."""
    columns = min(3, len(credit))
    rows = -(-len(credit) // columns)
    canvas = Canvas(WIDTH, 70 + 150 * rows + 40, "Credit over time, as the displays showed it", source)
    canvas.legend(16, 50, [("credit less debt, EUR", LINE), ("something happened", MARK)])
    width = (WIDTH - 16) / columns
    for place, (house, samples) in enumerate(credit.items()):
        left, top = 16 + width * (place % columns), 88 + 150 * (place // columns)
        box = Box(left + 36, top, width - 66, 96)
        _credit(canvas, box, house, samples, happened.get(house, ()))
    return canvas.render()


def _credit(
    canvas: Canvas,
    box: Box,
    house: str,
    samples: Sequence[tuple[int, int]],
    marks: Sequence[tuple[int, str]],
) -> None:
    values = [money / MONEY for _, money in samples]
    across = Scale(samples[0][0], max(samples[-1][0], samples[0][0] + 1), box.left, box.left + box.width)
    up = Scale(min(0.0, *values), max(1.0, *values) * 1.05, box.top + box.height, box.top)
    canvas.text(box.left + 4, box.top - 6, house, size=12, weight=600)
    canvas.axis_y(box, up, "", 3)
    canvas.line([(across.at(time), up.at(money / MONEY)) for time, money in samples], LINE)
    canvas.line([(box.left, up.at(0)), (box.left + box.width, up.at(0))], INK, 0.8)
    for time, text in marks:
        if across.low <= time <= across.high:
            before = [money for at, money in samples if at <= time]
            canvas.dot(across.at(time), up.at(before[-1] / MONEY), MARK, f"{day_text(time)}: {text}")
    canvas.axis_x(box, _days(across, 3))


def growth_chart(growth: Sequence[Growth], source: str) -> str:
    """Return how the log grew: transactions, reports among them, and signed bytes."""
    canvas = Canvas(WIDTH, 330, "Growth of the log: transactions and their signed bytes", source)
    canvas.legend(56, 54, [("transactions", LINE), ("reports among them", COLOURS[Channel.LAUNDRY])])
    canvas.legend(WIDTH / 2 + 56, 54, [("signed bytes", FIXED_COLOUR)])
    half = WIDTH / 2 - 86
    first, second = Box(56, 82, half, 176), Box(WIDTH / 2 + 56, 82, half, 176)
    start, end = growth[0].time, growth[-1].time
    last = growth[-1]
    for box, unit, high in (
        (first, "", float(last.transactions)),
        (second, "kB" if last.size < 2_000_000 else "MB", 0.0),
    ):
        across = Scale(start, max(end, start + 1), box.left, box.left + box.width)
        unit_size = {"kB": 1e3, "MB": 1e6}.get(unit, 1.0)
        up = Scale(0, (high or last.size / unit_size) * 1.05, box.top + box.height, box.top)
        canvas.axis_y(box, up, unit)
        canvas.axis_x(box, _days(across, 6))
        if unit:
            canvas.line([(across.at(g.time), up.at(g.size / unit_size)) for g in growth], FIXED_COLOUR, 2)
        else:
            canvas.line([(across.at(g.time), up.at(g.transactions)) for g in growth], LINE, 2)
            reports = [(across.at(g.time), up.at(g.reports)) for g in growth]
            canvas.line(reports, COLOURS[Channel.LAUNDRY], 2)
    return canvas.render()


def _local(time: int) -> datetime:
    return datetime.fromtimestamp(time / 1000 + UTC_OFFSET_MINUTES * 60, UTC)


def day_text(time: int) -> str:
    """Return a time on the clock of the recording, to the minute."""
    return _local(time).strftime("%d %b %H:%M")


def _days(across: Scale, count: int) -> list[tuple[float, str]]:
    """Return marks at some local midnights."""
    offset = UTC_OFFSET_MINUTES * 60_000
    first, last = -(-(across.low + offset) // DAY_MS), (across.high + offset) // DAY_MS
    step = max(-(-int(last - first) // count), 1)
    found = []
    day = int(first)
    while day <= last:
        time = day * DAY_MS - offset
        found.append((across.at(time), _local(time).strftime("%d %b")))
        day += step
    return found


def _hours(across: Scale) -> list[tuple[float, str]]:
    """Return marks every six hours of the local clock."""
    offset = UTC_OFFSET_MINUTES * 60_000
    quarter = DAY_MS / 4
    low, high = (across.low + offset) / quarter, (across.high + offset) / quarter
    marks = [int(value) for value in ticks(low, high, int(high - low) or 1) if value == int(value)]
    texts = [(across.at(place * quarter - offset), _local(int(place * quarter - offset))) for place in marks]
    return [(x, time.strftime("%H:%M" if time.hour else "%d %b")) for x, time in texts]
