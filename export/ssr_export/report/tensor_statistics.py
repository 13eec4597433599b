"""What is recorded of each quantized tensor: its range, its largest value, how many values the range clips."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ssr_edge.bundle.histograms import Histogram
from ssr_edge.bundle.manifest import QuantizedTensor
from ssr_export.int8.histogram import MagnitudeHistogram

_BINS = 256  # enough for a plot; the whole network's then take about 100 KB


@dataclass
class ActivationStatistics:
    """Streams an activation. name, tensor, block: see QuantizedTensor. range: magnitude that maps to 127."""

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
        """What goes into the manifest."""
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
    """The same of a weight [out, ...], whose range by output channel is the channel's largest: it clips nothing."""
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
    """The histogram with whole bins merged, so that a bundle holds one of every tensor."""
    counts = histogram.counts.reshape(_BINS, -1).sum(axis=1)
    # Nothing but zeros leaves the limit at 0, and they lie in the first bin of any.
    return Histogram(limit=histogram.limit or 1.0, counts=counts.tolist())
