"""Drawing charts as SVG text: scales, axes, bars, lines, areas (paper I: what each appliance uses).

Files that any browser opens and that are the same for the same data; every mark says its value when pointed
at. Left out: everything that six charts do not need.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape
from itertools import pairwise
from typing import NamedTuple

INK, SOFT, FAINT, PAPER = "#1f2933", "#47525e", "#d5dae0", "#ffffff"
"""Colours of text, of text that steps back, of grid lines and of the ground."""
FONT = "font-family:system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif"

Point = tuple[float, float]


class Box(NamedTuple):
    """A rectangle on the canvas, pixels."""

    left: float
    top: float
    width: float
    height: float


class Scale(NamedTuple):
    """Maps values to pixels along one axis."""

    low: float
    """Value at the start."""
    high: float
    """Value at the end."""
    start: float
    """Pixel of `low`."""
    end: float
    """Pixel of `high`."""

    def at(self, value: float) -> float:
        """Return the pixel of a value."""
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Return round values from `low` to `high` at equal distances, about `count` of them."""
    span = max(high - low, 1e-9)
    step = _round_step(span / max(count, 1))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [place * step for place in range(first, last + 1)]


def round_up(high: float, count: int = 5) -> float:
    """Return `high` moved up to a tick, so that an axis from zero ends with one."""
    step = _round_step(max(high, 1e-9) / max(count, 1))
    return math.ceil(high / step - 1e-9) * step


def tick_texts(values: Sequence[float]) -> list[str]:
    """Return what stands beside ticks: as many decimals as their distance needs, the same for all."""
    step = min((after - before for before, after in pairwise(values)), default=1.0)
    decimals = max(-math.floor(math.log10(step) + 1e-9), 0)
    return [f"{round(value, decimals) + 0.0:,.{decimals}f}" for value in values]


def _round_step(wanted: float) -> float:
    magnitude = 1.0
    while magnitude * 10 <= wanted:
        magnitude *= 10
    while magnitude > wanted:
        magnitude /= 10
    return next((magnitude * factor for factor in (1, 2, 5) if magnitude * factor >= wanted), magnitude * 10)


def number(value: float) -> str:
    """Return an amount as short text: two decimals below a hundred, none above."""
    return f"{round(value, 2) + 0.0:.2f}" if abs(value) < 100 else f"{value:,.0f}"


def text_width(content: str, size: int) -> float:
    """Return about how wide text is, pixels: fonts differ, so rather too much than too little."""
    narrow = sum(character in "ijlftr.,:;'|()[] -" for character in content)
    wide = sum(character in "mwMW%@" for character in content)
    return size * (0.62 * len(content) - 0.24 * narrow + 0.3 * wide)


class Canvas:
    """A picture in the making; coordinates are pixels from the top left."""

    def __init__(self, width: int, height: int, title: str, source: str) -> None:
        """`title` stands at the top, `source` (where the data come from) at the foot."""
        self.width = width
        self.height = height
        self._title = title
        self._parts: list[str] = []
        self.text(16, 26, title, size=17, weight=600)
        for row, line in enumerate(reversed(_wrap(source, (width - 32) // 5))):
            self.text(16, height - 10 - 13 * row, line, size=10, colour=SOFT)

    def text(
        self,
        x: float,
        y: float,
        content: str,
        *,
        size: int = 12,
        weight: int = 400,
        anchor: str = "start",
        colour: str = INK,
    ) -> None:
        """Write text; `anchor` is start, middle or end."""
        self._parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" font-weight="{weight}"'
            f' text-anchor="{anchor}" fill="{colour}">{escape(content)}</text>'
        )

    def bar(self, box: Box, colour: str, label: str) -> None:
        """Draw a filled rectangle that shows `label` when pointed at."""
        self._parts.append(
            f'<rect x="{box.left:.1f}" y="{box.top:.1f}" width="{box.width:.1f}" height="{box.height:.1f}"'
            f' fill="{colour}"><title>{escape(label)}</title></rect>'
        )

    def shade(self, box: Box, colour: str, label: str) -> None:
        """Lay a faint colour over a part of a chart; it shows `label` when pointed at."""
        self._parts.append(
            f'<rect x="{box.left:.1f}" y="{box.top:.1f}" width="{box.width:.1f}" height="{box.height:.1f}"'
            f' fill="{colour}" fill-opacity="0.22"><title>{escape(label)}</title></rect>'
        )

    def line(self, points: Iterable[Point], colour: str, width: float = 1.5, dash: str = "") -> None:
        """Draw a line through points."""
        style = f' stroke-dasharray="{dash}"' if dash else ""
        self._parts.append(
            f'<polyline points="{_points(points)}" fill="none" stroke="{colour}"'
            f' stroke-width="{width}"{style}/>'
        )

    def area(self, upper: Sequence[Point], lower: Sequence[Point], colour: str) -> None:
        """Fill what lies between two lines."""
        outline = _points([*upper, *reversed(lower)])
        self._parts.append(f'<polygon points="{outline}" fill="{colour}"/>')

    def dot(self, x: float, y: float, colour: str, label: str) -> None:
        """Draw a dot that shows `label` when pointed at."""
        self._parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}" stroke="{PAPER}">'
            f"<title>{escape(label)}</title></circle>"
        )

    def axis_y(self, box: Box, scale: Scale, unit: str, count: int = 5) -> None:
        """Draw a vertical axis with grid lines and its unit."""
        values = ticks(scale.low, scale.high, count)
        for value, content in zip(values, tick_texts(values), strict=True):
            y = scale.at(value)
            self.line([(box.left, y), (box.left + box.width, y)], FAINT, 1)
            self.text(box.left - 8, y + 4, content, size=11, anchor="end")
        self.text(box.left - 8, box.top - 14, unit, size=11, anchor="end", colour=SOFT)

    def axis_x(self, box: Box, marks: Iterable[tuple[float, str]]) -> None:
        """Draw a horizontal axis with (pixel, text) marks; a text that would touch the last is left out."""
        bottom, free = box.top + box.height, 0.0
        self.line([(box.left, bottom), (box.left + box.width, bottom)], INK, 1)
        for x, content in marks:
            self.line([(x, bottom), (x, bottom + 4)], INK, 1)
            half = text_width(content, 11) / 2
            if x - half >= free:
                self.text(x, bottom + 17, content, size=11, anchor="middle")
                free = x + half + 6

    def legend(self, x: float, y: float, entries: Iterable[tuple[str, str]]) -> None:
        """Write (text, colour) side by side."""
        for content, colour in entries:
            self.bar(Box(x, y - 10, 12, 12), colour, content)
            self.text(x + 18, y, content, size=12)
            x += 36 + text_width(content, 12)

    def render(self) -> str:
        """Return the picture as SVG."""
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}"'
            f' role="img" aria-label="{escape(self._title)}" style="{FONT};max-width:{self.width}px">\n'
            f'<rect width="{self.width}" height="{self.height}" fill="{PAPER}"/>\n'
            + "\n".join(self._parts)
            + "\n</svg>\n"
        )


def _points(points: Iterable[Point]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _wrap(content: str, length: int) -> list[str]:
    lines, line = [], ""
    for word in content.split():
        if line and len(line) + 1 + len(word) > length:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}".strip()
    return [*lines, line]
