"""Ranks the blocks of an INT8 network by the error that keeping each in floating point removes per added time.

Variants are compiled with OpenVINO whatever the engine's runtime is: it takes a second, and the resulting order is then
confirmed on the real engine by `ssr_export.engines.bundle_builder`.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from ssr_edge.common.progress import progress
from ssr_edge.images.preprocess import Image
from ssr_edge.runners.openvino.core import openvino_core
from ssr_edge.runners.openvino.runner import compile_network
from ssr_export.int8.quantize import BiasErrors, quantize

# Time differences below this share of the engine's time can't be resolved with so few calls; they count as this much.
_NOISE = 0.02
_PAIRS = 15


@dataclass(frozen=True)
class RankedBlock:
    """A candidate float block. error: see `BlockRanker.error`. added_ms: added time per image, ms, at least 0.

    gain_for_time: error removed per ms added.
    """

    block: str
    error: float
    added_ms: float
    gain_for_time: float


class BlockRanker:
    """Measures sets of float blocks by their logits on a few images.

    images: uint8 BGR [n, 224, 224, 3]. Holds at most two compiled networks at a time.
    """

    def __init__(
        self,
        model: onnx.ModelProto,
        ranges: Mapping[str, float],
        images: Image,
        bias_errors: BiasErrors | None = None,
    ) -> None:
        self._core, self._model, self._images = openvino_core(), model, images
        self._ranges, self._bias_errors = ranges, bias_errors
        self._expected = self._logits(compile_network(self._core, model, "fp32"))

    def error(self, float_blocks: Collection[str]) -> float:
        """Mean absolute difference from the FP32 logits, relative to the mean absolute FP32 logit."""
        return self._error(self._variant(float_blocks))

    def rank(self, float_blocks: Collection[str], blocks: Sequence[str]) -> list[RankedBlock]:
        """Tries each of `blocks` in addition to `float_blocks`; sorted by error removed per added time, best first."""
        plain = self._variant(float_blocks)
        before = self._error(plain)
        found = []
        with progress("ranking, block", len(blocks)) as advance:
            for block in blocks:
                variant = self._variant([*float_blocks, block])
                error = self._error(variant)
                plain_ms, variant_ms = self._times(plain, variant)
                added = max(variant_ms - plain_ms, 0.0)
                gain = (before - error) / max(added, _NOISE * plain_ms)
                found.append(RankedBlock(block, error, added, gain))
                advance(1, block)
        return sorted(found, key=lambda ranked: ranked.gain_for_time, reverse=True)

    def _variant(self, float_blocks: Collection[str]) -> Any:
        model = quantize(self._model, self._ranges, float_blocks, self._bias_errors)
        return compile_network(self._core, model, "int8")

    def _logits(self, compiled: Any) -> npt.NDArray[np.float32]:
        return np.concatenate([np.array(compiled(image[None])["logits"]) for image in self._images])

    def _error(self, compiled: Any) -> float:
        difference = np.abs(self._logits(compiled) - self._expected).mean()
        return float(difference / np.abs(self._expected).mean())

    def _times(self, first: Any, second: Any) -> tuple[float, float]:
        """Median ms per image of both, measured alternately so that other load on the machine affects both equally."""
        times: tuple[list[float], list[float]] = ([], [])
        for number in range(_PAIRS):
            image = self._images[number % len(self._images)][None]
            for compiled, spent in zip((first, second), times, strict=True):
                started = time.perf_counter()
                compiled(image)
                spent.append((time.perf_counter() - started) * 1000)
        return float(np.median(times[0])), float(np.median(times[1]))
