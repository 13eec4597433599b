"""Builds profiles and rooflines without measuring anything."""

from __future__ import annotations

from ssr_edge.bench.profile.cost import BlockCost
from ssr_edge.bench.profile.layers import LayerTime, Profile
from ssr_edge.bench.profile.peaks import Peaks
from ssr_edge.bench.profile.roofline import Roofline, roofline

PEAKS = Peaks({"fp32": 80e9, "int8": 160e9}, copy_bytes_per_s=10e9, cache_copy_bytes_per_s=50e9)
# Bounds: 0.1 ms for bytes only; 1 ms in fp32; 2 ms in int8 and 0.25 ms in fp32.
COSTS = [
    BlockCost("preprocessing", {}, 0, 5_000_000),
    BlockCost("stem", {"fp32": 80_000_000}, 10_000, 2_000_000),
    BlockCost("stages.0.blocks.0", {"int8": 320_000_000, "fp32": 20_000_000}, 500_000, 4_500_000),
]
PROFILE = Profile(
    [
        LayerTime("node_permute", "Transpose", "preprocessing", 0.5, "int8"),
        LayerTime("stem [a]", "Convolution", "stem", 3.5, "fp32"),
        LayerTime("node_relu", "Relu", "stem", 0.5, "fp32"),
        LayerTime("stages.0.blocks.0.conv1", "Convolution", "stages.0.blocks.0", 4.0, "int8"),
        LayerTime("stages.0.blocks.0.conv3", "Convolution", "stages.0.blocks.0", 1.0, "int8"),
        LayerTime("Reorder_1", "Reorder", "conversions", 0.5, ""),
    ],
    calls=20,
)
# A fifth faster than it was while it was profiled.
MEASURED_MS = 8.0


def make_roofline() -> Roofline:
    """Bounds 0.1 + 1 + 2.25 ms; blocks share 8 ms as the profile's 10 ms are shared."""
    return roofline(COSTS, PEAKS, MEASURED_MS, PROFILE)
