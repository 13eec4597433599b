"""Probabilities -> a decision: label, confidence and what a reader should know before trusting it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ssr_edge.breakhis import CLASSES, MALIGNANT, parse_name
from ssr_edge.preprocess import IMAGE_SIZE
from ssr_edge.slides.field import Region

LOW_CONFIDENCE = 0.5
_MALIGNANT = np.array([label in MALIGNANT for label in CLASSES])


@dataclass(frozen=True)
class Prediction:
    """One image's result. probabilities: float32 [8] in the order of CLASSES.

    frame: a slide's tile, counted in reading order, those without tissue too; 0 for an image. region: the tile's, None
    for an image.

    latency_ms: from opening the file to this decision, waiting in queues included.

    flags: `low-confidence` (the best class has less than half), `upscaled` (the image is smaller than the network's
    input), `other-magnification` (its BreaKHis name says another one than the bundle was trained for).
    """

    source: str
    frame: int
    label: str
    confidence: float
    malignant_probability: float
    flags: tuple[str, ...]
    probabilities: npt.NDArray[np.float32]
    latency_ms: float
    region: Region | None = None


def decide(
    source: Path,
    shape: tuple[int, ...],
    probabilities: npt.NDArray[np.float32],
    magnification: int | None,
    latency_ms: float,
    frame: int = 0,
    region: Region | None = None,
) -> Prediction:
    """Picks the most probable class. shape: of the image as decoded. magnification: the bundle's, None for any."""
    best = int(probabilities.argmax())
    name = parse_name(source)
    flags = {
        "low-confidence": probabilities[best] < LOW_CONFIDENCE,
        "upscaled": min(shape[:2]) < IMAGE_SIZE,
        "other-magnification": name is not None and magnification not in (None, name.magnification),
    }
    return Prediction(
        source=str(source),
        frame=frame,
        label=CLASSES[best],
        confidence=float(probabilities[best]),
        malignant_probability=float(probabilities[_MALIGNANT].sum()),
        flags=tuple(flag for flag, raised in flags.items() if raised),
        probabilities=probabilities,
        latency_ms=latency_ms,
        region=region,
    )
