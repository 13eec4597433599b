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
    p95: float
    p99: float
    max: float


@dataclass(frozen=True)
class Ratio:
    """How many times faster. low, high: 95 % bootstrap interval of the median over rounds."""

    ratio: float
    low: float
    high: float

    @property
    def reach(self) -> float:
        """How far from 1 the interval reaches, as a share: what two equal engines seemed to differ by at most."""
        return max(self.high - 1, 1 - self.low, 0.0)


def percentiles(times: Sequence[float]) -> Percentiles:
    """Percentiles of at least one time, interpolated linearly."""
    found = np.percentile(np.asarray(times, np.float64), (50, 90, 95, 99, 100))
    return Percentiles(*(float(value) for value in found))


def paired_speedup(base: Sequence[Sequence[float]], engine: Sequence[Sequence[float]], seed: int) -> Ratio:
    """Compares two engines' times of an image, given as lists by round; the rounds of both are the same moments.

    Each round gives the ratio of its two medians, so that what slows the machine for a while slows both; the result is
    the median over rounds.
    """
    ratios = np.array([np.median(b) / np.median(e) for b, e in zip(base, engine, strict=True)])
    draws = np.random.default_rng(seed).integers(0, len(ratios), (_RESAMPLES, len(ratios)))
    low, high = np.percentile(np.median(ratios[draws], axis=1), (2.5, 97.5))
    return Ratio(float(np.median(ratios)), float(low), float(high))
