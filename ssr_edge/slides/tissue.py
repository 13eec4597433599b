"""Finds tissue on a slide's thumbnail: stained, so colored; glass is not."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ssr_edge.images.opencv import cv2
from ssr_edge.images.preprocess import Image

Mask = npt.NDArray[np.bool_]

# Otsu splits every picture in two, a blank one by its noise and one full of tissue by its dyes: a threshold on
# saturation, of 255, is held between what glass has and what pale tissue has.
_THRESHOLDS = (8, 15)


def find_tissue(thumbnail: Image, smallest: float) -> Mask:
    """True where a thumbnail (uint8 [h, w, 3], BGR) shows tissue: bool [h, w].

    smallest: pixels; specks of tissue and holes in it that have fewer are taken for dust and for lumen or fat.
    """
    # Compression leaves colored noise on glass, a pixel or two wide.
    saturation = cv2.medianBlur(cv2.cvtColor(thumbnail, cv2.COLOR_BGR2HSV)[..., 1], 5)
    otsu, _ = cv2.threshold(saturation, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    tissue = saturation > np.clip(otsu, *_THRESHOLDS)
    return ~_without_small(~_without_small(tissue, smallest), smallest)


def _without_small(mask: Mask, smallest: float) -> Mask:
    _, labels, statistics, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    large = statistics[:, cv2.CC_STAT_AREA] >= smallest
    large[0] = False  # what is outside the mask
    return np.asarray(large[labels], np.bool_)
