"""Turns probabilities into a prediction: label, confidence and warning flags."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ssr_edge.breakhis.names import CLASSES, parse_name
from ssr_edge.common.errors import InputError
from ssr_edge.evaluation.metrics import IS_MALIGNANT
from ssr_edge.images.preprocess import IMAGE_SIZE, Image
from ssr_edge.sources.inputs import Region

LOW_CONFIDENCE = 0.5
# Larger than the error of a softmax computed in FP16 or BF16, because a server may round more.
_TOLERANCE = 0.02


@dataclass(frozen=True)
class Prediction:
    """The result for one image. Decision support for research, not a medical device.

    label: code of the most probable class. confidence: its probability. malignant_probability: the sum over the
    malignant classes. probabilities: float32 [8] in the order of CLASSES.
    flags: `low-confidence` (no class reaches 0.5), `upscaled` (the image is smaller than the network's input),
    `other-magnification` (its BreaKHis file name gives another magnification than the bundle was trained for).
    latency_ms: from opening the file, or from the capture of a frame, to this prediction, queueing included.
    source: file, video or stream; empty for an array. frame: index of the page, frame or tile, from 0.
    seconds: time of a frame, since the start of its video or, for a camera or stream, since 1970 (UTC).
    region: the tile's region of the slide. image: the whole image, uint8 [h, w, 3], BGR, if requested.
    """

    label: str
    confidence: float
    malignant_probability: float
    flags: tuple[str, ...]
    probabilities: npt.NDArray[np.float32]
    latency_ms: float
    source: str
    frame: int
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
    """Picks the most probable class. shape: the decoded image's. magnification: the bundle's, None for any.

    Raises:
        InputError: the probabilities are not a distribution, so no label is reliable (argmax of NaN is a class).
    """
    _check(source, probabilities)
    best = int(probabilities.argmax())
    name = parse_name(source)
    flags = {
        "low-confidence": probabilities[best] < LOW_CONFIDENCE,
        "upscaled": min(shape[:2]) < IMAGE_SIZE,
        "other-magnification": name is not None and magnification not in (None, name.magnification),
    }
    return Prediction(
        label=CLASSES[best],
        confidence=float(probabilities[best]),
        malignant_probability=float(probabilities[IS_MALIGNANT].sum()),
        flags=tuple(flag for flag, raised in flags.items() if raised),
        probabilities=probabilities,
        latency_ms=latency_ms,
        source=str(source),
        frame=frame,
        seconds=seconds,
        region=region,
        image=image,
    )


def _check(source: str | Path, probabilities: npt.NDArray[np.float32]) -> None:
    inside = (probabilities >= -_TOLERANCE) & (probabilities <= 1 + _TOLERANCE)  # False for NaN
    if not inside.all() or abs(float(probabilities.sum()) - 1) > _TOLERANCE:
        values = ", ".join(f"{value:.3g}" for value in probabilities.tolist())
        raise InputError(
            f"{source}: the engine returned invalid probabilities: {values}",
            expected="finite values from 0 to 1 that sum to 1",
            next_step="ssr-edge bench --bundle BUNDLE  (compares the engine with FP32), or ssr-edge build-engine",
        )
