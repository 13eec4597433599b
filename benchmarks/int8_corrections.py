"""What each remedy for folded ranges does to INT8's accuracy: the table of docs/measurements/corrections.md.

    python benchmarks/corrections.py ssr_edge/demo/weights.safetensors --data FOLDER

FOLDER: BreaKHis, whole or in part. Calibrates on images that the checkpoint was trained on, judges on its val and test
images. `logit error`: mean difference from FP32 over the mean FP32 logit. `check`: largest difference of OpenVINO's
logits from ONNX Runtime's on eight images, over the largest logit.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import get_args

import numpy as np
import onnx

from judge import BATCH, Judge, Logits, image_sets, run_openvino
from ssr_edge.images.preprocess import Image
from ssr_export.folding.equalize import equalize
from ssr_export.folding.fold import fold
from ssr_export.int8.calibrate import calibrate
from ssr_export.int8.quantize import quantize
from ssr_export.int8.ranges import Method
from ssr_export.models import normalized_batches
from ssr_export.onnx.to_onnx import export_onnx
from ssr_train.models.network import Network
from ssr_train.training.checkpoint import load_checkpoint


def main() -> None:
    """Prints the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--data", type=Path, help="BreaKHis; default: the images beside the checkpoint")
    parser.add_argument("--images", type=int, default=128, help="to calibrate with, at most")
    asked = parser.parse_args()
    network, card = load_checkpoint(asked.checkpoint)
    sets = image_sets(asked.checkpoint, card, asked.data)
    calibration = sets.calibration[: asked.images]
    folded = fold(network).float()
    networks = {"": folded, "equalized": equalize(folded, normalized_batches(calibration))}
    with tempfile.TemporaryDirectory() as scratch:
        print_table(networks, calibration, sets.held_out, Path(scratch))


def print_table(networks: dict[str, Network], calibration: list[Path], held_out: list[Path], scratch: Path) -> None:
    """One row for each network, method and choice of bias correction."""
    judge = None
    for correction, network in networks.items():
        fp32, int8 = scratch / f"{correction}.fp32.onnx", scratch / "int8.onnx"
        export_onnx(network, fp32)
        if judge is None:
            judge = Judge.of(held_out, fp32)
            print(f"{len(calibration)} calibration images, {len(held_out)} held-out images, ", end="")
            print(f"FP32 macro-F1 {judge.fp32_macro_f1:.3f}\n")
            print("| method and remedies | labels as FP32 | logit error | largest | macro-F1 | check |")
            print("|---|---|---|---|---|---|")
        for method in get_args(Method):
            found = calibrate(fp32, calibration, method, correct_bias=True)
            for correction in ("", "biases corrected"):
                corrections = found.bias_errors if correction else None
                onnx.save(quantize(onnx.load(fp32), found.ranges, bias_errors=corrections), int8)
                words = [method, correction, correction]
                print(row(", ".join(word for word in words if word), int8, judge), flush=True)


def row(name: str, model: Path, judge: Judge) -> str:
    """A line of the table for an INT8 model."""
    logits = run_openvino(model, judge.images)
    found = judge.figures(logits)
    check = np.abs(run_onnxruntime(model, judge.images[:BATCH]) - logits[:BATCH]).max() / np.abs(logits).max()
    return (
        f"| {name} | {found.agreement:.1%} | {found.logit_error:.4f} | {found.largest:.3f} | {found.macro_f1:.3f} "
        f"| {check:.4f} |"
    )


def run_onnxruntime(model: Path, images: Image) -> Logits:
    """Logits [n, 8] of an ONNX file, in another runtime on purpose."""
    from ssr_edge.runners.onnxruntime import import_onnxruntime

    onnxruntime = import_onnxruntime()

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["logits"], {"images": images})[0])


if __name__ == "__main__":
    main()
