"""ssr-edge's own quantizer with cross-layer equalization. Settings: those of `with_ours`; checkpoint.

Memory includes PyTorch, which equalization needs. Seconds include folding the checkpoint and writing its FP32 file.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from quantizers import with_ours
from quantizers.worker import Task, work
from ssr_export.folding.equalize import equalize
from ssr_export.folding.fold import fold
from ssr_export.models import normalized_batches
from ssr_export.onnx.to_onnx import export_onnx
from ssr_train.training.checkpoint import load_checkpoint


def run(task: Task) -> None:
    """The steps of `ssr-edge build-engine --equalize`."""
    network, _ = load_checkpoint(Path(task.settings["checkpoint"]))
    fp32 = task.output.with_suffix(".fp32.onnx")
    export_onnx(equalize(fold(network).float(), normalized_batches(task.images)), fp32)
    with_ours.run(replace(task, model=fp32))


if __name__ == "__main__":
    work(run, ["ssr-edge", "onnxruntime", "onnx", "torch", "numpy"])
