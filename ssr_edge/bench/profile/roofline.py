"""Compares an engine with its machine's limits: the roofline of each block and of the whole network.

Williams, Waterman and Patterson, "Roofline: an insightful visual performance model" (CACM 2009), in times instead of
rates: a block takes at least its multiply-adds at peak rate and at least its bytes at peak bandwidth.
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
    """Work and time of one block for one image. operations: multiply-adds. bytes: read and written.

    compute_ms: the operations at the peak rates of their precisions, one precision after the other.
    transfer_ms: the bytes at in-cache copy bandwidth. bound_ms: the longer of the two. measured_ms: the engine's time.
    """

    block: str
    operations: int
    bytes: int
    compute_ms: float
    transfer_ms: float
    measured_ms: float
    bound_ms: float

    @property
    def gap(self) -> float | None:
        """measured_ms / bound_ms; None for blocks without a bound, such as conversions."""
        return self.measured_ms / self.bound_ms if self.bound_ms else None

    @property
    def intensity(self) -> float:
        """Multiply-adds per byte."""
        return self.operations / self.bytes if self.bytes else 0.0

    @property
    def operations_per_s(self) -> float:
        """Achieved rate."""
        return 1000 * self.operations / self.measured_ms if self.measured_ms else 0.0


@dataclass(frozen=True)
class Roofline:
    """An engine's blocks in network order. measured_ms: per image, single-stream, not profiled.

    bound_ms: sum of the blocks' bounds, since blocks run one after the other. gap: measured_ms / bound_ms.
    """

    peaks: Peaks
    measured_ms: float
    bound_ms: float
    gap: float
    blocks: list[BlockRoof]

    @property
    def operations(self) -> int:
        """Multiply-adds per image."""
        return sum(block.operations for block in self.blocks)

    @property
    def intensity(self) -> float:
        """Multiply-adds per byte."""
        return self.operations / sum(block.bytes for block in self.blocks)

    @property
    def operations_per_s(self) -> float:
        """Achieved rate."""
        return 1000 * self.operations / self.measured_ms


def roofline(costs: Sequence[BlockCost], peaks: Peaks, measured_ms: float, profile: Profile) -> Roofline:
    """Compares an engine's time with its bound. CPU engines only: the peaks are the CPU's.

    costs: from `network_cost`, with at least one multiply-add. measured_ms: per image, single-stream; split among the
    blocks in proportion to the profile, because profiling slows the engine.

    Simplifications: a precision without a peak (fp16 on a CPU) uses the FP32 peak. Bytes are counted as if nothing
    stayed in cache between operations, but move at cache bandwidth, where this network's tensors stay; a block can
    therefore exceed its bound without a flaw in its kernels, but hardly beat it. The PyTorch network is not folded and
    does more work than its cost: its gap shows what folding and a compiler would save.
    """
    times = by_block(profile.layers)
    scale = measured_ms / profile.total_ms
    work = {cost.block: cost for cost in costs}
    blocks = [
        _block(work.get(name, BlockCost(name, {}, 0, 0)), peaks, scale * times.get(name, 0.0))
        for name in sorted(work.keys() | times.keys(), key=network_order)
    ]
    bound_ms = sum(block.bound_ms for block in blocks)
    return Roofline(peaks, measured_ms, bound_ms, measured_ms / bound_ms, blocks)


def _block(cost: BlockCost, peaks: Peaks, measured_ms: float) -> BlockRoof:
    compute_ms = 1000 * sum(done / peaks.rate_in(precision) for precision, done in cost.multiply_adds.items())
    transfer_ms = 1000 * cost.bytes / peaks.cache_copy_bytes_per_s
    bound_ms = max(compute_ms, transfer_ms)
    return BlockRoof(cost.block, cost.operations, cost.bytes, compute_ms, transfer_ms, measured_ms, bound_ms)
