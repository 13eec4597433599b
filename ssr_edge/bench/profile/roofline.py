"""Compares an engine with what its machine could do at most: the roofline of each block and of the whole network.

Williams, Waterman and Patterson, "Roofline: an insightful visual performance model" (CACM 2009), with times for rates:
a block takes at least as long as its multiply-adds at the measured peak, and at least as long as its bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ssr_edge.bench.profile.blocks import network_order
from ssr_edge.bench.profile.cost import BlockCost
from ssr_edge.bench.profile.layers import Profile, by_block
from ssr_edge.bench.profile.peaks import Peaks


@dataclass(frozen=True)
class BlockRoof:
    """A block's work and time, of one image. operations: multiply-adds. bytes: read and written.

    compute_ms: the operations at the peak of the precision that each is in, one precision after the other.
    transfer_ms: the bytes at the rate of a copy within the caches. measured_ms: what the engine takes.
    """

    block: str
    operations: int
    bytes: int
    compute_ms: float
    transfer_ms: float
    measured_ms: float

    @property
    def bound_ms(self) -> float:
        """The shortest possible time."""
        return max(self.compute_ms, self.transfer_ms)

    @property
    def gap(self) -> float | None:
        """How many times longer than the bound it takes; None for what has no bound, as conversions."""
        return self.measured_ms / self.bound_ms if self.bound_ms else None

    @property
    def intensity(self) -> float:
        """Multiply-adds a byte."""
        return self.operations / self.bytes if self.bytes else 0.0

    @property
    def operations_per_s(self) -> float:
        """The rate that was reached."""
        return 1000 * self.operations / self.measured_ms if self.measured_ms else 0.0


@dataclass(frozen=True)
class Roofline:
    """An engine's blocks in the network's order. measured_ms: of one image, single-stream, not profiled."""

    precision: str
    peaks: Peaks
    blocks: list[BlockRoof]
    measured_ms: float

    @property
    def peak(self) -> float:
        """Multiply-adds a second in the engine's precision; in fp32 where the CPU does not compute in it."""
        return self.peaks.multiply_adds_per_s.get(self.precision, self.peaks.multiply_adds_per_s["fp32"])

    @property
    def bound_ms(self) -> float:
        """The shortest possible time: blocks run one after the other, each as fast as it can."""
        return sum(block.bound_ms for block in self.blocks)

    @property
    def gap(self) -> float:
        """How many times longer than the bound an image takes: the one number."""
        return self.measured_ms / self.bound_ms

    @property
    def operations(self) -> int:
        """Multiply-adds of an image."""
        return sum(block.operations for block in self.blocks)

    @property
    def intensity(self) -> float:
        """Multiply-adds a byte."""
        return self.operations / sum(block.bytes for block in self.blocks)

    @property
    def operations_per_s(self) -> float:
        """The rate that was reached."""
        return 1000 * self.operations / self.measured_ms


def roofline(
    costs: Sequence[BlockCost], peaks: Peaks, precision: str, measured_ms: float, profile: Profile
) -> Roofline:
    """Sets an engine's time against its bound. CPU engines only: the peaks are the CPU's.

    costs: of `network_cost`, with at least one multiply-add. precision: the engine's. measured_ms: of one image,
    single-stream; it is divided among the blocks as the profile's times are, since profiling slows the engine.

    What is simplified: a precision without a peak (fp16 on a CPU) is held to that of fp32; bytes are counted as if no
    operation kept anything for the next, but move at the rate of the caches, where this network's tensors stay, so
    that a block may be slower than its bound without a fault of its kernels, but hardly faster. PyTorch's network is
    not folded and does more than its cost says: its gap tells what folding and a compiler would save.
    """
    times = by_block(profile.layers)
    scale = measured_ms / profile.total_ms
    work = {cost.block: cost for cost in costs}
    blocks = [
        _block(work.get(name, BlockCost(name, {}, 0, 0)), peaks, scale * times.get(name, 0.0))
        for name in sorted(work.keys() | times.keys(), key=network_order)
    ]
    return Roofline(precision, peaks, blocks, measured_ms)


def _block(cost: BlockCost, peaks: Peaks, measured_ms: float) -> BlockRoof:
    rates = peaks.multiply_adds_per_s
    seconds = sum(done / rates.get(precision, rates["fp32"]) for precision, done in cost.multiply_adds.items())
    transfer = cost.bytes / peaks.cache_copy_bytes_per_s
    return BlockRoof(cost.block, cost.operations, cost.bytes, 1000 * seconds, 1000 * transfer, measured_ms)
