"""The gate: compares a built engine with the FP32 model on held-out images; refuses one that lost too much accuracy.

docs/precision.md explains the rule.
"""

from __future__ import annotations

import getpass
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ssr_edge.breakhis.names import CLASSES, parse_name
from ssr_edge.bundle.bundle import Bundle
from ssr_edge.bundle.manifest import Drop, EngineEntry, GateResult
from ssr_edge.common.errors import GateRefused, InputError
from ssr_edge.evaluation.bootstrap import paired_drops, share_interval
from ssr_edge.images.preprocess import Image, load
from ssr_edge.runners.base import Outputs, Runner
from ssr_edge.runners.choose import open_runner

DROP = 0.01
AGREEMENT = 0.98
# Below this share an engine is refused however few images there are: with fewer than twenty, all labels must agree.
AGREEMENT_FLOOR = 0.95
_BATCH = 8


@dataclass(frozen=True)
class HeldOut:
    """Evaluation set. images: uint8 BGR [n, 224, 224, 3]. expected: the FP32 model's outputs for them.

    truth: class numbers [n], patients: [n]; both None unless every file name is a BreaKHis name.
    """

    images: Image
    truth: npt.NDArray[np.int64] | None
    patients: list[str] | None
    expected: Outputs


def read_held_out(bundle: Bundle, paths: Sequence[Path]) -> HeldOut:
    """Reads the images and runs the bundle's FP32 ONNX model on them with ONNX Runtime, as an independent reference.

    paths: image files not used for training or calibration; labels and patients come from BreaKHis names.

    Raises:
        GateRefused: none of the images can be read.
    """
    images, names = [], []
    for path in paths:
        try:
            images.append(load(path))
        except InputError:
            continue
        names.append(parse_name(path))
    if not images:
        raise GateRefused(
            f"none of the {len(paths)} held-out images can be read",
            expected="images to evaluate the engine on",
            next_step="ssr-edge build-engine --held-out FOLDER",
        )
    known = [name for name in names if name is not None]
    labeled = len(known) == len(names)
    stacked = np.stack(images)
    with open_runner(bundle, "onnxruntime", "fp32") as runner:
        expected = _run(runner, stacked)
    return HeldOut(
        images=stacked,
        truth=np.array([CLASSES.index(name.label) for name in known]) if labeled else None,
        patients=[name.patient for name in known] if labeled else None,
        expected=expected,
    )


def evaluate_engine(bundle: Bundle, engine: EngineEntry, held_out: HeldOut) -> GateResult:
    """Runs an engine of `bundle` on the held-out images; returns whether it passes, and the reasons if not."""
    with open_runner(bundle, engine.runtime, engine.precision) as runner:
        return evaluate_outputs(_run(runner, held_out.images), held_out)


def evaluate_outputs(found: Outputs, held_out: HeldOut) -> GateResult:
    """Evaluates an engine's outputs for the held-out images, in their order."""
    predicted, reference = found.logits.argmax(axis=1), held_out.expected.logits.argmax(axis=1)
    # Without names, each image counts as its own patient.
    patients: Sequence[Hashable] = held_out.patients or range(len(predicted))
    drops = {}
    if held_out.truth is not None:
        found_drops = paired_drops(held_out.truth, reference, predicted, patients)
        drops = {
            metric: Drop(fp32=before, engine=after, low=low, high=high)
            for metric, (before, after, (low, high)) in found_drops.items()
        }
    agreement = float((predicted == reference).mean())
    interval = share_interval(predicted == reference, patients)
    reasons, unsure = _verdict(agreement, interval, drops)
    difference = float(np.abs(found.probabilities - held_out.expected.probabilities).max())
    if not np.isfinite(found.logits).all():
        reasons.append("its logits are not finite")
        difference = 1.0
    f1 = drops.get("macro_f1")
    return GateResult(
        images=len(predicted),
        patients=None if held_out.patients is None else len(set(held_out.patients)),
        labeled=held_out.truth is not None,
        agreement=agreement,
        agreement_interval=interval,
        macro_f1=None if f1 is None else f1.engine,
        macro_f1_fp32=None if f1 is None else f1.fp32,
        max_probability_difference=difference,
        passed=not reasons,
        drops=drops,
        reasons=reasons,
        unsure=unsure,
    )


def _verdict(agreement: float, interval: tuple[float, float], drops: dict[str, Drop]) -> tuple[list[str], list[str]]:
    """Reasons to refuse an engine, and limits it exceeds without statistical significance on so few images."""
    reasons: list[str] = []
    unsure: list[str] = []
    if agreement < AGREEMENT:
        text = f"{agreement:.1%} of the labels agree with FP32 ({_percent(interval)}), below {AGREEMENT:.0%}"
        (reasons if agreement < AGREEMENT_FLOOR or interval[1] < 1 else unsure).append(text)
    for metric, drop in drops.items():
        if drop.fp32 - drop.engine > DROP:
            name, lost = metric.replace("_", " "), drop.fp32 - drop.engine
            text = f"{name} dropped by {lost:.3f} ({drop.low:.3f} to {drop.high:.3f}), more than {DROP}"
            (reasons if drop.low > 0 else unsure).append(text)
    return reasons, unsure


def allowed(result: GateResult) -> GateResult:
    """A failed result that ships anyway because of --allow-drop; records the user account."""
    try:
        account = getpass.getuser()
    except (OSError, KeyError, ImportError):
        # A container may run under a user ID without a name.
        account = "an unnamed account"
    return result.model_copy(update={"allowed_drop": True, "allowed_by": account})


def refusal(engine: EngineEntry, result: GateResult) -> GateRefused:
    """The error for a refused engine, with the metrics."""
    return GateRefused(
        f"{engine.runtime} {engine.precision} lost too much accuracy: {'; '.join(result.reasons)} (on {_on(result)})",
        expected=f"at least {AGREEMENT:.0%} agreement with FP32, and no metric more than {DROP} lower",
        next_step="ssr-edge build-engine --equalize, or with more --calibration-images; --allow-drop ships it anyway",
    )


def describe(result: GateResult) -> str:
    """One-line summary, e.g. `98.9% of 90 labels agree with FP32 (97.0% to 100.0%), macro-F1 0.861 vs 0.865`."""
    line = f"{result.agreement:.1%} of {result.images} labels agree with FP32"
    if result.agreement_interval is not None:
        line += f" ({_percent(result.agreement_interval)})"
    for metric, drop in result.drops.items():
        name = metric.replace("_", " ").replace("macro f1", "macro-F1")
        line += f", {name} {drop.engine:.3f} vs {drop.fp32:.3f}"
        if result.agreement < 1:
            line += f" (drop {drop.low:.3f} to {drop.high:.3f})"
    if not result.labeled:
        line += " (no labels, so only agreement was evaluated)"
    if result.unsure:
        line += f"; exceeds a limit, but not significantly on so few images: {'; '.join(result.unsure)}"
    return line


def _on(result: GateResult) -> str:
    return f"{result.images} images" + ("" if result.patients is None else f" of {result.patients} patients")


def _percent(interval: tuple[float, float]) -> str:
    return f"{interval[0]:.1%} to {interval[1]:.1%}"


def _run(runner: Runner, images: Image) -> Outputs:
    batches = [runner.infer(images[start : start + _BATCH]) for start in range(0, len(images), _BATCH)]
    return Outputs(
        np.concatenate([batch.logits for batch in batches]), np.concatenate([batch.probabilities for batch in batches])
    )
