"""Draws label, confidence and speed on an image, readable on light and dark backgrounds."""

from __future__ import annotations

import numpy as np

from ssr_edge.breakhis.names import CLASS_NAMES, MALIGNANT
from ssr_edge.images.opencv import cv2
from ssr_edge.images.preprocess import Image
from ssr_edge.inference.prediction import Prediction

DISCLAIMER = "Research use only, not a medical device"
_FONT = cv2.FONT_HERSHEY_SIMPLEX
# Height of capital letters as a fraction of the image's shorter side, and the smallest readable height in pixels.
_LARGE, _LARGE_PX = 1 / 26, 10
_SMALL, _SMALL_PX = 1 / 40, 8
_MARGIN = 1 / 50


def draw(image: Image, prediction: Prediction, fps: float | None = None) -> None:
    """Draws on uint8 [h, w, 3], BGR, in place. fps: labels per second, drawn with the latency; None omits both.

    A line that would be wider than the image is drawn smaller.
    """
    side = min(image.shape[:2])
    margin = max(round(side * _MARGIN), 3)
    large, small = max(side * _LARGE, _LARGE_PX), max(side * _SMALL, _SMALL_PX)
    kind = "malignant" if prediction.label in MALIGNANT else "benign"
    lines = [(f"{prediction.label} {CLASS_NAMES[prediction.label]}, {kind}, {prediction.confidence:.0%}", large)]
    if prediction.flags:
        lines.append((", ".join(prediction.flags), small))
    if fps is not None:
        lines.append((f"{fps:.1f} labels/s, latency {prediction.latency_ms:.0f} ms", small))
    top = margin
    for text, height in lines:
        line = _line(text, height, image.shape[1] - 2 * margin)
        _blend(image, line, margin, top)
        top += line.shape[0]
    line = _line(DISCLAIMER, small, image.shape[1] - 2 * margin)
    _blend(image, line, margin, image.shape[0] - margin - line.shape[0])


def _line(text: str, height: float, room: int) -> Image:
    """Renders a line of text as uint8 [h, w], 255 inside letters, with room for their outline; at most `room` wide."""
    (width, letters), _ = cv2.getTextSize(text, _FONT, 1.0, 1)
    # Thick letters are wider than getTextSize measured, by up to a tenth.
    scale = min(height / letters, room / (1.1 * width))
    thickness = max(round(1.6 * scale), 1)
    (width, letters), below = cv2.getTextSize(text, _FONT, scale, thickness)
    edge = 2 * thickness
    mask = np.zeros((letters + below + 2 * edge, width + 2 * edge), np.uint8)
    cv2.putText(mask, text, (edge, edge + letters), _FONT, scale, (255.0,), thickness, cv2.LINE_AA)
    return mask[:, :room]


def _blend(image: Image, line: Image, left: int, top: int) -> None:
    """Draws white letters with a black outline on an image, clipped to it."""
    top = max(top, 0)
    patch = image[top : top + line.shape[0], left : left + line.shape[1]]
    letters = line[: patch.shape[0], : patch.shape[1], None].astype(np.uint16)
    # Dilated instead of drawn again with a thicker line, because OpenCV 5 spaces thick letters further apart.
    outline = cv2.dilate(line, np.ones((3, 3), np.uint8), iterations=max(line.shape[0] // 24, 1))
    darkened = patch * (255 - outline[: patch.shape[0], : patch.shape[1], None].astype(np.uint16)) // 255
    patch[...] = np.minimum(darkened + letters, 255)
