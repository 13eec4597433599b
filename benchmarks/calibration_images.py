"""Measures INT8 error by number of calibration images: the curve of docs/measurements/calibration.md.

    python benchmarks/calibration_images.py CHECKPOINT ... --data FOLDER --plot FILE.svg

FOLDER: all or part of BreaKHis. For each number and each of three seeds, images are chosen as in `build-engine` from
the checkpoint's training images. The model is calibrated with default settings, and the INT8 model runs in OpenVINO on
the checkpoint's val and test images. `logit error`: mean difference from FP32 / mean FP32 logit.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from scoring import Scorer, run_openvino
from ssr_edge.cli.calibration_options import DEFAULT_METHOD
from ssr_export.folding.fold import fold
from ssr_export.image_sets import choose_images
from ssr_export.int8.calibrate import calibrate
from ssr_export.int8.quantize import quantize
from ssr_export.onnx.to_onnx import export_onnx
from ssr_train.data.breakhis import read
from ssr_train.training.checkpoint import load_checkpoint

COUNTS = (16, 32, 64, 128, 256)
SEEDS = range(3)


@dataclass(frozen=True)
class Point:
    """Results of all seeds at one number of images: logit errors and label agreement with FP32."""

    count: int
    errors: list[float]
    agreements: list[float]

    def row(self) -> str:
        """Row of the Markdown table."""
        low, middle, high = np.quantile(self.errors, [0, 0.5, 1])
        return (
            f"| {self.count} | {middle:.4f} | {low:.4f} to {high:.4f} "
            f"| {np.median(self.agreements):.1%} | {min(self.agreements):.1%} |"
        )


def main() -> None:
    """Prints a table for each checkpoint and plots all of them in one figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", type=Path, nargs="+")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--plot", type=Path)
    asked = parser.parse_args()
    curves = {}
    for checkpoint in asked.checkpoints:
        name, points = measure_curve(checkpoint, asked.data)
        curves[name] = points
    if asked.plot:
        plot(curves, asked.plot)


def measure_curve(checkpoint: Path, data: Path) -> tuple[str, list[Point]]:
    """Returns the architecture's name and its curve; prints each row when it is ready."""
    network, card = load_checkpoint(checkpoint)
    records, split = read(data, card.magnification), card.to_split()
    training = [(record.label, record.path) for record in split.select(records, "train")]
    held_out = split.select(records, "val") + split.select(records, "test")
    print(f"\n{card.arch['name']}, {len(held_out)} held-out images\n")
    print("| images | logit error, median | range over three seeds | labels equal to FP32, median | worst |")
    print("|---|---|---|---|---|")
    points = []
    with tempfile.TemporaryDirectory() as scratch:
        fp32, int8 = Path(scratch) / "fp32.onnx", Path(scratch) / "int8.onnx"
        export_onnx(fold(network).float(), fp32)
        model, scorer = onnx.load(fp32), Scorer.from_model([record.path for record in held_out], fp32)
        for count in COUNTS:
            point = Point(count, [], [])
            for seed in SEEDS:
                chosen = choose_images(training, seed, count)
                calibration = calibrate(fp32, chosen, DEFAULT_METHOD, correct_bias=True)
                onnx.save(quantize(model, calibration.ranges, bias_errors=calibration.bias_errors), int8)
                found = scorer.score(run_openvino(int8, scorer.images))
                point.errors.append(found.logit_error)
                point.agreements.append(found.agreement)
            print(point.row(), flush=True)
            points.append(point)
    return card.arch["name"], points


def plot(curves: Mapping[str, Sequence[Point]], file: Path) -> None:
    """Plots median and range of the logit error against the number of images (log scale)."""
    import matplotlib.pyplot as plt
    from matplotlib.ticker import PercentFormatter

    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for name, points in curves.items():
        counts = [point.count for point in points]
        (line,) = axes.plot(counts, [np.median(point.errors) for point in points], "o-", label=name)
        low, high = ([f(point.errors) for point in points] for f in (min, max))
        axes.fill_between(counts, low, high, alpha=0.2, color=line.get_color(), linewidth=0)
    axes.set_xscale("log", base=2)
    axes.set_xticks(COUNTS, [str(count) for count in COUNTS])
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=2))
    axes.set_xlabel("calibration images")
    axes.set_ylabel("mean logit error, INT8 against FP32")
    axes.grid(True, alpha=0.3)
    axes.legend()
    figure.savefig(file)


if __name__ == "__main__":
    main()
