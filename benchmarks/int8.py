"""Compares our INT8 with other quantizers on the same FP32 file and images: the table of docs/measurements/int8.md.

    python benchmarks/int8.py ssr_edge/demo/weights.safetensors --data FOLDER

FOLDER: all or part of BreaKHis. Calibrates on the checkpoint's training images, evaluates on its val and test images.
Each quantizer runs in its own process; those with conflicting dependencies in a virtual environment below
--environments (created with pip if missing, about 10 GB). All decode the same files and use their default number of
threads.

labels: fraction equal to FP32's. logit error: mean difference from FP32 / mean FP32 logit. OpenVINO ms: batch 1,
median, the models in turns. seconds: the whole call including decoding and writing, without imports. CPU s: CPU time of
all threads. MB: peak memory of the process.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, get_args

import numpy as np
import onnx

from quantizers.process import Quantizer, QuantizerFailed
from scoring import Scorer, Scores, image_sets, run_openvino
from ssr_edge.cli.calibration_options import DEFAULT_METHOD
from ssr_edge.common.errors import BuildError, InputError, RuntimeUnavailable
from ssr_edge.images.preprocess import Image, load
from ssr_edge.machine.environment import machine_facts
from ssr_edge.runners.openvino.core import openvino_core
from ssr_edge.runners.openvino.runner import compile_options
from ssr_edge.runners.tensorrt.engine import import_tensorrt
from ssr_export.engines.tensorrt_builder import TensorRtOptions, build_tensorrt
from ssr_export.folding.fold import fold
from ssr_export.int8.ranges import Method
from ssr_export.onnx.qdq_rules import check_qdq
from ssr_export.onnx.to_onnx import export_onnx
from ssr_train.training.checkpoint import load_checkpoint

ROUNDS, WARM_UP = 60, 5
FP32 = "FP32"

OURS, EQUALIZED = Quantizer("with_ours"), Quantizer("with_ours_equalized")
ORT = Quantizer("with_onnxruntime")  # installed in our own environment
NNCF, MODELOPT = Quantizer("with_nncf", "nncf"), Quantizer("with_modelopt", "modelopt")


@dataclass(frozen=True)
class Row:
    """Row of the table. settings: for the quantizer's module, where they are documented."""

    name: str
    quantizer: Quantizer
    settings: dict[str, Any]
    suffix: str = ".onnx"


@dataclass
class Result:
    """Results of a row; None where not available. failed: why the quantizer produced no usable model."""

    name: str
    failed: str | None = None
    scores: Scores | None = None
    openvino_ms: float | None = None
    seconds: float | None = None
    cpu_seconds: float | None = None
    peak_rss_mb: float | None = None
    our_check: str = ""
    tensorrt_rtx: str = ""
    versions: dict[str, str] = field(default_factory=dict)


def _ours(method: str, correct_bias: bool = True) -> Row:
    suffix = "" if correct_bias else ", no bias correction"
    return Row(f"ours, {method}{suffix}", OURS, {"method": method, "correct_bias": correct_bias})


def _equalized(checkpoint: Path) -> Row:
    asked = {"method": DEFAULT_METHOD, "correct_bias": True, "checkpoint": str(checkpoint)}
    return Row(f"ours, {DEFAULT_METHOD}, equalized", EQUALIZED, asked)


def _ort(method: str, *, symmetric: bool = True, same_operators: bool = False) -> Row:
    variant = "as ours" if same_operators else "int8 symmetric" if symmetric else "defaults"
    asked = {
        "method": method,
        "symmetric": symmetric,
        "operators": ["Conv", "Add"] if same_operators else [],
        "exclude": [".attention."] if same_operators else [],
    }
    return Row(f"ONNX Runtime {method}, {variant}", ORT, asked)


def _nncf(backend: str, *, exclude: bool = False) -> Row:
    left_out = [r".*\.attention\..*", ".*classifier.*"] if exclude else []
    name = f"NNCF {'ONNX' if backend == 'onnx' else 'OpenVINO'}, {'as ours' if exclude else 'defaults'}"
    return Row(name, NNCF, {"backend": backend, "exclude": left_out}, ".onnx" if backend == "onnx" else ".xml")


