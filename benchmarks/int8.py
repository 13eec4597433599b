"""Our INT8 against the field's quantizers, from the same FP32 file and images: the table of docs/measurements/int8.md.

    python benchmarks/int8.py ssr_edge/demo/weights.safetensors --data FOLDER

FOLDER: BreaKHis, whole or in part. Calibrates on images that the checkpoint was trained on, judges on its val and test
images. Each quantizer runs in a process of its own, peers with clashing pins in a virtual environment below
--environments (made with pip when missing, about 10 GB). Each decodes the same files and takes the threads it takes by
default.

labels: share that are FP32's. logit error: mean difference from FP32 over the mean FP32 logit. OpenVINO ms: batch 1,
median, the models in turns. seconds: the whole call, decoding and writing included, imports not. CPU s: the
same of all its threads. MB: that process's peak.
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

from judge import Figures, Judge, image_sets, run_openvino
from quantizers.process import Quantizer, QuantizerFailed
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
ORT = Quantizer("with_onnxruntime")  # our own environment has it
NNCF, MODELOPT = Quantizer("with_nncf", "nncf"), Quantizer("with_modelopt", "modelopt")


@dataclass(frozen=True)
class Row:
    """A line of the table. settings: for the quantizer's module, which says what they mean."""

    name: str
    quantizer: Quantizer
    settings: dict[str, Any]
    suffix: str = ".onnx"


@dataclass
class Result:
    """What is known of a row; None is what could not be had. failed: why the quantizer gave no model that runs."""

    name: str
    failed: str | None = None
    figures: Figures | None = None
    openvino_ms: float | None = None
    seconds: float | None = None
    cpu_seconds: float | None = None
    peak_rss_mb: float | None = None
    our_check: str = ""
    tensorrt_rtx: str = ""
    versions: dict[str, str] = field(default_factory=dict)


def _ours(method: str, correct_bias: bool = True) -> Row:
    words = "" if correct_bias else ", biases as they are"
    return Row(f"ours, {method}{words}", OURS, {"method": method, "correct_bias": correct_bias})


def _equalized(checkpoint: Path) -> Row:
    asked = {"method": DEFAULT_METHOD, "correct_bias": True, "checkpoint": str(checkpoint)}
    return Row(f"ours, {DEFAULT_METHOD}, equalized", EQUALIZED, asked)


def _ort(method: str, *, symmetric: bool = True, same_operators: bool = False) -> Row:
    words = "as ours" if same_operators else "int8 symmetric" if symmetric else "defaults"
    asked = {
        "method": method,
        "symmetric": symmetric,
        "operators": ["Conv", "Add"] if same_operators else [],
        "exclude": [".attention."] if same_operators else [],
    }
    return Row(f"ONNX Runtime {method}, {words}", ORT, asked)


def _nncf(backend: str, *, exclude: bool = False) -> Row:
    left_out = [r".*\.attention\..*", ".*classifier.*"] if exclude else []
    name = f"NNCF {'ONNX' if backend == 'onnx' else 'OpenVINO'}, {'as ours' if exclude else 'defaults'}"
    return Row(name, NNCF, {"backend": backend, "exclude": left_out}, ".onnx" if backend == "onnx" else ".xml")


def _modelopt(method: str, *, exclude: bool = False) -> Row:
    left_out = [r".*\.attention\..*", "classifier"] if exclude else []
    words = ", as ours" if exclude else ", defaults" if method == "entropy" else ""
    return Row(f"ModelOpt {method}{words}", MODELOPT, {"method": method, "exclude": left_out})


def rows(checkpoint: Path) -> list[Row]:
    """The lines, `build-engine`'s defaults first. `as ours`: attention and classifier stay in floating point too."""
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
    """Prints each row's quantizer as it ends, then the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--data", type=Path, help="BreaKHis; default: the images beside the checkpoint")
    parser.add_argument("--images", type=int, default=128, help="to calibrate with, at most")
    parser.add_argument("--only", nargs="+", metavar="WORDS", help="rows whose name has these words, such as 'NNCF'")
    parser.add_argument("--environments", type=Path, default=Path.home() / ".cache" / "ssr-edge-benchmarks")
    parser.add_argument("--json", type=Path, metavar="FILE", help="writes all that was found there, too")
    asked = parser.parse_args()
    network, card = load_checkpoint(asked.checkpoint)
    sets = image_sets(asked.checkpoint, card, asked.data)
    calibration = _readable(sets.calibration)[: asked.images]
    chosen = [row for row in rows(asked.checkpoint.absolute()) if asked.only is None or _has(row.name, asked.only)]
    with tempfile.TemporaryDirectory() as scratch:
        fp32 = Path(scratch) / "fp32.onnx"
        export_onnx(fold(network).float(), fp32)
        judge = Judge.of(_readable(sets.held_out), fp32)
        models = {FP32: fp32}
        results: list[Result] = []
        for row in chosen:
            output = Path(scratch) / f"{len(results)}{row.suffix}"
            results.append(quantize(row, fp32, output, calibration, asked.environments))
            if results[-1].failed is None:
                evaluate_row(results[-1], output, judge)
            if results[-1].failed is None:
                models[row.name] = output
            print(line(results[-1]), file=sys.stderr, flush=True)
        times = openvino_ms(models, judge.images)
    for result in results:
        result.openvino_ms = times.get(result.name)
    facts = {
        "checkpoint": str(asked.checkpoint),
        "calibration_images": len(calibration),
        "held_out_images": len(judge.images),
        "fp32": {"macro_f1": judge.fp32_macro_f1, "openvino_ms": times[FP32]},
    }
    if asked.json is not None:
        found = {"machine": machine_facts(), **facts, "rows": [asdict(result) for result in results]}
        asked.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    print(f"{len(calibration)} calibration images, {len(judge.images)} held-out images, FP32 macro-F1 ", end="")
    print(f"{judge.fp32_macro_f1:.3f}, OpenVINO FP32 {times[FP32]:.2f} ms\n")
    print("| quantizer | macro-F1 | labels | logit error | OpenVINO ms | seconds | CPU s | MB | our check ", end="")
    print("| TensorRT for RTX |")
    print("|---" * 10 + "|")
    print("\n".join(line(result) for result in results))


def quantize(row: Row, fp32: Path, output: Path, calibration: list[Path], environments: Path) -> Result:
    """Has a row's quantizer write `output`; one that fails costs its own row."""
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


