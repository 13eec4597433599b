"""Streams real images through the FP32 model and yields its activations, for calibration and bias correction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx

from ssr_edge.common.errors import ExportError, InputError
from ssr_edge.common.progress import progress
from ssr_edge.images.preprocess import Image, load
from ssr_edge.runners.onnxruntime import import_onnxruntime
from ssr_export.int8.quantize import quantization_points

Activations = dict[str, npt.NDArray[np.float32]]
# Larger batches are slower, because more memory is allocated and freed.
_BATCH = 1


def stream_activations(model: Path, images: Sequence[Path], what: str) -> Iterator[Activations]:
    """Runs the FP32 model on image files and yields each batch's quantization points: tensor -> float32 [n, C, H, W].

    what: title of the progress bar. Skips unreadable images.

    Raises:
        ExportError: no image can be read.
    """
    onnxruntime = import_onnxruntime()

    graph = onnx.load(model)
    points = [point.tensor for point in quantization_points(graph)]
    del graph.graph.output[:]
    graph.graph.output.extend(onnx.ValueInfoProto(name=tensor) for tensor in points)
    options = onnxruntime.SessionOptions()
    # ONNX Runtime's arena keeps the largest buffers of every shape it has seen; without it memory stays constant.
    options.enable_cpu_mem_arena = False
    # Its threads would spin after each run, on the cores that process the activations meanwhile.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
    del graph  # the session has its own copy of the weights
    with progress(f"{what}, image", len(images)) as advance:
        for start, batch in readable_batches(images, _BATCH):
            yield dict(zip(points, session.run(points, {"images": batch}), strict=True))
            advance(min(_BATCH, len(images) - start), "")


def readable_batches(images: Sequence[Path], size: int) -> Iterator[tuple[int, Image]]:
    """Decodes image files in batches; yields the batch's start index and uint8 BGR [n, 224, 224, 3], n <= size.

    Skips unreadable images.

    Raises:
        ExportError: none can be read.
    """
    found = 0
    for start in range(0, len(images), size):
        batch = []
        for path in images[start : start + size]:
            try:
                batch.append(load(path))
            except InputError:
                continue
        found += len(batch)
        if batch:
            yield start, np.stack(batch)
    if found == 0:
        raise ExportError(
            f"none of the {len(images)} calibration images can be read",
            expected="at least one readable image; 64 or more from all classes give good ranges",
            next_step="ssr-edge build-engine --calibration-images FOLDER",
        )
