"""Finds an engine's most confident mistakes and makes thumbnails of them."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path

from ssr_edge.breakhis.labels import ImagesWithTruth
from ssr_edge.breakhis.names import CLASSES
from ssr_edge.common.errors import InputError
from ssr_edge.evaluation.accuracy import Predicted
from ssr_edge.images.opencv import cv2
from ssr_edge.images.preprocess import decode

_WIDTH = 176
_QUALITY = 75


@dataclass(frozen=True)
class Mistake:
    """A misclassified image. truth, label: of CLASSES. thumbnail: JPEG data URI of `width` x `height` pixels."""

    path: Path
    truth: str
    label: str
    confidence: float
    thumbnail: str
    width: int
    height: int


def worst_mistakes(images: ImagesWithTruth, predicted: Predicted, most: int) -> list[Mistake]:
    """At most `most` wrong labels, highest confidence first; unreadable files are skipped."""
    wrong = [
        (confidence, path, truth, label)
        for path, truth, label, confidence in zip(
            images.paths, images.truth, predicted.labels, predicted.confidences, strict=True
        )
        if truth is not None and label not in (None, truth) and confidence is not None and label is not None
    ]
    wrong.sort(key=lambda entry: entry[0], reverse=True)
    found: list[Mistake] = []
    for confidence, path, truth, label in wrong:
        if len(found) == most:
            break
        try:
            thumbnail, width, height = _thumbnail(path)
        except InputError:
            continue
        found.append(Mistake(path, CLASSES[truth], CLASSES[label], confidence, thumbnail, width, height))
    return found


def _thumbnail(path: Path) -> tuple[str, int, int]:
    image = decode(path)
    width = min(_WIDTH, image.shape[1])
    # Limits the height of very tall images.
    height = min(max(round(image.shape[0] * width / image.shape[1]), 1), _WIDTH)
    small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode("ascii"), width, height
