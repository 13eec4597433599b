"""Compares an engine's labels with the true classes, where known, and with FP32."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ssr_edge.evaluation.metrics import measure

Labels = Sequence[int | None]


@dataclass(frozen=True)
class Predicted:
    """An engine's predictions: class number and probability per image; None for unreadable images."""

    labels: list[int | None]
    confidences: list[float | None]


@dataclass(frozen=True)
class Accuracy:
    """Accuracy of one engine. images: number classified. labeled: how many of them have a known class.

    agreement_with_fp32: share of images with the same label as the reference; None without a reference.
    """

    engine: str
    macro_f1: float | None
    accuracy: float | None
    agreement_with_fp32: float | None
    images: int
    labeled: int


def evaluate_labels(engine: str, predicted: Labels, truth: Labels, reference: Labels | None) -> Accuracy:
    """Compares class numbers [n] with the true and the reference class numbers [n]; None is unreadable or unknown."""
    known = [(t, p) for t, p in zip(truth, predicted, strict=True) if t is not None and p is not None]
    metrics = measure([t for t, _ in known], [p for _, p in known]) if known else None
    agreement = None
    if reference is not None:
        both = [r == p for r, p in zip(reference, predicted, strict=True) if r is not None and p is not None]
        agreement = sum(both) / len(both) if both else None
    return Accuracy(
        engine=engine,
        macro_f1=None if metrics is None else metrics.macro_f1,
        accuracy=None if metrics is None else metrics.accuracy,
        agreement_with_fp32=agreement,
        images=sum(label is not None for label in predicted),
        labeled=len(known),
    )
