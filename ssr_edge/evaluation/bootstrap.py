"""Bootstrap confidence intervals that resample patients, for the gate, `evaluate` and the study.

Images of one patient are correlated; resampling images would underestimate the uncertainty.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
import numpy.typing as npt

from ssr_edge.breakhis.names import CLASSES
from ssr_edge.evaluation.metrics import IS_MALIGNANT, Scores, scores

_RESAMPLES, _SEED = 2000, 0
_LEVELS = (2.5, 97.5)
# Metrics of the gate on labeled images. Balanced accuracy is the mean recall over classes.
FIGURES = {
    "macro_f1": "macro_f1",
    "balanced_accuracy": "macro_recall",
    "malignant_sensitivity": "malignant_sensitivity",
}

Labels = npt.NDArray[np.int64]
Interval = tuple[float, float]


def share_interval(held: npt.NDArray[np.bool_], patients: Sequence[Hashable]) -> Interval:
    """95 % interval of the share of images [n] for which `held` is true. patients: [n], the patient of each image.

    If it holds for all or none, every draw is equal and would suggest certainty; the other end of the interval is then
    that of an event never observed in that many patients.
    """
    numbers = _numbered(patients)
    return ratio_interval(
        np.bincount(numbers, held).astype(np.float64)[None], np.bincount(numbers).astype(np.float64)[None]
    )


def ratio_interval(parts: npt.NDArray[np.float64], wholes: npt.NDArray[np.float64]) -> Interval:
    """95 % interval of the mean over repeats of sum(parts) / sum(wholes).

    parts, wholes: [repeats, patients], contribution of each patient to each repeat (0 if absent from a repeat). All
    repeats share the same draws of patients. If the ratio is 1 or 0 throughout: as in `share_interval`.
    """
    patients = wholes.shape[1]
    surely = (1 - _LEVELS[1] / 100) ** (1 / patients)
    if np.array_equal(parts, wholes):
        return surely, 1.0
    if not parts.any():
        return 0.0, 1 - surely
    weights = _draw(patients)
    drawn_parts, drawn_wholes = weights @ parts.T, weights @ wholes.T  # [draws, repeats]
    seen = drawn_wholes > 0  # a draw may contain no patient of a repeat
    ratios = np.where(seen, drawn_parts / np.maximum(drawn_wholes, np.finfo(np.float64).tiny), 0.0)
    some = seen.any(axis=1)
    return _interval(ratios.sum(axis=1)[some] / seen.sum(axis=1)[some])


def malignancy_intervals(
    truth: Labels, predicted: Labels, patients: Sequence[Hashable]
) -> tuple[Interval | None, Interval | None]:
    """95 % intervals of malignant sensitivity and specificity; None without malignant or benign images.

    truth, predicted: class numbers [n], positions in CLASSES. Each interval draws from the patients of its own side.
    """
    correct = IS_MALIGNANT[truth] == IS_MALIGNANT[predicted]
    found: list[Interval | None] = []
    for side in (IS_MALIGNANT[truth], ~IS_MALIGNANT[truth]):
        of_side = [patient for patient, inside in zip(patients, side, strict=True) if inside]
        found.append(share_interval(correct[side], of_side) if of_side else None)
    return found[0], found[1]


def paired_drops(
    truth: Labels, reference: Labels, predicted: Labels, patients: Sequence[Hashable]
) -> dict[str, tuple[float, float, Interval]]:
    """Each metric of FIGURES for the reference and for an engine, with the 95 % interval of reference - engine.

    truth, reference, predicted: class numbers [n], positions in CLASSES. Both use the same draws of patients, so the
    difficulty of a draw cancels. Metrics without images (no malignant one) are omitted.
    """
    numbers = _numbered(patients)
    weights = _draw(int(numbers.max()) + 1)
    base, engine = (_confusions(truth, labels, numbers) for labels in (reference, predicted))
    whole_base, whole_engine = scores(base.sum(axis=0)), scores(engine.sum(axis=0))
    drawn_base, drawn_engine = _scores_of_draws(base, weights), _scores_of_draws(engine, weights)
    drops = {}
    for figure, name in FIGURES.items():
        before, after = float(getattr(whole_base, name)), float(getattr(whole_engine, name))
        if not np.isnan(before):
            drops[figure] = before, after, _interval(getattr(drawn_base, name) - getattr(drawn_engine, name))
    return drops


def _numbered(patients: Sequence[Hashable]) -> Labels:
    """Patient number of each image [n], from 0 in order of appearance."""
    known = {patient: number for number, patient in enumerate(dict.fromkeys(patients))}
    return np.array([known[patient] for patient in patients])


def _draw(patients: int) -> Labels:
    """Number of times each draw contains each patient: [draws, patients]."""
    return np.random.default_rng(_SEED).multinomial(patients, np.full(patients, 1 / patients), _RESAMPLES)


def _confusions(truth: Labels, labels: Labels, numbers: Labels) -> Labels:
    """Confusion matrix of each patient: [patients, 8, 8]."""
    confusions = np.zeros((numbers.max() + 1, len(CLASSES), len(CLASSES)), np.int64)
    np.add.at(confusions, (numbers, truth, labels), 1)
    return confusions


def _scores_of_draws(confusions: Labels, weights: Labels) -> Scores:
    drawn: Labels = np.tensordot(weights, confusions, axes=1)  # [draws, 8, 8]
    return scores(drawn)


def _interval(values: npt.NDArray[np.float64]) -> Interval:
    low, high = np.nanpercentile(values, _LEVELS)
    return float(low), float(high)
