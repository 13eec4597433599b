"""Chooses the range of an activation from its histogram: the magnitude that maps to 127."""

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
    """The positive magnitude that maps to 127; 1.0 for a practically zero tensor, whose range does not matter.

    minmax: the largest magnitude. percentile: 99.99 % of the values are below it. entropy: minimizes the
    Kullback-Leibler divergence between the values and the quantized values, as TensorRT's former entropy calibrator
    did. mse: minimizes the mean squared error of rounding and clipping.
    """
    if histogram.largest < SMALLEST:
        return 1.0
    return _METHODS[method](histogram)


def choose_method(collected: MagnitudeHistogram, held_out: MagnitudeHistogram) -> Fixed:
    """The method whose range, chosen from `collected`, has the smallest squared error on the values in `held_out`."""
    return min(_METHODS, key=lambda method: squared_error(held_out, choose_range(collected, method)))


def squared_error(histogram: MagnitudeHistogram, largest: float) -> float:
    """Sum of squared errors of INT8 with the range `largest`, rounding and clipping combined."""
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
    # Exact zeros carry no information about the range, and after a ReLU they would dominate everything else.
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
    """KL(P || Q): P is the first `bins` bins with the clipped rest added to the last, Q their quantized form."""
    reference = counts[:bins].copy()
    present = reference > 0
    # Each level spreads its mass evenly over its non-empty bins.
    level = np.minimum(np.arange(bins) * _LEVELS // bins, _LEVELS - 1)
    mass = np.bincount(level, weights=reference, minlength=_LEVELS)
    holders = np.bincount(level, weights=present, minlength=_LEVELS)
    quantized = np.where(present, mass[level] / np.maximum(holders[level], 1), 0.0)
    reference[-1] += counts[bins:].sum()
    p, q = reference / reference.sum(), quantized / max(quantized.sum(), 1.0)
    # Mass clipped into an otherwise empty last bin has no counterpart in Q: it is compared with 1e-12.
    held = p > 0
    return float((p[held] * np.log(p[held] / np.maximum(q[held], 1e-12))).sum())


_METHODS: dict[Fixed, Callable[[MagnitudeHistogram], float]] = {
    "minmax": _minmax,
    "percentile": _percentile,
    "entropy": _entropy,
    "mse": _mse,
}
