"""Chooses the range of an activation from its histogram: which magnitude maps to 127."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import numpy.typing as npt

from ssr_edge.bundle.manifest import QMAX
from ssr_export.int8.histogram import SMALLEST, MagnitudeHistogram

Fixed = Literal["minmax", "percentile", "entropy", "mse"]
Method = Literal["minmax", "percentile", "entropy", "mse", "auto"]
PERCENTILE = 99.99
_LEVELS = QMAX + 1  # magnitudes 0 .. 127


def choose_range(histogram: MagnitudeHistogram, method: Fixed) -> float:
    """The positive magnitude that maps to 127; 1.0 for a tensor as good as zero, whose range does not matter.

    minmax: the largest seen. percentile: 99.99 % of the values lie below. entropy: least Kullback-Leibler divergence
    between the values and their quantized selves (as TensorRT's removed entropy calibrator did). mse: least mean
    squared error, rounding and clipping together.
    """
    if histogram.largest < SMALLEST:
        return 1.0
    return _METHODS[method](histogram)


def choose_method(collected: MagnitudeHistogram, held_out: MagnitudeHistogram) -> Fixed:
    """The method whose range, chosen from `collected`, has the least mean squared error on `held_out`'s values."""
    return min(_METHODS, key=lambda method: squared_error(held_out, choose_range(collected, method)))


def squared_error(histogram: MagnitudeHistogram, largest: float) -> float:
    """Sum of the squared differences that INT8 with the range `largest` makes, rounding and clipping together."""
    centers = (np.arange(len(histogram.counts)) + 0.5) * histogram.bin_width
    scale = largest / QMAX
    quantized = np.minimum(np.rint(centers / scale), QMAX) * scale
    return float((histogram.counts * (quantized - centers) ** 2).sum())


def _minmax(histogram: MagnitudeHistogram) -> float:
    return histogram.largest


def _percentile(histogram: MagnitudeHistogram) -> float:
    cumulative = np.cumsum(histogram.counts)
    bins = int(np.searchsorted(cumulative, cumulative[-1] * (PERCENTILE / 100))) + 1
    return min(bins * histogram.bin_width, histogram.largest)


def _entropy(histogram: MagnitudeHistogram) -> float:
    # Exact zeros say nothing about the range, and after a ReLU they would drown everything else.
    counts = histogram.counts.astype(np.float64)
    counts[0] = counts[1]
    return _best(histogram, lambda bins: _divergence(counts, bins))


def _mse(histogram: MagnitudeHistogram) -> float:
    return _best(histogram, lambda bins: squared_error(histogram, bins * histogram.bin_width))


def _best(histogram: MagnitudeHistogram, loss: Callable[[int], float]) -> float:
    last = int(np.flatnonzero(histogram.counts)[-1]) + 1
    first = min(_LEVELS, last)
    candidates = np.unique(np.linspace(first, last, 256).astype(int))
    best = min(candidates, key=lambda bins: loss(int(bins)))
    return float(min(best * histogram.bin_width, histogram.largest))


def _divergence(counts: npt.NDArray[np.float64], bins: int) -> float:
    """KL(P || Q) of the first `bins` bins, the clipped rest added to the last, against their quantized selves."""
    reference = counts[:bins].copy()
    present = reference > 0
    # Each level spreads its mass evenly over the bins of its own that hold anything.
    level = np.minimum(np.arange(bins) * _LEVELS // bins, _LEVELS - 1)
    mass = np.bincount(level, weights=reference, minlength=_LEVELS)
    holders = np.bincount(level, weights=present, minlength=_LEVELS)
    quantized = np.where(present, mass[level] / np.maximum(holders[level], 1), 0.0)
    reference[-1] += counts[bins:].sum()
    p, q = reference / reference.sum(), quantized / max(quantized.sum(), 1.0)
    # Mass clipped into an otherwise empty last bin has no counterpart: it costs as much as the smallest float allows.
    held = p > 0
    return float((p[held] * np.log(p[held] / np.maximum(q[held], 1e-12))).sum())


_METHODS: dict[Fixed, Callable[[MagnitudeHistogram], float]] = {
    "minmax": _minmax,
    "percentile": _percentile,
    "entropy": _entropy,
    "mse": _mse,
}
