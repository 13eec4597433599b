"""Segments tissue on a slide's thumbnail by color saturation: stained tissue is colored, glass is not."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ssr_edge.images.opencv import cv2
from ssr_edge.images.preprocess import Image

Mask = npt.NDArray[np.bool_]

# Limits of the saturation threshold, of 255: above the noise of glass, below pale tissue. Otsu's method alone would
# split a blank slide by its noise, and a slide full of tissue by its dyes.
_THRESHOLDS = (8, 15)


def find_tissue(thumbnail: Image, smallest: float) -> Mask:
    """Returns bool [h, w], true where a thumbnail (uint8 [h, w, 3], BGR) shows tissue.

    smallest: area in pixels; smaller specks are discarded as dust, smaller holes are filled as lumen or fat.
    """
    # Compression leaves colored noise, a pixel or two wide, on glass.
    saturation = cv2.medianBlur(cv2.cvtColor(thumbnail, cv2.COLOR_BGR2HSV)[..., 1], 5)
    otsu, _ = cv2.threshold(saturation, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    tissue = saturation > np.clip(otsu, *_THRESHOLDS)
    return ~_without_small(~_without_small(tissue, smallest), smallest)


def _without_small(mask: Mask, smallest: float) -> Mask:
    _, labels, statistics, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    large = statistics[:, cv2.CC_STAT_AREA] >= smallest
    large[0] = False  # the background
    return np.asarray(large[labels], np.bool_)
