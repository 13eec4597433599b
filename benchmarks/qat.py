"""Measures INT8 accuracy before and after quantization-aware training: the table of docs/precision.md.

    python benchmarks/qat.py ORIGINAL FINE_TUNED --data FOLDER

FOLDER: all or part of BreaKHis. Calibrates with the defaults of `build-engine` on the checkpoints' training images,
evaluates on val and test images in OpenVINO. `logit error`: mean difference between INT8 and the same checkpoint's FP32
/ mean FP32 logit.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import onnx

from scoring import Logits, run_openvino, true_classes
from ssr_edge.evaluation.metrics import measure
from ssr_edge.images.preprocess import Image, load
from ssr_export.folding.equalize import equalize
from ssr_export.folding.fold import fold
from ssr_export.image_sets import image_sets_of_split
from ssr_export.int8.calibrate import calibrate
from ssr_export.int8.quantize import quantize
from ssr_export.models import normalized_batches
from ssr_export.onnx.to_onnx import export_onnx
from ssr_train.training.checkpoint import load_checkpoint


def main() -> None:
    """Prints the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("original", type=Path)
    parser.add_argument("fine_tuned", type=Path, nargs="*")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--equalize", action="store_true", help="equalize each checkpoint before calibration")
    asked = parser.parse_args()
    held_out = image_sets_of_split(asked.data, load_checkpoint(asked.original)[1]).held_out
    images = np.stack([load(path) for path in held_out])
    truth = true_classes(held_out)
    print(f"{len(images)} held-out images\n")
    print(
        "| checkpoint | FP32 macro-F1 | INT8 macro-F1 | INT8 labels equal to own FP32 | to original's | logit error |"
    )
    print("|---|---|---|---|---|---|")
    original = None
    for checkpoint in (asked.original, *asked.fine_tuned):
        exact, found = _both_logits(checkpoint, asked.data, images, asked.equalize)
        original = exact if original is None else original
        label = found.argmax(1)
        print(
            f"| {checkpoint} | {measure(truth, exact.argmax(1)).macro_f1:.3f} | {measure(truth, label).macro_f1:.3f} "
            f"| {(label == exact.argmax(1)).mean():.1%} | {(label == original.argmax(1)).mean():.1%} "
            f"| {np.abs(found - exact).mean() / np.abs(exact).mean():.4f} |",
            flush=True,
        )


def _both_logits(checkpoint: Path, data: Path, images: Image, equalized: bool) -> tuple[Logits, Logits]:
    """Logits [n, 8] of FP32 and of INT8."""
    network, card = load_checkpoint(checkpoint)
    with tempfile.TemporaryDirectory() as scratch:
        fp32, int8 = Path(scratch) / "fp32.onnx", Path(scratch) / "int8.onnx"
        folded, calibration = fold(network).float(), image_sets_of_split(data, card).calibration
        export_onnx(equalize(folded, normalized_batches(calibration)) if equalized else folded, fp32)
        found = calibrate(fp32, calibration, "mse", correct_bias=True)
        onnx.save(quantize(onnx.load(fp32), found.ranges, bias_errors=found.bias_errors), int8)
        return run_openvino(fp32, images), run_openvino(int8, images)


if __name__ == "__main__":
    main()
