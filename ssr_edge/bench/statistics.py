"""From call times to figures: percentiles, and a speed-up with its uncertainty."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_RESAMPLES = 2000


@dataclass(frozen=True)
class Percentiles:
    """Of call times, in ms."""

    p50: float
    p90: float
    p99: float


@dataclass(frozen=True)
class Ratio:
    """How many times faster. low, high: 95 % bootstrap interval of the median over rounds."""

    ratio: float
    low: float
    high: float


def percentiles(times: Sequence[float]) -> Percentiles:
    """p50, p90 and p99 of at least one time, interpolated linearly."""
    p50, p90, p99 = (float(value) for value in np.percentile(np.asarray(times, np.float64), (50, 90, 99)))
    return Percentiles(p50, p90, p99)


def paired_speedup(base: Sequence[Sequence[float]], engine: Sequence[Sequence[float]], seed: int) -> Ratio:
    """Compares two engines' call times, given as lists by round; the rounds of both are the same moments.

    Each round gives the ratio of its two medians, so that what slows the machine for a while slows both; the result is
    the median over rounds.
    """
    ratios = np.array([np.median(b) / np.median(e) for b, e in zip(base, engine, strict=True)])
    draws = np.random.default_rng(seed).integers(0, len(ratios), (_RESAMPLES, len(ratios)))
    low, high = np.percentile(np.median(ratios[draws], axis=1), (2.5, 97.5))
    return Ratio(float(np.median(ratios)), float(low), float(high))
