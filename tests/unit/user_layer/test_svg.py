"""Drawing: round ticks inside their range, text escaped, the same picture for the same data."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridmonitoring.user_layer.svg import Box, Canvas, Scale, number, ticks

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


def test_zero_has_no_sign() -> None:
    assert [number(value) for value in ticks(0, 1)] == ["0", "0.2", "0.4", "0.6", "0.8", "1"]


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
