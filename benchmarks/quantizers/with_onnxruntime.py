"""ONNX Runtime's `quantize_static`. Settings: method, one of CalibrationMethod's; symmetric; operators; exclude.

symmetric: the format TensorRT accepts, with symmetric int8 for activations and weights (per channel) and unquantized
biases; otherwise ONNX Runtime's defaults. operators: the types to quantize; empty for all supported ones. exclude:
substrings of the names of nodes to leave in floating point.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from quantizers.worker import Task, batches, work

_SYMMETRIC = {"ActivationSymmetric": True, "WeightSymmetric": True, "QuantizeBias": False}
# Images whose activations are held at once; without it the histogram methods hold those of all images.
_STRIDE = 8


class Reader(CalibrationDataReader):  # type: ignore[misc]
    """Decodes the images on request."""

    def __init__(self, images: list[Path]) -> None:
        self._images = images
        self.set_range(0, len(images))

    def __len__(self) -> int:
        return len(self._images)

    def set_range(self, start_index: int, end_index: int) -> None:
        """Continues with these images; needed by CalibStridedMinMax."""
        self._batches = batches(self._images[start_index:end_index])

    def get_next(self) -> dict[str, Any] | None:
        """The next image, None after the last."""
        batch = next(self._batches, None)
        return None if batch is None else {"images": batch}


def run(task: Task) -> None:
    """Pre-processes, as the documentation recommends, then quantizes."""
    prepared = task.output.with_suffix(".prepared.onnx")
    quant_pre_process(str(task.model), str(prepared))
    parts = task.settings["exclude"]
    nodes = [node.name for node in onnx.load(prepared).graph.node]
    count = len(task.images)
    # Despite its name it applies to all methods, and it must divide the number of images.
    stride = max(size for size in range(1, _STRIDE + 1) if count % size == 0)
    symmetric = task.settings["symmetric"]
    quantize_static(
        prepared,
        task.output,
        Reader(task.images),
        quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QInt8,
        weight_type=QuantType.QInt8,
        per_channel=symmetric,
        op_types_to_quantize=task.settings["operators"],
        nodes_to_exclude=[name for name in nodes if any(part in name for part in parts)],
        calibrate_method=CalibrationMethod[task.settings["method"]],
        extra_options={"CalibStridedMinMax": stride} | (_SYMMETRIC if symmetric else {}),
    )


if __name__ == "__main__":
    work(run, ["onnxruntime", "onnx", "numpy"])
