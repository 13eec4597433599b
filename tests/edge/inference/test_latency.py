from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssr_edge.inference.latency import LatencyHistogram


def counted(values: list[float]) -> LatencyHistogram:
    latencies = LatencyHistogram()
    for value in values:
        latencies.add(value)
    return latencies


@given(st.lists(st.floats(0.01, 1e5), min_size=1, max_size=200), st.sampled_from([1, 50, 95, 99, 100]))
def test_percentiles_are_numpys_to_half_a_percent(values: list[float], percent: int) -> None:
    exact = np.percentile(values, percent, method="inverted_cdf")
    assert counted(values).percentile(percent) == pytest.approx(exact, rel=0.0051)


def test_a_long_run_needs_no_more_memory() -> None:
    rng = np.random.default_rng(0)
    assert len(counted(rng.uniform(1, 100, 20_000).tolist()).counts) <= 2 * 900 + 1


def test_what_is_printed() -> None:
    assert str(counted([*range(1, 100), 1234.5])) == "p50 50 p95 95 p99 99 ms"
    assert str(LatencyHistogram()) == "p50 0 p95 0 p99 0 ms"
