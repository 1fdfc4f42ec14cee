"""Drawing: round ticks inside their range, text escaped, the same picture for the same data."""

from __future__ import annotations

from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridmonitoring.user_layer.demo.charts import COLOURS, FIXED_COLOUR
from gridmonitoring.user_layer.demo.timelines import LINE, MARK, WARNING
from gridmonitoring.user_layer.svg import (
    INK,
    PAPER,
    SOFT,
    Box,
    Canvas,
    Scale,
    number,
    round_up,
    text_width,
    tick_texts,
    ticks,
)

SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 10, [0, 2, 4, 6, 8, 10]),
        (0, 92.4, [0, 20, 40, 60, 80]),
        (-3, 3, [-2, 0, 2]),
        (0, 0.07, [0, 0.02, 0.04, 0.06]),
    ],
)
def test_ticks_are_round(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high) == pytest.approx(expected)


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.integers(1, 10))
def test_ticks_stay_inside_and_are_few(low: float, span: float, count: int) -> None:
    found = ticks(low, low + span, count)
    slack = span * 1e-6 + abs(low) * 1e-9
    assert all(low - slack <= value <= low + span + slack for value in found)
    assert len(found) <= count + 1


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        (-0.004, 40, ["0", "10", "20", "30", "40"]),
        (-0.3, 0.3, ["-0.2", "0.0", "0.2"]),
        (0, 4000, ["0", "1,000", "2,000", "3,000", "4,000"]),
        (0, 0.04, ["0.00", "0.01", "0.02", "0.03", "0.04"]),
    ],
)
def test_ticks_have_the_decimals_that_their_distance_needs(
    low: float, high: float, expected: list[str]
) -> None:
    assert tick_texts(ticks(low, high)) == expected


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.integers(1, 10))
def test_ticks_are_told_apart_and_zero_has_no_sign(low: float, span: float, count: int) -> None:
    texts = tick_texts(ticks(low, low + span, count))
    assert len(set(texts)) == len(texts)
    assert not {"-0", "-0.0", "-0.00", "-0.000"} & set(texts)


@pytest.mark.parametrize(
    ("value", "text"),
    [(-0.001, "0.00"), (-0.0, "0.00"), (-2.5, "-2.50"), (99.994, "99.99"), (1234.5, "1,234")],
)
def test_an_amount_is_short_and_zero_has_no_sign(value: float, text: str) -> None:
    assert number(value) == text


@given(st.floats(1e-3, 1e6), st.integers(1, 10))
def test_an_axis_from_zero_ends_with_a_tick(high: float, count: int) -> None:
    end = round_up(high, count)
    assert high * (1 - 1e-6) <= end <= high * 11
    assert ticks(0, end, count)[-1] == pytest.approx(end)


def test_texts_of_an_axis_do_not_touch() -> None:
    canvas, words = Canvas(300, 200, "t", "s"), "28 Feb"
    canvas.axis_x(Box(0, 0, 300, 100), [(place * 10.0, words) for place in range(30)])
    places = [
        float(text.get("x", ""))
        for text in ET.fromstring(canvas.render()).iter(f"{SVG}text")
        if text.text == words
    ]
    assert len(places) > 3
    width = text_width(words, 11)
    assert all(after - before >= width for before, after in pairwise(places))


def luminance(colour: str) -> float:
    """Relative luminance of sRGB, as WCAG 2.2 defines it."""
    shares = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("colour", [INK, SOFT])
def test_text_is_dark(colour: str) -> None:
    assert contrast(colour, PAPER) >= 7


@pytest.mark.parametrize("colour", [*COLOURS.values(), FIXED_COLOUR, LINE, MARK, WARNING])
def test_marks_stand_out_from_the_ground(colour: str) -> None:
    assert contrast(colour, PAPER) >= 3


def test_a_scale_maps_its_ends() -> None:
    scale = Scale(10, 30, 100, 0)
    assert (scale.at(10), scale.at(20), scale.at(30)) == (100, 50, 0)


def _picture(words: str) -> str:
    canvas = Canvas(300, 200, words, f"source of {words}")
    box = Box(30, 40, 200, 100)
    canvas.axis_y(box, Scale(0, 5, 140, 40), "kWh")
    canvas.axis_x(box, [(30, words)])
    canvas.bar(Box(40, 60, 20, 80), "#123456", words)
    canvas.dot(50, 50, "#123456", words)
    canvas.area([(0, 0), (1, 1)], [(0, 2), (1, 2)], "#123456")
    canvas.legend(30, 30, [(words, "#123456")])
    return canvas.render()


def test_marks_say_what_they_are_whatever_the_words() -> None:
    words = '<b> & "quotes" \u00e9'
    root = ET.fromstring(_picture(words))
    assert root.get("aria-label") == words
    assert [title.text for title in root.iter(f"{SVG}title")] == [words, words, words]
    assert {text.text for text in root.iter(f"{SVG}text")} >= {words, f"source of {words}"}


def test_the_same_data_give_the_same_picture() -> None:
    assert _picture("same") == _picture("same")
    assert _picture("same") != _picture("other")


def test_a_long_source_is_broken_into_lines_that_keep_every_word() -> None:
    words = " ".join(f"word{place}" for place in range(60))
    texts = [text.text or "" for text in ET.fromstring(Canvas(300, 200, "t", words).render())]
    assert " ".join(reversed([text for text in texts if "word" in text])) == words
