"""The streaming histogram equals the histogram of all the data at once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ssr_export.int8.histogram import BINS, MagnitudeHistogram

batches = st.lists(
    hnp.arrays(np.float32, st.integers(1, 200), elements=st.floats(-1e6, 1e6, width=32, allow_subnormal=False)),
    min_size=1,
    max_size=6,
)


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(batches)
def test_streaming_equals_numpy_on_all_the_data(data: list[np.ndarray]) -> None:
    histogram = MagnitudeHistogram()
    for batch in data:
        histogram.add(batch)
    everything = np.abs(np.concatenate(data))
    assert histogram.counts.sum() == everything.size
    assert histogram.largest == everything.max()
    if everything.max() > 0:
        expected, _ = np.histogram(everything.astype(np.float64), bins=BINS, range=(0, histogram.limit))
        assert np.array_equal(histogram.counts, expected)


def test_growing_keeps_every_count() -> None:
    histogram = MagnitudeHistogram()
    generator = np.random.default_rng(0)
    for scale in (0.01, 1.0, 30.0, 0.5, 4000.0):
        histogram.add(generator.normal(0, scale, 10_000).astype(np.float32))
    assert histogram.counts.sum() == 50_000
    assert len(histogram.counts) == BINS
    assert histogram.largest <= histogram.limit < 2 * histogram.largest


def test_zeros_before_anything_else_land_in_the_first_bin() -> None:
    histogram = MagnitudeHistogram()
    histogram.add(np.zeros(7, np.float32))
    histogram.add(np.array([3.0], np.float32))
    assert histogram.counts[0] == 7
    assert histogram.counts.sum() == 8


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="not finite"):
        MagnitudeHistogram().add(np.array([1.0, bad], np.float32))


def test_magnitudes_near_the_end_of_float32_count_as_nothing() -> None:
    histogram = MagnitudeHistogram()
    histogram.add(np.array([np.finfo(np.float32).tiny, 0.0], np.float32))
    assert histogram.counts[0] == 2
    histogram.add(np.array([1.0], np.float32))
    assert histogram.counts.sum() == 3
    assert histogram.limit == 1.0
