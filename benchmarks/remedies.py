"""What each remedy for folded ranges does to INT8's accuracy: the table of docs/measurements/remedies.md.

    python benchmarks/remedies.py ssr_edge/demo/weights.safetensors --data FOLDER

FOLDER: BreaKHis, whole or in part. Calibrates on images that the checkpoint was trained on, judges on its val and test
images. `logit error`: mean difference from FP32 over the mean FP32 logit. `check`: largest difference of OpenVINO's
logits from ONNX Runtime's on eight images, over the largest logit.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
import numpy.typing as npt
import onnx

from ssr_edge.breakhis import CLASSES, parse_name
from ssr_edge.metrics import measure
from ssr_edge.preprocess import Image, load
from ssr_edge.runners.openvino import compile_options, openvino_core
from ssr_export.calibrate import calibrate
from ssr_export.equalise import equalise
from ssr_export.fold import fold
from ssr_export.image_sets import find_image_sets
from ssr_export.models import normalised_batches
from ssr_export.onnx import export_onnx
from ssr_export.quantize import quantize
from ssr_export.ranges import Method
from ssr_train.checkpoint import load_checkpoint
from ssr_train.network import SSResNeXt

Logits = npt.NDArray[np.float32]
_BATCH = 8


@dataclass(frozen=True)
class Judge:
    """images: uint8 BGR [n, 224, 224, 3]. truth: class numbers. exact: FP32's logits [n, 8]."""

    images: Image
    truth: list[int]
    exact: Logits

    def row(self, name: str, model: Path) -> str:
        """A line of the table for an INT8 model."""
        found = run_openvino(model, self.images)
        label, exact_label = found.argmax(1), self.exact.argmax(1)
        scale, error = np.abs(self.exact), np.abs(found - self.exact)
        check = np.abs(run_onnxruntime(model, self.images[:_BATCH]) - found[:_BATCH]).max() / np.abs(found).max()
        return (
            f"| {name} | {(label == exact_label).mean():.1%} | {error.mean() / scale.mean():.4f} "
            f"| {error.max() / scale.max():.3f} | {measure(self.truth, label).macro_f1:.3f} | {check:.4f} |"
        )


def main() -> None:
    """Prints the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--data", type=Path, help="BreaKHis; default: the images beside the checkpoint")
    parser.add_argument("--images", type=int, default=128, help="to calibrate with, at most")
    asked = parser.parse_args()
    network, card = load_checkpoint(asked.checkpoint)
    if asked.data is not None:
        # Elsewhere than the checkpoint itself, so that its own split of the data is looked up.
        card = card.model_copy(update={"data": str(asked.data)})
    sets = find_image_sets(Path("/") if asked.data else asked.checkpoint, card, None)
    calibration = sets.calibration[: asked.images]
    folded = fold(network).float()
    networks = {"": folded, "equalised": equalise(folded, normalised_batches(calibration))}
    with tempfile.TemporaryDirectory() as scratch:
        print_table(networks, calibration, sets.held_out, Path(scratch))


def print_table(networks: dict[str, SSResNeXt], calibration: list[Path], held_out: list[Path], scratch: Path) -> None:
    """One row for each network, method and choice of bias correction."""
    images = np.stack([load(path) for path in held_out])
    names = [parse_name(path) for path in held_out]
    truth = [CLASSES.index(name.label) for name in names if name is not None]
    judge = None
    for remedy, network in networks.items():
        fp32, int8 = scratch / f"{remedy}.fp32.onnx", scratch / "int8.onnx"
        export_onnx(network, fp32)
        if judge is None:
            judge = Judge(images, truth, run_openvino(fp32, images))
            print(f"{len(calibration)} calibration images, {len(images)} held-out images, ", end="")
            print(f"FP32 macro-F1 {measure(truth, judge.exact.argmax(1)).macro_f1:.3f}\n")
            print("| method and remedies | labels as FP32 | logit error | largest | macro-F1 | check |")
            print("|---|---|---|---|---|---|")
        for method in get_args(Method):
            found = calibrate(fp32, calibration, method, correct_bias=True)
            for correction in ("", "biases corrected"):
                corrections = found.bias_errors if correction else None
                onnx.save(quantize(onnx.load(fp32), found.ranges, bias_errors=corrections), int8)
                words = [method, remedy, correction]
                print(judge.row(", ".join(word for word in words if word), int8), flush=True)


def run_openvino(model: Path, images: Image) -> Logits:
    """Logits [n, 8] of an ONNX file."""
    compiled = openvino_core().compile_model(str(model), "CPU", compile_options("int8"))
    batches = [compiled({0: images[start : start + _BATCH]}) for start in range(0, len(images), _BATCH)]
    return np.concatenate([np.array(batch["logits"]) for batch in batches])


def run_onnxruntime(model: Path, images: Image) -> Logits:
    """Logits [n, 8] of an ONNX file, in another runtime on purpose."""
    import onnxruntime

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["logits"], {"images": images})[0])


if __name__ == "__main__":
    main()
