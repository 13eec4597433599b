"""Calibration: the range of each activation, from real images, streamed so that memory does not grow with them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from pydantic import BaseModel, ConfigDict, ValidationError

from ssr_edge.errors import ExportError, InputError
from ssr_edge.files import replacing, sha256_of
from ssr_edge.preprocess import Image, load
from ssr_edge.progress import progress
from ssr_export.histogram import MagnitudeHistogram
from ssr_export.quantize import quantization_points
from ssr_export.ranges import Method, choose_range

# Two images' activations of SSResNeXt-50 are about 150 MB; larger batches are no faster on a CPU.
_BATCH = 2


class Calibration(BaseModel):
    """What a calibration found; saved as JSON it is the range cache.

    model: SHA-256 of the FP32 ONNX file. images: SHA-256 of each image file used, sorted. ranges: tensor -> magnitude
    that maps to 127.
    """

    model_config = ConfigDict(extra="forbid")
    method: Method
    model: str
    images: list[str]
    ranges: dict[str, float]

    @property
    def sha256(self) -> str:
        """Fingerprint of the ranges, whatever the order of the tensors."""
        text = "\n".join(f"{name} {value!r}" for name, value in sorted(self.ranges.items()))
        return hashlib.sha256(text.encode()).hexdigest()

    def write(self, path: Path) -> None:
        """Writes the cache in one step: a kill leaves none or all of it."""
        with replacing(path) as temporary:
            temporary.write_text(self.model_dump_json(indent=1))


def calibrate(model: Path, images: Sequence[Path], method: Method, cache: Calibration | None = None) -> Calibration:
    """Runs the FP32 model on image files and chooses a range for each quantisation point.

    cache: returned as it is when it was found for the same model, images and method.

    Raises:
        ExportError: no image can be read, or an activation is not finite.
    """
    model_hash, image_hashes = sha256_of(model), sorted(map(sha256_of, images))
    if cache is not None and (cache.model, cache.images, cache.method) == (model_hash, image_hashes, method):
        return cache
    histograms = collect_histograms(model, images)
    ranges = {tensor: choose_range(histogram, method) for tensor, histogram in histograms.items()}
    return Calibration(method=method, model=model_hash, images=image_hashes, ranges=ranges)


def read_calibration(path: Path) -> Calibration | None:
    """The calibration in a file; None where there is none or it is not one."""
    try:
        return Calibration.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def collect_histograms(model: Path, images: Sequence[Path]) -> dict[str, MagnitudeHistogram]:
    """Histogram of each quantisation point's magnitudes over image files; an unreadable image is passed over.

    Raises:
        ExportError: no image can be read, or an activation is not finite.
    """
    import onnxruntime

    graph = onnx.load(model)
    points = [point.tensor for point in quantization_points(graph)]
    del graph.graph.output[:]
    graph.graph.output.extend(onnx.ValueInfoProto(name=tensor) for tensor in points)
    options = onnxruntime.SessionOptions()
    # ONNX Runtime's arena keeps the largest buffers of every shape it has seen; freeing them keeps memory flat.
    options.enable_cpu_mem_arena = False
    session = onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
    histograms = {tensor: MagnitudeHistogram() for tensor in points}
    counted = 0
    with progress("calibrating, image", len(images)) as advance:
        for start in range(0, len(images), _BATCH):
            paths = images[start : start + _BATCH]
            batch = _readable(paths)
            if batch:
                activations = session.run(points, {"images": np.stack(batch)})
                _add(histograms, dict(zip(points, activations, strict=True)))
                counted += len(batch)
            advance(len(paths), "")
    if counted == 0:
        raise ExportError(
            f"none of the {len(images)} calibration images can be read",
            expected="at least one image; 64 or more of every class give good ranges",
            next_step="ssr-edge build-engine --calibration-images FOLDER",
        )
    return histograms


def _readable(paths: Sequence[Path]) -> list[Image]:
    images = []
    for path in paths:
        try:
            images.append(load(path))
        except InputError:
            continue
    return images


def _add(histograms: dict[str, MagnitudeHistogram], activations: dict[str, np.ndarray]) -> None:
    for tensor, values in activations.items():
        try:
            histograms[tensor].add(values)
        except ValueError as error:
            raise ExportError(
                f"activation {tensor!r}: {error}",
                expected="finite activations on every calibration image",
                next_step="ssr-edge evaluate CHECKPOINT  (is the checkpoint sound?)",
            ) from error