def _modelopt(method: str, *, exclude: bool = False) -> Row:
    left_out = [r".*\.attention\..*", "classifier"] if exclude else []
    variant = ", as ours" if exclude else ", defaults" if method == "entropy" else ""
    return Row(f"ModelOpt {method}{variant}", MODELOPT, {"method": method, "exclude": left_out})


def rows(checkpoint: Path) -> list[Row]:
    """All rows, the defaults of `build-engine` first. `as ours`: attention and classifier also stay in FP32."""
    return [
        *(_ours(method) for method in sorted(get_args(Method), key=lambda method: method != DEFAULT_METHOD)),
        _ours(DEFAULT_METHOD, correct_bias=False),
        _equalized(checkpoint),
        _ort("MinMax", symmetric=False),
        *(_ort(method) for method in ("MinMax", "Entropy", "Percentile", "Distribution")),
        *(_ort(method, same_operators=True) for method in ("MinMax", "Percentile")),
        _nncf("onnx"),
        _nncf("onnx", exclude=True),
        _nncf("openvino"),
        _modelopt("entropy"),
        _modelopt("max"),
        _modelopt("max", exclude=True),
    ]


def main() -> None:
    """Prints each row when it is done (stderr), then the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--data", type=Path, help="BreaKHis; default: the images next to the checkpoint")
    parser.add_argument("--images", type=int, default=128, help="largest number of calibration images")
    parser.add_argument(
        "--only", nargs="+", metavar="TEXT", help="only rows whose name contains one of these, such as 'NNCF'"
    )
    parser.add_argument("--environments", type=Path, default=Path.home() / ".cache" / "ssr-edge-benchmarks")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all results to this file")
    asked = parser.parse_args()
    network, card = load_checkpoint(asked.checkpoint)
    sets = image_sets(asked.checkpoint, card, asked.data)
    calibration = _readable(sets.calibration)[: asked.images]
    chosen = [row for row in rows(asked.checkpoint.absolute()) if asked.only is None or _matches(row.name, asked.only)]
    with tempfile.TemporaryDirectory() as scratch:
        fp32 = Path(scratch) / "fp32.onnx"
        export_onnx(fold(network).float(), fp32)
        scorer = Scorer.from_model(_readable(sets.held_out), fp32)
        models = {FP32: fp32}
        results: list[Result] = []
        for row in chosen:
            output = Path(scratch) / f"{len(results)}{row.suffix}"
            results.append(quantize(row, fp32, output, calibration, asked.environments))
            if results[-1].failed is None:
                evaluate_row(results[-1], output, scorer)
            if results[-1].failed is None:
                models[row.name] = output
            print(line(results[-1]), file=sys.stderr, flush=True)
        times = openvino_ms(models, scorer.images)
    for result in results:
        result.openvino_ms = times.get(result.name)
    facts = {
        "checkpoint": str(asked.checkpoint),
        "calibration_images": len(calibration),
        "held_out_images": len(scorer.images),
        "fp32": {"macro_f1": scorer.fp32_macro_f1, "openvino_ms": times[FP32]},
    }
    if asked.json is not None:
        found = {"machine": machine_facts(), **facts, "rows": [asdict(result) for result in results]}
        asked.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(f"{len(calibration)} calibration images, {len(scorer.images)} held-out images, FP32 macro-F1 ", end="")
    print(f"{scorer.fp32_macro_f1:.3f}, OpenVINO FP32 {times[FP32]:.2f} ms\n")
    print("| quantizer | macro-F1 | labels | logit error | OpenVINO ms | seconds | CPU s | MB | our check ", end="")
    print("| TensorRT for RTX |")
    print("|---" * 10 + "|")
    print("\n".join(line(result) for result in results))


def quantize(row: Row, fp32: Path, output: Path, calibration: list[Path], environments: Path) -> Result:
    """Runs a row's quantizer, which writes `output`. A failure is recorded and does not stop the other rows."""
    task = {
        "model": str(fp32),
        "output": str(output),
        "images": [str(path.absolute()) for path in calibration],
        "settings": row.settings,
    }
    print(f"{row.name} ...", file=sys.stderr, flush=True)
    try:
        return Result(row.name, **row.quantizer.run(task, environments))
    except QuantizerFailed as failure:
        return Result(row.name, failed=str(failure))


