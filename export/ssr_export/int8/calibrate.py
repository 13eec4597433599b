"""Calibration: finds the range of each activation on real images, with memory independent of their number."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ssr_edge.common.errors import ExportError
from ssr_edge.common.files import replacing, sha256_of
from ssr_edge.machine.environment import usable_cores
from ssr_export.int8.activations import stream_activations
from ssr_export.int8.bias_correction import bias_errors
from ssr_export.int8.histogram import MagnitudeHistogram, not_finite
from ssr_export.int8.ranges import Fixed, Method, choose_method, choose_range

# Means over whole feature maps need few images.
BIAS_IMAGES = 32


class Calibration(BaseModel):
    """Result of a calibration; the range cache is this as JSON.

    model: SHA-256 of the FP32 ONNX file. images: SHA-256 of each image file used, sorted. ranges: tensor -> magnitude
    that maps to 127. chosen: tensor -> method, if `auto` chose one per tensor. bias_errors: bias -> mean error [O] of
    its convolution, if biases are corrected.
    """

    model_config = ConfigDict(extra="forbid")
    method: Method
    model: str
    images: list[str]
    ranges: dict[str, float]
    chosen: dict[str, Fixed] = Field(default_factory=dict)
    bias_errors: dict[str, list[float]] = Field(default_factory=dict)

    @property
    def sha256(self) -> str:
        """Fingerprint of the ranges, independent of their order."""
        text = "\n".join(f"{name} {value!r}" for name, value in sorted(self.ranges.items()))
        return hashlib.sha256(text.encode()).hexdigest()

    def write(self, path: Path) -> None:
        """Writes the cache atomically: if the process is killed, the file is complete or unchanged."""
        with replacing(path) as temporary:
            temporary.write_text(self.model_dump_json(indent=1))


def calibrate(
    model: Path, images: Sequence[Path], method: Method, cache: Path | None = None, correct_bias: bool = False
) -> Calibration:
    """Runs the FP32 model on image files and chooses a range for each quantization point.

    correct_bias: also measures the mean error of each convolution, in a second pass over some of the images. cache:
    file of an earlier calibration, returned if it was for the same model, images and method, otherwise replaced.

    Raises:
        ExportError: no image can be read, an activation is not finite, or `auto` gets only one image.
    """
    model_hash, image_hashes = sha256_of(model), sorted(map(sha256_of, images))
    known = read_calibration(cache) if cache is not None else None
    key = (model_hash, image_hashes, method, correct_bias)
    if known is not None and (known.model, known.images, known.method, bool(known.bias_errors)) == key:
        return known
    if method == "auto":
        chosen, ranges = _choose_by_tensor(model, images)
    else:
        histograms = collect_histograms(model, images)
        chosen, ranges = {}, {tensor: choose_range(histogram, method) for tensor, histogram in histograms.items()}
    found = Calibration(method=method, model=model_hash, images=image_hashes, ranges=ranges, chosen=chosen)
    if correct_bias:
        found.bias_errors = bias_errors(model, ranges, images[:BIAS_IMAGES])
    if cache is not None:
        found.write(cache)
    return found


def _choose_by_tensor(model: Path, images: Sequence[Path]) -> tuple[dict[str, Fixed], dict[str, float]]:
    """`auto`: finds each method's ranges on three quarters of the images and evaluates them on every fourth."""
    if len(images) < 2:
        raise ExportError(
            "--method auto can't choose and evaluate ranges with 1 image",
            expected="at least 2 calibration images; 64 or more for a reliable choice",
            next_step="ssr-edge build-engine --method percentile",
        )
    collected = collect_histograms(model, [path for number, path in enumerate(images) if number % 4])
    held_out = collect_histograms(model, images[::4])
    chosen = {tensor: choose_method(histogram, held_out[tensor]) for tensor, histogram in collected.items()}
    return chosen, {tensor: choose_range(collected[tensor], method) for tensor, method in chosen.items()}


def read_calibration(path: Path) -> Calibration | None:
    """The calibration in a file; None if the file is missing or not a calibration."""
    try:
        return Calibration.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def collect_histograms(model: Path, images: Sequence[Path]) -> dict[str, MagnitudeHistogram]:
    """Histogram of each quantization point's magnitudes over image files; skips unreadable images.

    Raises:
        ExportError: no image can be read, or an activation is not finite.
    """
    histograms: dict[str, MagnitudeHistogram] = defaultdict(MagnitudeHistogram)

    def add(tensor: str, histogram: MagnitudeHistogram, values: npt.NDArray[np.float32]) -> None:
        try:
            histogram.add(values)
        except ValueError as error:
            raise not_finite(tensor) from error

    # Counting takes as long as the network and releases the GIL, so each core counts one tensor.
    with ThreadPoolExecutor(usable_cores()) as pool:
        for activations in stream_activations(model, images, "calibrating"):
            list(pool.map(add, activations, [histograms[tensor] for tensor in activations], activations.values()))
    return dict(histograms)
