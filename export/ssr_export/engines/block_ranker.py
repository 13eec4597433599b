"""Screens blocks of INT8: what each would gain, and cost, if it stayed in floating point.

Variants are compiled by OpenVINO whatever the engine's runtime is: that takes a second, and the order it finds is then
tested on the real engine by `ssr_export.engines.float_blocks`.
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

# A difference of time below this share of the engine's can't be seen in so few calls; it counts as this much.
_NOISE = 0.02
_PAIRS = 15


@dataclass(frozen=True)
class Screened:
    """A block tried as a further island. error: see `Screen.error`. added_ms: ms an image that it costs, at least 0."""

    block: str
    error: float
    added_ms: float
    gain_for_time: float


class Screen:
    """Judges sets of islands by logits on a few images.

    images: uint8 BGR [n, 224, 224, 3]. Keeps one compiled network at a time beside the one it is compared with.
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
        """Mean absolute difference of the logits from FP32's, relative to FP32's mean absolute logit."""
        return self._error(self._variant(float_blocks))

    def rank(self, float_blocks: Collection[str], blocks: Sequence[str]) -> list[Screened]:
        """Tries each of `blocks` beside `islands`; the most error taken away for the least time first."""
        plain = self._variant(float_blocks)
        before = self._error(plain)
        found = []
        with progress("screening, block", len(blocks)) as advance:
            for block in blocks:
                variant = self._variant([*float_blocks, block])
                error = self._error(variant)
                plain_ms, variant_ms = self._times(plain, variant)
                added = max(variant_ms - plain_ms, 0.0)
                gain = (before - error) / max(added, _NOISE * plain_ms)
                found.append(Screened(block, error, added, gain))
                advance(1, block)
        return sorted(found, key=lambda screened: screened.gain_for_time, reverse=True)

    def _variant(self, float_blocks: Collection[str]) -> Any:
        model = quantize(self._model, self._ranges, float_blocks, self._bias_errors)
        return compile_network(self._core, model, "int8")

    def _logits(self, compiled: Any) -> npt.NDArray[np.float32]:
        return np.concatenate([np.array(compiled(image[None])["logits"]) for image in self._images])

    def _error(self, compiled: Any) -> float:
        difference = np.abs(self._logits(compiled) - self._expected).mean()
        return float(difference / np.abs(self._expected).mean())

    def _times(self, first: Any, second: Any) -> tuple[float, float]:
        """Median ms of one image of both, in turns, so that what slows the machine slows both."""
        times: tuple[list[float], list[float]] = ([], [])
        for number in range(_PAIRS):
            image = self._images[number % len(self._images)][None]
            for compiled, spent in zip((first, second), times, strict=True):
                started = time.perf_counter()
                compiled(image)
                spent.append((time.perf_counter() - started) * 1000)
        return float(np.median(times[0])), float(np.median(times[1]))
