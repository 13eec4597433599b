"""Statistics of call durations: percentiles, and speedups with confidence intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_RESAMPLES = 2000


@dataclass(frozen=True)
class Percentiles:
    """Percentiles of call durations in ms."""

    p50: float
    p90: float
    p95: float
    p99: float
    max: float


@dataclass(frozen=True)
class Ratio:
    """A speedup. low, high: 95 % bootstrap interval of the median over rounds."""

    ratio: float
    low: float
    high: float


def percentiles(times: Sequence[float]) -> Percentiles:
    """Linearly interpolated percentiles of one or more durations."""
    found = np.percentile(np.asarray(times, np.float64), (50, 90, 95, 99, 100))
    return Percentiles(*(float(value) for value in found))


def paired_speedup(base: Sequence[Sequence[float]], engine: Sequence[Sequence[float]], seed: int) -> Ratio:
    """Speedup of `engine` over `base`; both are times per image, as lists by round, from the same rounds.

    Each round contributes the ratio of its two medians, so a temporary slowdown of the machine affects both; the result
    is the median over rounds.
    """
    ratios = np.array([np.median(b) / np.median(e) for b, e in zip(base, engine, strict=True)])
    draws = np.random.default_rng(seed).integers(0, len(ratios), (_RESAMPLES, len(ratios)))
    low, high = np.percentile(np.median(ratios[draws], axis=1), (2.5, 97.5))
    return Ratio(float(np.median(ratios)), float(low), float(high))
