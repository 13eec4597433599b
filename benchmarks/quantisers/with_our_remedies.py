"""ssr-edge's own with its remedies. Settings: method; equalise; correct_bias; checkpoint.

Both need PyTorch, which is in their memory; equalising folds the checkpoint and writes its FP32 file anew, which is in
the seconds.
"""

from __future__ import annotations

from pathlib import Path

import onnx
import onnxruntime  # noqa: F401 (as in with_ours)

from quantisers.worker import Task, work
from ssr_export.bias_correction import correct_biases
from ssr_export.calibrate import calibrate
from ssr_export.equalise import equalise
from ssr_export.fold import fold
from ssr_export.models import normalised_batches
from ssr_export.onnx import export_onnx
from ssr_export.quantize import quantize
from ssr_train.checkpoint import load_checkpoint


def quantise(task: Task) -> None:
    """As `ssr-edge build-engine --equalise --correct-bias` does."""
    fp32 = task.model
    if task.settings["equalise"]:
        network, _ = load_checkpoint(Path(task.settings["checkpoint"]))
        fp32 = task.output.with_suffix(".fp32.onnx")
        export_onnx(equalise(fold(network).float(), normalised_batches(task.images)), fp32)
    ranges = calibrate(fp32, task.images, task.settings["method"]).ranges
    model = quantize(onnx.load(fp32), ranges)
    if task.settings["correct_bias"]:
        correct_biases(fp32, model, ranges, task.images)
    onnx.save(model, task.output)


if __name__ == "__main__":
    work(quantise, ["ssr-edge", "onnxruntime", "onnx", "torch", "numpy"])
