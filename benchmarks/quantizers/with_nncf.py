"""NNCF's `quantize`. Settings: backend, `onnx` or `openvino`; exclude.

exclude: regular expressions for the names of nodes to leave in floating point. There is no setting for the format
TensorRT accepts: non-negative activations become uint8, and NNCF 3.4 refuses to force them to be signed
(`signedness_to_force`) as incompatible with its target devices.
"""

from __future__ import annotations

from collections.abc import Iterator

import nncf
import onnx
import openvino

from quantizers.worker import Task, batches, work
from ssr_edge.images.preprocess import Image


def run(task: Task) -> None:
    """Writes ONNX or, with the backend `openvino`, OpenVINO .xml and .bin files."""
    is_onnx = task.settings["backend"] == "onnx"
    # convert_model, not read_model: only the former simplifies the graph, as NNCF's fusing patterns expect.
    model = onnx.load(task.model) if is_onnx else openvino.convert_model(task.model)
    data = nncf.Dataset(Images(task), (lambda images: {"images": images}) if is_onnx else None)
    ignored = nncf.IgnoredScope(patterns=task.settings["exclude"])
    quantized = nncf.quantize(model, data, subset_size=len(task.images), ignored_scope=ignored)
    if is_onnx:
        onnx.save(quantized, task.output)
    else:
        openvino.save_model(quantized, task.output, compress_to_fp16=False)


class Images:
    """Decodes the images in each pass: NNCF makes several."""

    def __init__(self, task: Task) -> None:
        self._images = task.images

    def __iter__(self) -> Iterator[Image]:
        return batches(self._images)


if __name__ == "__main__":
    work(run, ["nncf", "openvino", "onnxruntime", "onnx", "numpy"])
