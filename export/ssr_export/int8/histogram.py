"""A histogram of magnitudes that adapts to its data, so that calibration need not store activations."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ssr_edge.common.errors import ExportError
from ssr_edge.images.opencv import cv2

BINS = 2048
# Magnitudes below this are practically zero; it also keeps BINS / limit within float32.
SMALLEST = 2.0**-64
# OpenCV returns counts as float32, which is exact for integers up to 2^24.
_CHUNK = 1 << 24


def not_finite(tensor: str) -> ExportError:
    """The error for an activation that `MagnitudeHistogram.add` rejects."""
    return ExportError(
        f"activation {tensor!r} is not finite",
        expected="finite activations on all calibration images",
        next_step="ssr-edge evaluate CHECKPOINT  (to check the checkpoint)",
    )


@dataclass
class MagnitudeHistogram:
    """Counts |x| in BINS equal bins over [0, limit].

    limit is a power of two and doubles as needed, which merges whole bins: the counts equal those of one histogram over
    all the data. largest: the largest magnitude seen.
    """

    limit: float = 0.0
    largest: float = 0.0
    counts: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(BINS, np.int64))

    def add(self, values: npt.NDArray[np.float32]) -> None:
        """Counts an array of any shape. Thread-safe for different histograms.

        Raises:
            ValueError: a value is not finite.
        """
        lowest, highest = float(values.min(initial=0.0)), float(values.max(initial=0.0))
        largest = max(-lowest, highest)
        # max() may ignore a NaN, so both are checked.
        if not (np.isfinite(lowest) and np.isfinite(highest)):
            raise ValueError("an activation is not finite")
        self.largest = max(self.largest, largest)
        if largest > self.limit:
            self._grow(largest)
        if self.limit == 0.0:  # only zeros so far
            self.counts[0] += values.size
            return
        magnitudes = (values if lowest >= 0 else np.abs(values)).reshape(-1)
        for start in range(0, magnitudes.size, _CHUNK):
            chunk = magnitudes[start : start + _CHUNK].reshape(1, -1)
            # calcHist excludes the upper limit; values equal to it belong in the last bin.
            counts = cv2.calcHist([chunk], [0], None, [BINS], [0.0, self.limit]).ravel().astype(np.int64)
            counts[-1] += chunk.size - counts.sum()
            self.counts += counts

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
