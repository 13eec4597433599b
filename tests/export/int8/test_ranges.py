"""The range of each method, compared with its definition on data with a known result."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from ssr_edge.bundle.manifest import QMAX
from ssr_export.int8.histogram import MagnitudeHistogram
from ssr_export.int8.ranges import Fixed, choose_method, choose_range


def histogram_of(values: np.ndarray) -> MagnitudeHistogram:
    histogram = MagnitudeHistogram()
    histogram.add(values.astype(np.float32))
    return histogram


@pytest.fixture(scope="module")
def outliers() -> np.ndarray:
    """A million normally distributed values and five outliers of 50."""
    values = np.random.default_rng(1).normal(0, 1, 1_000_000)
    values[:5] = 50
    return values


def quantization_error(values: np.ndarray, largest: float) -> float:
    scale = largest / QMAX
    return float(((np.clip(np.rint(values / scale), -QMAX, QMAX) * scale - values) ** 2).mean())


def test_minmax_is_the_largest_magnitude(outliers: np.ndarray) -> None:
    assert choose_range(histogram_of(outliers), "minmax") == 50


def test_percentile_excludes_one_value_in_ten_thousand(outliers: np.ndarray) -> None:
    found = choose_range(histogram_of(outliers), "percentile")
    assert found == pytest.approx(np.percentile(np.abs(outliers), 99.99), abs=64 / 2048 * 1.01)


def test_mse_finds_the_range_of_least_squared_error(outliers: np.ndarray) -> None:
    found = choose_range(histogram_of(outliers), "mse")
    candidates = np.linspace(1, 50, 200)
    best = min(quantization_error(outliers, candidate) for candidate in candidates)
    assert quantization_error(outliers, found) <= best * 1.05


def test_entropy_clips_outliers_but_keeps_the_bulk(outliers: np.ndarray) -> None:
    assert 2.0 < choose_range(histogram_of(outliers), "entropy") < 25.0


def test_entropy_keeps_the_whole_of_a_uniform_distribution() -> None:
    values = np.random.default_rng(2).uniform(-1, 1, 1_000_000)
    assert choose_range(histogram_of(values), "entropy") > 0.95


@pytest.mark.parametrize("method", get_args(Fixed))
def test_a_tensor_of_zeros_has_a_usable_range(method: Fixed) -> None:
    assert choose_range(histogram_of(np.zeros(100)), method) == 1.0


@pytest.mark.parametrize("method", get_args(Fixed))
def test_a_constant_tensor_is_covered(method: Fixed) -> None:
    assert choose_range(histogram_of(np.full(100, 3.0)), method) == pytest.approx(3.0, rel=0.01)


@pytest.mark.parametrize("method", get_args(Fixed))
def test_scaling_the_data_scales_the_range(method: Fixed, outliers: np.ndarray) -> None:
    once = choose_range(histogram_of(outliers), method)
    assert choose_range(histogram_of(outliers * 8), method) == pytest.approx(8 * once, rel=1e-6)


def test_auto_takes_the_method_with_the_least_error_on_values_it_has_not_seen(outliers: np.ndarray) -> None:
    collected = histogram_of(outliers)
    # If only outliers are held out, clipping any of them is the worst choice.
    assert choose_method(collected, histogram_of(outliers[:5])) == "minmax"
    typical = outliers[5:]
    errors = {method: quantization_error(typical, choose_range(collected, method)) for method in get_args(Fixed)}
    assert errors[choose_method(collected, histogram_of(typical))] <= 1.02 * min(errors.values())
    assert min(errors.values()) < 0.1 * errors["minmax"]
