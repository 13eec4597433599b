"""Measures INT8 accuracy with each correction: the table of docs/measurements/int8_corrections.md.

    python benchmarks/int8_corrections.py ssr_edge/demo/weights.safetensors --data FOLDER

FOLDER: all or part of BreaKHis. Calibrates on the checkpoint's training images, evaluates on its val and test images.
`logit error`: mean difference from FP32 / mean FP32 logit. `check`: largest difference between the logits of OpenVINO
and ONNX Runtime on eight images / largest logit.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import get_args

import numpy as np
import onnx

from scoring import BATCH, Logits, Scorer, image_sets, run_openvino
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
    parser.add_argument("--data", type=Path, help="BreaKHis; default: the images next to the checkpoint")
    parser.add_argument("--images", type=int, default=128, help="largest number of calibration images")
    asked = parser.parse_args()
    network, card = load_checkpoint(asked.checkpoint)
    sets = image_sets(asked.checkpoint, card, asked.data)
    calibration = sets.calibration[: asked.images]
    folded = fold(network).float()
    networks = {"": folded, "equalized": equalize(folded, normalized_batches(calibration))}
    with tempfile.TemporaryDirectory() as scratch:
        print_table(networks, calibration, sets.held_out, Path(scratch))


def print_table(networks: dict[str, Network], calibration: list[Path], held_out: list[Path], scratch: Path) -> None:
    """Prints one row for each network, range method and choice of bias correction."""
    scorer = None
    for equalization, network in networks.items():
        fp32, int8 = scratch / f"{equalization}.fp32.onnx", scratch / "int8.onnx"
        export_onnx(network, fp32)
        if scorer is None:
            scorer = Scorer.from_model(held_out, fp32)
            print(f"{len(calibration)} calibration images, {len(held_out)} held-out images, ", end="")
            print(f"FP32 macro-F1 {scorer.fp32_macro_f1:.3f}\n")
            print("| method and corrections | labels equal to FP32 | logit error | largest | macro-F1 | check |")
            print("|---|---|---|---|---|---|")
        for method in get_args(Method):
            found = calibrate(fp32, calibration, method, correct_bias=True)
            for correction in ("", "bias correction"):
                bias_errors = found.bias_errors if correction else None
                onnx.save(quantize(onnx.load(fp32), found.ranges, bias_errors=bias_errors), int8)
                settings = [method, equalization, correction]
                print(row(", ".join(filter(None, settings)), int8, scorer), flush=True)


def row(name: str, model: Path, scorer: Scorer) -> str:
    """Row of the table for an INT8 model."""
    logits = run_openvino(model, scorer.images)
    found = scorer.score(logits)
    check = np.abs(run_onnxruntime(model, scorer.images[:BATCH]) - logits[:BATCH]).max() / np.abs(logits).max()
    return (
        f"| {name} | {found.agreement:.1%} | {found.logit_error:.4f} | {found.largest:.3f} | {found.macro_f1:.3f} "
        f"| {check:.4f} |"
    )


def run_onnxruntime(model: Path, images: Image) -> Logits:
    """Logits [n, 8] of an ONNX file, deliberately from another runtime."""
    from ssr_edge.runners.onnxruntime import import_onnxruntime

    onnxruntime = import_onnxruntime()

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["logits"], {"images": images})[0])


if __name__ == "__main__":
    main()
