"""Where an engine spends its time: its layers, and their sums by block of the network."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from ssr_edge.bench.profile.blocks import network_order

# Type names used by runtimes, in kernel names and elsewhere.
_PRECISIONS = {
    "f32": "fp32", "float": "fp32", "float32": "fp32", "bf16": "bf16", "bfloat16": "bf16", "f16": "fp16",
    "float16": "fp16", "half": "fp16", "i8": "int8", "u8": "int8", "int8": "int8", "uint8": "int8",
}  # fmt: skip


@dataclass(frozen=True)
class LayerTime:
    """One layer of an engine. name, kind: as the runtime reports them. block: block of the network.

    ms: duration in one call; in a profile, the median. precision: the precision it was computed in, one of
    manifest.PRECISIONS; empty if the runtime does not report it.
    """

    name: str
    kind: str
    block: str
    ms: float
    precision: str


@dataclass(frozen=True)
class Profile:
    """An engine's layers in execution order, over `calls` calls of one image.

    Profiling slows an engine, small layers most: use the shares; the total is not the engine's latency.
    """

    layers: list[LayerTime]
    calls: int

    @property
    def total_ms(self) -> float:
        """Sum over all layers."""
        return sum(layer.ms for layer in self.layers)

    def as_json(self) -> dict[str, Any]:
        """Plain values; `Profile.from_json` reads them."""
        return asdict(self)

    @staticmethod
    def from_json(fields: dict[str, Any]) -> Profile:
        """The reverse of `as_json`."""
        return Profile([LayerTime(**layer) for layer in fields["layers"]], fields["calls"])


def median_layers(calls: Sequence[Sequence[LayerTime]]) -> Profile:
    """Takes the median of one or more calls; layers are matched by position, since names may repeat."""
    layers = [replace(runs[0], ms=float(np.median([run.ms for run in runs]))) for runs in zip(*calls, strict=True)]
    return Profile(layers, len(calls))


def by_block(layers: Sequence[LayerTime]) -> dict[str, float]:
    """Milliseconds per block, in network order."""
    sums: dict[str, float] = defaultdict(float)
    for layer in layers:
        sums[layer.block] += layer.ms
    return {block: sums[block] for block in sorted(sums, key=network_order)}


def precision_of(name: str) -> str:
    """The precision a runtime's name ends in: `int8` for `brgconv_avx512_1x1_I8`; empty if it ends in none."""
    return _PRECISIONS.get(re.split(r"[^a-z0-9]", name.lower())[-1], "")
