"""The gate: runs a built engine on held-out images beside the FP32 model and refuses one that lost too much."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ssr_edge.breakhis import CLASSES, parse_name
from ssr_edge.bundle import Bundle
from ssr_edge.errors import GateRefused, InputError
from ssr_edge.manifest import EngineEntry, GateResult
from ssr_edge.metrics import measure
from ssr_edge.preprocess import Image, load
from ssr_edge.runners import Outputs, Runner, open_runner

MACRO_F1_DROP = 0.01
AGREEMENT = 0.98
_BATCH = 8


def gate(bundle: Bundle, engine: EngineEntry, held_out: Sequence[Path], allow_drop: bool) -> GateResult:
    """Compares an engine of `bundle` with its FP32 ONNX file in ONNX Runtime, a runtime of its own.

    held_out: image files that nothing was trained or calibrated on; labels come from BreaKHis names. Where not every
    image has one, the gate judges by agreement alone.

    Raises:
        GateRefused: macro-F1 fell by more than MACRO_F1_DROP, or fewer than AGREEMENT of the labels agree, and
            `allow_drop` was not said.
    """
    images, truth = _read(held_out)
    with open_runner(bundle, "onnxruntime", "fp32") as runner:
        expected = _run(runner, images)
    with open_runner(bundle, engine.runtime, engine.precision) as runner:
        found = _run(runner, images)
    predicted, reference = found.logits.argmax(axis=1), expected.logits.argmax(axis=1)
    agreement = float((predicted == reference).mean())
    f1 = f1_fp32 = None
    if truth is not None:
        f1, f1_fp32 = measure(truth, predicted).macro_f1, measure(truth, reference).macro_f1
    passed = agreement >= AGREEMENT and (f1 is None or f1_fp32 is None or f1 >= f1_fp32 - MACRO_F1_DROP)
    result = GateResult(
        images=len(images),
        labelled=truth is not None,
        agreement=agreement,
        macro_f1=f1,
        macro_f1_fp32=f1_fp32,
        max_probability_difference=float(np.abs(found.probabilities - expected.probabilities).max()),
        passed=passed,
        allowed_drop=allow_drop and not passed,
    )
    if not passed and not allow_drop:
        raise _refused(engine, result)
    return result


def describe(result: GateResult) -> str:
    """One line in words, e.g. `98.9 % of 90 labels agree with FP32, macro-F1 0.861 against 0.865`."""
    line = f"{result.agreement:.1%} of {result.images} labels agree with FP32"
    if result.macro_f1 is not None:
        return f"{line}, macro-F1 {result.macro_f1:.3f} against {result.macro_f1_fp32:.3f}"
    return line + " (no labels, so agreement alone was judged)"


def _read(paths: Sequence[Path]) -> tuple[Image, list[int] | None]:
    images, truth = [], []
    for path in paths:
        try:
            images.append(load(path))
        except InputError:
            continue
        name = parse_name(path)
        truth.append(CLASSES.index(name.label) if name else -1)
    if not images:
        raise GateRefused(
            f"none of the {len(paths)} held-out images can be read",
            expected="images that the engine can be judged on",
            next_step="ssr-edge build-engine --calibration-images FOLDER",
        )
    return np.stack(images), truth if min(truth) >= 0 else None


def _run(runner: Runner, images: Image) -> Outputs:
    batches = [runner.infer(images[start : start + _BATCH]) for start in range(0, len(images), _BATCH)]
    return Outputs(
        np.concatenate([batch.logits for batch in batches]), np.concatenate([batch.probabilities for batch in batches])
    )


def _refused(engine: EngineEntry, result: GateResult) -> GateRefused:
    return GateRefused(
        f"{engine.runtime} {engine.precision} lost too much: {describe(result)}",
        expected=f"at least {AGREEMENT:.0%} agreement and a macro-F1 at most {MACRO_F1_DROP} lower",
        next_step="ssr-edge build-engine --equalise --correct-bias, or more --calibration-images; "
        "--allow-drop ships it anyway",
    )
