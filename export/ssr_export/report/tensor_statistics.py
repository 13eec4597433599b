"""Statistics of each quantized tensor: its range, its largest value, the number of clipped values."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ssr_edge.bundle.histograms import Histogram
from ssr_edge.bundle.manifest import QuantizedTensor
from ssr_export.int8.histogram import MagnitudeHistogram

_BINS = 256  # enough for a plot; about 100 KB for the whole network


@dataclass
class ActivationStatistics:
    """Statistics of one activation, batch by batch. name, tensor, block: see QuantizedTensor. range: maps to 127."""

    name: str
    tensor: str
    block: str
    range: float
    clipped: int = 0
    values: int = 0
    histogram: MagnitudeHistogram = field(default_factory=MagnitudeHistogram)

    def add(self, values: npt.NDArray[np.float32]) -> None:
        """Counts a batch of any shape.

        Raises:
            ValueError: a value is not finite.
        """
        self.histogram.add(values)
        self.values += values.size
        self.clipped += int(np.count_nonzero(np.abs(values) > self.range))

    def result(self) -> QuantizedTensor:
        """The entry for the manifest."""
        return QuantizedTensor(
            name=self.name,
            tensor=self.tensor,
            block=self.block,
            kind="activation",
            range=self.range,
            largest=self.histogram.largest,
            values=self.values,
            clipped=self.clipped,
        )


def weight_statistics(
    name: str, tensor: str, block: str, weight: npt.NDArray[np.float32]
) -> tuple[QuantizedTensor, MagnitudeHistogram]:
    """Statistics of a weight [out, ...]; the range of each output channel is its largest value, so none is clipped."""
    by_channel = np.abs(weight).reshape(len(weight), -1).max(axis=1)  # [out]
    histogram = MagnitudeHistogram()
    histogram.add(weight)
    entry = QuantizedTensor(
        name=name,
        tensor=tensor,
        block=block,
        kind="weight",
        range=float(by_channel.max()),
        narrowest=float(by_channel.min()),
        largest=float(by_channel.max()),
        values=weight.size,
        clipped=0,
    )
    return entry, histogram


def for_plotting(histogram: MagnitudeHistogram) -> Histogram:
    """A coarser histogram, so that a bundle can hold one per tensor."""
    counts = histogram.counts.reshape(_BINS, -1).sum(axis=1)
    # With only zeros the limit stays 0; any limit fits, since they are in the first bin.
    return Histogram(limit=histogram.limit or 1.0, counts=counts.tolist())
