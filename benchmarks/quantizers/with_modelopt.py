"""NVIDIA ModelOpt's `modelopt.onnx.quantization.quantize`. Settings: method, `max` or `entropy`; exclude.

Its output is in the format TensorRT accepts by default; non-quantized layers are FP16. exclude: regular expressions for
the names of nodes to leave in floating point.
"""

from __future__ import annotations

from typing import Any

from modelopt.onnx.quantization import quantize
from onnxruntime.quantization import CalibrationDataReader

from quantizers.worker import Task, batches, work


class Reader(CalibrationDataReader):  # type: ignore[misc]
    """Decodes the images on request."""

    def __init__(self, task: Task) -> None:
        self._images = task.images
        self.rewind()

    def get_next(self) -> dict[str, Any] | None:
        """The next image, None after the last."""
        batch = next(self._batches, None)
        return None if batch is None else {"images": batch}

    def get_first(self) -> dict[str, Any]:
        """The first image, for its shape."""
        return {"images": next(batches(self._images))}

    def rewind(self) -> None:
        """Starts again at the first image."""
        self._batches = batches(self._images)


def run(task: Task) -> None:
    """Quantizes on the CPU, because the machine may have no GPU."""
    quantize(
        str(task.model),
        quantize_mode="int8",
        calibration_method=task.settings["method"],
        calibration_data_reader=Reader(task),
        calibration_eps=["cpu"],
        nodes_to_exclude=task.settings["exclude"],
        output_path=str(task.output),
        log_level="WARNING",
    )


if __name__ == "__main__":
    work(run, ["nvidia-modelopt", "onnxruntime-gpu", "onnx", "torch", "numpy"])
