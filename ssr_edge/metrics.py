"""Classification metrics from a confusion matrix; numpy alone, so that an edge device can judge its engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ssr_edge.breakhis import CLASSES, MALIGNANT


@dataclass(frozen=True)
class Metrics:
    """Figures of one classifier on one set of labelled images (paper section 4.2).

    The macro averages run over the classes that the set has images of; a class never predicted has precision 0.
    confusion: int [8, 8], rows the truth, columns the prediction, in the order of CLASSES.
    """

    images: int
    accuracy: float
    macro_precision: float
    macro_recall: float
    macro_f1: float
    malignant_sensitivity: float | None
    malignant_specificity: float | None
    confusion: list[list[int]]


def measure(truth: Sequence[int] | npt.NDArray[np.int64], predicted: Sequence[int] | npt.NDArray[np.int64]) -> Metrics:
    """Compares class numbers [n] with predicted class numbers [n], both positions in CLASSES; n >= 1.

    Malignant sensitivity and specificity are None where the set has no malignant or no benign image.
    """
    size = len(CLASSES)
    confusion = np.zeros((size, size), np.int64)
    np.add.at(confusion, (np.asarray(truth), np.asarray(predicted)), 1)
    correct = np.diag(confusion).astype(np.float64)
    present = confusion.sum(axis=1) > 0
    precision = correct / np.maximum(confusion.sum(axis=0), 1)
    recall = correct / np.maximum(confusion.sum(axis=1), 1)
    f1 = 2 * precision * recall / np.maximum(precision + recall, np.finfo(np.float64).tiny)
    malignant = np.array([label in MALIGNANT for label in CLASSES])
    return Metrics(
        images=int(confusion.sum()),
        accuracy=float(correct.sum() / confusion.sum()),
        macro_precision=float(precision[present].mean()),
        macro_recall=float(recall[present].mean()),
        macro_f1=float(f1[present].mean()),
        malignant_sensitivity=_share(confusion[malignant][:, malignant], confusion[malignant]),
        malignant_specificity=_share(confusion[~malignant][:, ~malignant], confusion[~malignant]),
        confusion=confusion.tolist(),
    )


def _share(part: npt.NDArray[np.int64], whole: npt.NDArray[np.int64]) -> float | None:
    return float(part.sum() / whole.sum()) if whole.sum() else None
