"""Signal-to-quantization-noise ratio and cosine of tensors, accumulated in four sums over any number of images."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ssr_edge.bundle.manifest import SQNR_LIMIT, SignalError


@dataclass
class ErrorSums:
    """Sums over all pairs given to `add`, in FP64."""

    signal: float = 0.0
    found: float = 0.0
    product: float = 0.0
    noise: float = 0.0

    def add(self, exact: npt.NDArray[np.float32], found: npt.NDArray[np.float32]) -> None:
        """Adds a tensor and its quantized counterpart of the same shape."""
        x, y = exact.astype(np.float64).ravel(), found.astype(np.float64).ravel()
        self.signal += float(x @ x)
        self.found += float(y @ y)
        self.product += float(x @ y)
        difference = y - x
        self.noise += float(difference @ difference)

    def result(self) -> SignalError:
        """The error over all pairs, as if they were one vector."""
        return SignalError(sqnr_db=self._sqnr_db(), cosine=self._cosine())

    def _sqnr_db(self) -> float:
        if self.noise == 0.0:
            return SQNR_LIMIT
        if self.signal == 0.0:
            return -SQNR_LIMIT
        return min(max(10 * math.log10(self.signal / self.noise), -SQNR_LIMIT), SQNR_LIMIT)

    def _cosine(self) -> float:
        if self.signal == 0.0 or self.found == 0.0:
            return float(self.signal == self.found)
        return self.product / math.sqrt(self.signal * self.found)
