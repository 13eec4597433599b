"""Latency percentiles in bounded memory, because a camera may run for weeks."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import accumulate


@dataclass
class LatencyHistogram:
    """Latencies in ms, counted by value to three significant digits: at most 900 counters per decade."""

    counts: Counter[float] = field(default_factory=Counter)

    def add(self, ms: float) -> None:
        """Counts one latency."""
        self.counts[float(f"{ms:.3g}")] += 1

    def percentile(self, percent: float) -> float:
        """The latency that `percent` % of the calls do not exceed, to within half a percent; 0 if there are none."""
        values = sorted(self.counts)
        need = percent / 100 * self.counts.total()
        sums = accumulate(self.counts[value] for value in values)
        return next((value for value, reached in zip(values, sums, strict=True) if reached >= need), 0.0)

    def __str__(self) -> str:
        p50, p95, p99 = (self.percentile(percent) for percent in (50, 95, 99))
        return f"p50 {p50:g} p95 {p95:g} p99 {p99:g} ms"
