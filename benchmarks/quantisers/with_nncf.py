"""NNCF's `quantize`. Settings: backend, `onnx` or `openvino`; signed; exclude.

signed: what TensorRT takes: the preset PERFORMANCE with activations forced to signed int8; else NNCF's defaults.
exclude: regular expressions for the names of nodes to leave in floating point.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import nncf
import onnx
import openvino
from nncf.quantization.advanced_parameters import AdvancedQuantizationParameters, QuantizationParameters

from quantisers.worker import Task, batches, work
from ssr_edge.preprocess import Image


def quantise(task: Task) -> None:
    """Writes ONNX or, with the backend `openvino`, OpenVINO's .xml and .bin."""
    settings = task.settings
    asked: dict[str, Any] = {}
    if settings["signed"]:
        signed = QuantizationParameters(signedness_to_force=True)
        asked = {
            "preset": nncf.QuantizationPreset.PERFORMANCE,
            "advanced_parameters": AdvancedQuantizationParameters(activations_quantization_params=signed),
        }
    if settings["exclude"]:
        asked["ignored_scope"] = nncf.IgnoredScope(patterns=settings["exclude"], validate=False)
    onnx_asked = settings["backend"] == "onnx"
    model = onnx.load(task.model) if onnx_asked else openvino.Core().read_model(task.model)
    # NNCF goes over its data several times.
    data = nncf.Dataset(Images(task), (lambda images: {"images": images}) if onnx_asked else None)
    quantised = nncf.quantize(model, data, subset_size=len(task.images), **asked)
    if onnx_asked:
        onnx.save(quantised, task.output)
    else:
        openvino.save_model(quantised, task.output, compress_to_fp16=False)


class Images:
    """Decodes the images anew at each pass."""

    def __init__(self, task: Task) -> None:
        self._images = task.images

    def __iter__(self) -> Iterator[Image]:
        return batches(self._images)


if __name__ == "__main__":
    work(quantise, ["nncf", "openvino", "onnxruntime", "onnx", "numpy"])