def evaluate_row(result: Result, model: Path, judge: Judge) -> None:
    """Adds what the model is worth to a result."""
    try:
        result.figures = judge.figures(run_openvino(model, judge.images))
    except RuntimeError as error:
        result.failed = f"OpenVINO refuses its model: {str(error).strip().splitlines()[-1]}"
    if model.suffix == ".onnx":
        result.our_check, result.tensorrt_rtx = our_check(model), tensorrt_rtx(model)
    else:
        result.our_check = result.tensorrt_rtx = "no ONNX"


def our_check(model: Path) -> str:
    """What `build-engine` says of the file before it builds: passes, or the reason."""
    try:
        check_qdq(onnx.load(model))
    except BuildError as refusal:
        return f"refused: {refusal.found}"
    return "passes"


def tensorrt_rtx(model: Path) -> str:
    """What TensorRT for RTX makes of the file as it is written, without our check: a build needs no GPU."""
    try:
        build_tensorrt(
            import_tensorrt("tensorrt-rtx"), model.read_bytes(), TensorRtOptions(), lambda _: None, lambda *_: None
        )
    except (BuildError, RuntimeUnavailable) as refusal:
        return f"no: {refusal.found}"
    # TensorRT takes uint8 activations with a warning only (docs/precision.md).
    return "builds, computes wrong (uint8)" if _has_uint8(model) else "builds"


def _has_uint8(model: Path) -> bool:
    graph = onnx.load(model).graph
    zero_points = {node.input[2] for node in graph.node if node.op_type == "QuantizeLinear" and len(node.input) > 2}
    return any(tensor.data_type == onnx.TensorProto.UINT8 for tensor in graph.initializer if tensor.name in zero_points)


def openvino_ms(models: Mapping[str, Path], images: Image) -> dict[str, float]:
    """Median milliseconds of one image for each model, all in one process in random turns, one at a time."""
    core, order = openvino_core(), random.Random(0)
    requests = {
        name: core.compile_model(str(model), "CPU", compile_options("int8")).create_infer_request()
        for name, model in models.items()
    }
    times: dict[str, list[float]] = {name: [] for name in models}
    for turn in range(WARM_UP + ROUNDS):
        image = images[turn % len(images)][None]
        for name in order.sample(list(models), len(models)):
            # The first call after another model finds cold caches: it is not timed.
            requests[name].infer({0: image})
            started = time.perf_counter()
            requests[name].infer({0: image})
            if turn >= WARM_UP:
                times[name].append((time.perf_counter() - started) * 1e3)
    return {name: float(np.median(taken)) for name, taken in times.items()}


def line(result: Result) -> str:
    """A result as a line of the table."""
    if result.failed is not None or result.figures is None:
        return f"| {result.name} | failed: {_cell(result.failed or '')} | | | | | | | | |"
    found = result.figures
    cells = [
        result.name,
        f"{found.macro_f1:.3f}",
        f"{found.agreement:.1%}",
        f"{found.logit_error:.4f}",
        _number(result.openvino_ms, 2),
        _number(result.seconds, 1),
        _number(result.cpu_seconds, 1),
        _number(result.peak_rss_mb, 0),
        _few_words(result.our_check),
        _few_words(result.tensorrt_rtx),
    ]
    return f"| {' | '.join(cells)} |"


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _cell(text: str, longest: int = 120) -> str:
    text = text.replace("|", "/").replace("\n", " ")
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _few_words(verdict: str) -> str:
    """A verdict without the node's name and what follows the reason."""
    rule = re.match(r"refused: node '[^']*' ([^:]*)", verdict)
    usage = re.search(r"API Usage Error \([^:]*: ([^.]*)", verdict)
    if rule is not None:
        return f"refused: {_cell(rule[1])}"
    return f"no: {_cell(usage[1])}" if usage is not None else _cell(verdict)


def _has(name: str, words: list[str]) -> bool:
    return any(word.lower() in name.lower() for word in words)


def _readable(paths: list[Path]) -> list[Path]:
    """Those that every quantizer can decode, because none but ours passes an unreadable one over."""
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
