"""Probabilities -> a decision: label, confidence and what a reader should know before trusting it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ssr_edge.breakhis.names import CLASSES, parse_name
from ssr_edge.evaluation.metrics import IS_MALIGNANT
from ssr_edge.images.preprocess import IMAGE_SIZE, Image
from ssr_edge.sources.inputs import Region

LOW_CONFIDENCE = 0.5


@dataclass(frozen=True)
class Prediction:
    """One image's result. probabilities: float32 [8] in the order of CLASSES.

    latency_ms: from opening the file, or from the moment a frame was captured, to this decision, waiting included.

    seconds: when a frame was, since its video's start or, for a camera or stream, since 1970 (UTC). region: a slide's
    tile. image: the whole image as uint8 [h, w, 3], BGR, where it was asked for.

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
    seconds: float | None = None
    region: Region | None = None
    image: Image | None = field(default=None, repr=False, compare=False)


def decide(
    source: str | Path,
    shape: tuple[int, ...],
    probabilities: npt.NDArray[np.float32],
    magnification: int | None,
    latency_ms: float,
    *,
    frame: int = 0,
    seconds: float | None = None,
    region: Region | None = None,
    image: Image | None = None,
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
        malignant_probability=float(probabilities[IS_MALIGNANT].sum()),
        flags=tuple(flag for flag, raised in flags.items() if raised),
        probabilities=probabilities,
        latency_ms=latency_ms,
        seconds=seconds,
        region=region,
        image=image,
    )
