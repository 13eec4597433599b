"""A histogram of magnitudes that grows with its data: what calibration keeps instead of activations."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

BINS = 2048
# Magnitudes below this are as good as zero; it also keeps BINS / limit within float32.
SMALLEST = 2.0**-64


@dataclass
class MagnitudeHistogram:
    """Counts |x| in BINS equal bins over [0, limit].

    limit is a power of two times the first batch's own, so growing merges whole bins and stays exact: the counts are
    those that one histogram over all the data would have. largest: the largest magnitude seen.
    """

    limit: float = 0.0
    largest: float = 0.0
    counts: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(BINS, np.int64))

    def add(self, values: npt.NDArray[np.float32]) -> None:
        """Counts an array of any shape.

        Raises:
            ValueError: a value is not finite.
        """
        magnitudes = np.abs(values).ravel()
        largest = float(magnitudes.max(initial=0.0))
        if not np.isfinite(largest):
            raise ValueError("an activation is not finite")
        self.largest = max(self.largest, largest)
        if largest > self.limit:
            self._grow(largest)
        if self.limit == 0.0:  # nothing but zeros so far
            self.counts[0] += magnitudes.size
            return
        # Bins are closed on the left; a value on the upper limit belongs to the last one.
        bins = (magnitudes * np.float32(BINS / self.limit)).astype(np.int32)
        np.minimum(bins, BINS - 1, out=bins)
        self.counts += np.bincount(bins, minlength=BINS)

    @property
    def bin_width(self) -> float:
        """Width of a bin in the units of the data."""
        return self.limit / BINS

    def _grow(self, largest: float) -> None:
        if self.limit == 0.0:
            # A power of two makes BINS / limit exact in floating point.
            self.limit = max(SMALLEST, float(2.0 ** np.ceil(np.log2(largest))))
        while self.limit < largest:
            self.counts = np.concatenate([self.counts.reshape(-1, 2).sum(axis=1), np.zeros(BINS // 2, np.int64)])
            self.limit *= 2
