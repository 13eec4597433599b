from __future__ import annotations

import numpy as np
import pytest

from ssr_edge.bench.measure.statistics import paired_speedup, percentiles


def test_percentiles_of_known_times() -> None:
    found = percentiles([float(ms) for ms in reversed(range(1, 102))])
    assert (found.p50, found.p90, found.p95, found.p99, found.max) == (51.0, 91.0, 96.0, 100.0, 101.0)


def test_one_time_is_every_percentile() -> None:
    found = percentiles([3.5])
    assert (found.p50, found.p90, found.p95, found.p99, found.max) == (3.5,) * 5


def test_what_slows_a_whole_round_does_not_change_the_speedup() -> None:
    slowdown = [1.0, 1.0, 4.0, 2.0, 1.0, 8.0]
    base = [[60.0 * s, 61.0 * s, 900.0 * s] for s in slowdown]  # the last call is an outlier
    engine = [[10.0 * s] * 3 for s in slowdown]
    found = paired_speedup(base, engine, seed=0)
    assert (found.ratio, found.low, found.high) == pytest.approx((6.1, 6.1, 6.1))


def test_speedup_is_the_median_of_the_rounds_ratios() -> None:
    found = paired_speedup([[2.0], [30.0], [4.0]], [[1.0], [1.0], [1.0]], seed=0)
    assert found.ratio == 4.0
    assert (found.low, found.high) == (2.0, 30.0)


def test_interval_covers_the_true_ratio_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    covered, widths = 0, []
    for seed in range(300):
        ratios = 5.0 * np.exp(rng.normal(0.0, 0.1, 12))  # median 5
        found = paired_speedup([[r] for r in ratios], [[1.0]] * 12, seed)
        covered += found.low <= 5.0 <= found.high
        widths.append(found.high - found.low)
    assert 0.88 <= covered / 300 <= 0.995
    # The median's standard error is 1.25 * 0.5 / sqrt(12) = 0.18: an interval is about four of them wide.
    assert 0.5 < np.mean(widths) < 1.1


def test_seed_decides_the_interval() -> None:
    ratios = [[float(r)] for r in np.random.default_rng(2).uniform(4, 6, 9)]
    ones = [[1.0]] * 9
    assert paired_speedup(ratios, ones, 7) == paired_speedup(ratios, ones, 7)
