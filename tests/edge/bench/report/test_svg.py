from __future__ import annotations

import itertools
import math
from xml.etree import ElementTree

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ssr_edge.bench.report.svg import Drawing, Scale, linear_ticks, log_ticks, padded

_SIZES = st.floats(1e-3, 1e6)


@given(_SIZES, _SIZES, st.integers(5, 6))
def test_log_ticks_are_few_round_and_within(one: float, other: float, most: int) -> None:
    low, high = padded(min(one, other), max(one, other))
    ticks = log_ticks(low, high, most)
    assert 2 <= len(ticks) <= most
    assert ticks == sorted(set(ticks))
    assert all(low * (1 - 1e-6) <= tick <= high * (1 + 1e-6) for tick in ticks)


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_linear_ticks_are_few_round_and_within(low: float, width: float) -> None:
    high = low + width
    assume(high > low and width > 1e-6 * abs(low))
    ticks = linear_ticks(low, high, 6)
    assert 2 <= len(ticks) <= 6
    step = ticks[1] - ticks[0]
    assert all(math.isclose(b - a, step, rel_tol=1e-3) for a, b in itertools.pairwise(ticks))
    assert low - 1e-3 * width <= ticks[0] and ticks[-1] <= high + 1e-3 * width


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (9, 300, [10, 20, 50, 100, 200]),
        (0.9, 13, [1, 2, 5, 10]),
        (1, 2000, [1, 10, 100, 1000]),
        (8.1, 9.9, [8.5, 9, 9.5]),
    ],
)
def test_ticks_of_known_ranges(low: float, high: float, ticks: list[float]) -> None:
    assert log_ticks(low, high, 6) == pytest.approx(ticks)


def test_a_log_scale_has_equal_ratios_at_equal_distances() -> None:
    scale = Scale(1, 100, 0, 200, log=True)
    assert [scale(1), scale(10), scale(100)] == pytest.approx([0, 100, 200])


def test_words_are_escaped() -> None:
    hostile = "</text><script>alert(1)</script>\"'&"
    drawing = Drawing(10, hostile)
    drawing.text(1, 2, hostile)
    markup = str(drawing.markup())
    assert "<script" not in markup
    root = ElementTree.fromstring(markup)
    assert root.get("aria-label") == hostile
    assert [text.text for text in root.iter("text")] == [hostile]
