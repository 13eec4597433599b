"""Draws an engine's most confident mistakes as one image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ssr_edge.breakhis.names import CLASS_NAMES
from ssr_edge.evaluation.mistakes import Mistake
from ssr_edge.images.opencv import cv2
from ssr_edge.images.preprocess import Image, decode

MOST = 24
_COLUMNS = 4
_WIDTH, _HEIGHT, _TEXT, _GAP = 280, 184, 58, 12
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_INK = (40, 40, 40)


def contact_sheet(mistakes: Sequence[Mistake], title: str) -> Image:
    """Images in rows of four with true class, predicted class and confidence below; returns uint8 BGR [h, w, 3].

    Raises:
        InputError: an image can no longer be read.
    """
    columns, rows = _COLUMNS, max(-(-len(mistakes) // _COLUMNS), 1)
    head, cell = 40, (_HEIGHT + _TEXT + _GAP, _WIDTH + _GAP)
    sheet = np.full((head + rows * cell[0] + 24, columns * cell[1] + _GAP, 3), 255, np.uint8)
    _write(sheet, title, (_GAP, 26), 0.55)
    for place, mistake in enumerate(mistakes):
        top, left = head + place // columns * cell[0], _GAP + place % columns * cell[1]
        picture = _fitted(decode(mistake.path))
        sheet[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
        lines = (
            f"true {mistake.truth} {CLASS_NAMES[mistake.truth]}",
            f"predicted {mistake.label} {CLASS_NAMES[mistake.label]}, {mistake.confidence:.0%}",
            mistake.path.stem,
        )
        for number, line in enumerate(lines):
            _write(sheet, line, (left, top + _HEIGHT + 16 + 17 * number), 0.42)
    _write(sheet, "Research use only, not a medical device.", (_GAP, sheet.shape[0] - 10), 0.42)
    return sheet


def _fitted(image: Image) -> Image:
    scale = min(_WIDTH / image.shape[1], _HEIGHT / image.shape[0])
    size = (max(round(image.shape[1] * scale), 1), max(round(image.shape[0] * scale), 1))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _write(sheet: Image, text: str, place: tuple[int, int], scale: float) -> None:
    cv2.putText(sheet, text, place, _FONT, scale, _INK, 1, cv2.LINE_AA)