def evaluate_row(result: Result, model: Path, scorer: Scorer) -> None:
    """Adds accuracy and compatibility of the model to a result."""
    try:
        result.scores = scorer.score(run_openvino(model, scorer.images))
    except RuntimeError as error:
        result.failed = f"OpenVINO refuses its model: {str(error).strip().splitlines()[-1]}"
    if model.suffix == ".onnx":
        result.our_check, result.tensorrt_rtx = our_check(model), tensorrt_rtx(model)
    else:
        result.our_check = result.tensorrt_rtx = "no ONNX"


def our_check(model: Path) -> str:
    """Result of the check that `build-engine` runs before building: `passes`, or the reason for refusal."""
    try:
        check_qdq(onnx.load(model))
    except BuildError as refusal:
        return f"refused: {refusal.found}"
    return "passes"


def tensorrt_rtx(model: Path) -> str:
    """Whether TensorRT for RTX builds the file as written, without our check. A build needs no GPU."""
    try:
        build_tensorrt(
            import_tensorrt("tensorrt-rtx"), model.read_bytes(), TensorRtOptions(), lambda _: None, lambda *_: None
        )
    except (BuildError, RuntimeUnavailable) as refusal:
        return f"no: {refusal.found}"
    # TensorRT accepts uint8 activations with only a warning (docs/precision.md).
    return "builds, computes wrong (uint8)" if _has_uint8(model) else "builds"


def _has_uint8(model: Path) -> bool:
    graph = onnx.load(model).graph
    zero_points = {node.input[2] for node in graph.node if node.op_type == "QuantizeLinear" and len(node.input) > 2}
    return any(tensor.data_type == onnx.TensorProto.UINT8 for tensor in graph.initializer if tensor.name in zero_points)


def openvino_ms(models: Mapping[str, Path], images: Image) -> dict[str, float]:
    """Median milliseconds per image for each model: one process, random order, one call at a time."""
    core, order = openvino_core(), random.Random(0)
    requests = {
        name: core.compile_model(str(model), "CPU", compile_options("int8")).create_infer_request()
        for name, model in models.items()
    }
    times: dict[str, list[float]] = {name: [] for name in models}
    for turn in range(WARM_UP + ROUNDS):
        image = images[turn % len(images)][None]
        for name in order.sample(list(models), len(models)):
            # Not timed: the first call after another model starts with cold caches.
            requests[name].infer({0: image})
            started = time.perf_counter()
            requests[name].infer({0: image})
            if turn >= WARM_UP:
                times[name].append((time.perf_counter() - started) * 1e3)
    return {name: float(np.median(taken)) for name, taken in times.items()}


def line(result: Result) -> str:
    """Row of the Markdown table for a result."""
    if result.failed is not None or result.scores is None:
        return f"| {result.name} | failed: {_cell(result.failed or '')} | | | | | | | | |"
    found = result.scores
    cells = [
        result.name,
        f"{found.macro_f1:.3f}",
        f"{found.agreement:.1%}",
        f"{found.logit_error:.4f}",
        _number(result.openvino_ms, 2),
        _number(result.seconds, 1),
        _number(result.cpu_seconds, 1),
        _number(result.peak_rss_mb, 0),
        _shortened(result.our_check),
        _shortened(result.tensorrt_rtx),
    ]
    return f"| {' | '.join(cells)} |"


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _cell(text: str, longest: int = 120) -> str:
    text = text.replace("|", "/").replace("\n", " ")
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _shortened(verdict: str) -> str:
    """A verdict without the node's name and the text after the reason."""
    rule = re.match(r"refused: node '[^']*' ([^:]*)", verdict)
    usage = re.search(r"API Usage Error \([^:]*: ([^.]*)", verdict)
    if rule is not None:
        return f"refused: {_cell(rule[1])}"
    return f"no: {_cell(usage[1])}" if usage is not None else _cell(verdict)


def _matches(name: str, texts: list[str]) -> bool:
    return any(text.lower() in name.lower() for text in texts)


def _readable(paths: list[Path]) -> list[Path]:
    """The files that can be decoded. Only our quantizer skips unreadable ones."""
    found = []
    for path in paths:
        try:
            load(path)
        except InputError:
            continue
        found.append(path)
    return found


if __name__ == "__main__":
    main()
