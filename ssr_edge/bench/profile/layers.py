"""Where an engine spends its time: its layers, and their sums by block of the network and by kind."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from ssr_edge.bench.profile.blocks import network_order

# What runtimes call a type, in kernel names and elsewhere.
_PRECISIONS = {
    "f32": "fp32", "float": "fp32", "float32": "fp32", "bf16": "bf16", "bfloat16": "bf16", "f16": "fp16",
    "float16": "fp16", "half": "fp16", "i8": "int8", "u8": "int8", "int8": "int8", "uint8": "int8",
}  # fmt: skip


@dataclass(frozen=True)
class LayerTime:
    """A layer of an engine. name, kind: the runtime's words. block: of the network.

    ms: of one call; in a profile the median. precision: what it was really computed in, as in manifest.PRECISIONS;
    empty where the runtime does not say.
    """

    name: str
    kind: str
    block: str
    ms: float
    precision: str


@dataclass(frozen=True)
class Profile:
    """An engine's layers in the order they ran, over so many calls of one image.

    Profiling slows an engine, small layers most: its shares say where time goes, its total is not the engine's time.
    """

    layers: list[LayerTime]
    calls: int

    @property
    def total_ms(self) -> float:
        """Of all layers."""
        return sum(layer.ms for layer in self.layers)

    def as_json(self) -> dict[str, Any]:
        """Plain values; `Profile.from_json` reads them."""
        return asdict(self)

    @staticmethod
    def from_json(fields: dict[str, Any]) -> Profile:
        """The reverse of `as_json`."""
        return Profile([LayerTime(**layer) for layer in fields["layers"]], fields["calls"])


def median_layers(calls: Sequence[Sequence[LayerTime]]) -> Profile:
    """Joins what single calls took, one or more, to medians; layers are matched by place, as names may repeat."""
    layers = [replace(runs[0], ms=float(np.median([run.ms for run in runs]))) for runs in zip(*calls, strict=True)]
    return Profile(layers, len(calls))


def by_block(layers: Sequence[LayerTime]) -> dict[str, float]:
    """Milliseconds of each block, in the network's order."""
    sums = _sums(layers, lambda layer: layer.block)
    return {block: sums[block] for block in sorted(sums, key=network_order)}


def by_kind(layers: Sequence[LayerTime]) -> dict[str, float]:
    """Milliseconds of each kind and precision (`Convolution int8`), the longest first."""
    sums = _sums(layers, lambda layer: f"{layer.kind} {layer.precision}".strip())
    return dict(sorted(sums.items(), key=lambda item: -item[1]))


def precision_of(word: str) -> str:
    """The precision that a runtime's word ends in: `int8` of `brgconv_avx512_1x1_I8`; empty where it ends in none."""
    return _PRECISIONS.get(re.split(r"[^a-z0-9]", word.lower())[-1], "")


def _sums(layers: Sequence[LayerTime], key: Callable[[LayerTime], str]) -> dict[str, float]:
    sums: dict[str, float] = defaultdict(float)
    for layer in layers:
        sums[key(layer)] += layer.ms
    return dict(sums)
