"""Classification metrics from a confusion matrix. Needs only NumPy, so that edge devices can evaluate engines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ssr_edge.breakhis.names import CLASSES, MALIGNANT

# bool [8], in the order of CLASSES.
IS_MALIGNANT = np.array([label in MALIGNANT for label in CLASSES])


@dataclass(frozen=True)
class Metrics:
    """Metrics of one classifier on one set of labeled images (paper section 4.2).

    Macro averages cover the classes present in the set; a class that is never predicted has precision 0.
    confusion: int [8, 8], rows are true classes, columns predicted classes, in the order of CLASSES.
    """

    images: int
    accuracy: float
    macro_precision: float
    macro_recall: float
    macro_f1: float
    malignant_sensitivity: float | None
    malignant_specificity: float | None
    confusion: list[list[int]]


@dataclass(frozen=True)
class ClassScores:
    """Metrics of one class; None if it was never predicted (precision) or has no images (recall). support: images."""

    label: str
    precision: float | None
    recall: float | None
    f1: float | None
    support: int


class Scores(NamedTuple):
    """Metrics of one or many confusion matrices: float64 [...] each; NaN if the required images are missing."""

    macro_precision: npt.NDArray[np.float64]
    macro_recall: npt.NDArray[np.float64]
    macro_f1: npt.NDArray[np.float64]
    malignant_sensitivity: npt.NDArray[np.float64]
    malignant_specificity: npt.NDArray[np.float64]


def measure(truth: Sequence[int] | npt.NDArray[np.int64], predicted: Sequence[int] | npt.NDArray[np.int64]) -> Metrics:
    """Compares class numbers [n] with predicted class numbers [n], both positions in CLASSES; n >= 1.

    Malignant sensitivity is None without malignant images, specificity without benign images.
    """
    size = len(CLASSES)
    confusion = np.zeros((size, size), np.int64)
    np.add.at(confusion, (np.asarray(truth), np.asarray(predicted)), 1)
    found = scores(confusion)
    return Metrics(
        images=int(confusion.sum()),
        accuracy=float(np.trace(confusion) / confusion.sum()),
        macro_precision=float(found.macro_precision),
        macro_recall=float(found.macro_recall),
        macro_f1=float(found.macro_f1),
        malignant_sensitivity=_or_none(found.malignant_sensitivity),
        malignant_specificity=_or_none(found.malignant_specificity),
        confusion=confusion.tolist(),
    )


def by_class(metrics: Metrics) -> list[ClassScores]:
    """Metrics of each class, in the order of CLASSES. F1 is None only if precision and recall are."""
    confusion = np.asarray(metrics.confusion)
    found = []
    for number, label in enumerate(CLASSES):
        correct = int(confusion[number, number])
        support, predicted = confusion[number].sum(), confusion[:, number].sum()
        found.append(
            ClassScores(
                label=label,
                precision=correct / predicted if predicted else None,
                recall=correct / support if support else None,
                f1=2 * correct / (predicted + support) if predicted + support else None,
                support=int(support),
            )
        )
    return found


def scores(confusion: npt.NDArray[np.int64]) -> Scores:
    """Metrics of confusion matrices: counts [..., 8, 8], rows are true, columns predicted classes, as in CLASSES."""
    correct = np.diagonal(confusion, axis1=-2, axis2=-1).astype(np.float64)  # [..., 8]
    true, predicted = confusion.sum(axis=-1), confusion.sum(axis=-2)
    precision, recall = correct / np.maximum(predicted, 1), correct / np.maximum(true, 1)
    f1 = 2 * precision * recall / np.maximum(precision + recall, np.finfo(np.float64).tiny)
    present = true > 0

    def macro(figure: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return _share(np.where(present, figure, 0.0).sum(axis=-1), present.sum(axis=-1))

    def recall_of(side: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
        return _share(confusion[..., side, :][..., side].sum(axis=(-2, -1)), true[..., side].sum(axis=-1))

    return Scores(macro(precision), macro(recall), macro(f1), recall_of(IS_MALIGNANT), recall_of(~IS_MALIGNANT))


def _share(
    part: npt.NDArray[np.float64] | npt.NDArray[np.int64], whole: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)


def _or_none(value: npt.NDArray[np.float64]) -> float | None:
    return None if np.isnan(value) else float(value)
