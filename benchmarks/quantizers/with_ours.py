"""ssr-edge's own calibration and Q/DQ writer. Settings: method; correct_bias."""

from __future__ import annotations

import onnx
import onnxruntime  # noqa: F401 (calibrate imports it lazily; imports of the other quantizers are not timed either)

from quantizers.worker import Task, work
from ssr_export.int8.calibrate import calibrate
from ssr_export.int8.quantize import quantize


def run(task: Task) -> None:
    """The steps of `ssr-edge build-engine` from the FP32 to the INT8 file."""
    method, correct_bias = task.settings["method"], task.settings["correct_bias"]
    found = calibrate(task.model, task.images, method, correct_bias=correct_bias)
    onnx.save(quantize(onnx.load(task.model), found.ranges, bias_errors=found.bias_errors), task.output)


if __name__ == "__main__":
    work(run, ["ssr-edge", "onnxruntime", "onnx", "numpy"])
