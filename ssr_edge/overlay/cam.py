"""Draws a class activation map over its image, on the CPU."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ssr_edge.images.opencv import cv2
from ssr_edge.images.preprocess import Image

# Perceptually uniform, and readable with red-green color blindness; the same as in a slide's heat map.
COLORS = cv2.COLORMAP_VIRIDIS
OPACITY = 0.45


def draw_cam(image: Image, cam: npt.NDArray[np.float32]) -> Image:
    """Returns the image with the map's colors blended over it, uint8 [h, w, 3], BGR, in [0, 255].

    image: uint8 [h, w, 3], BGR, of any size; it is not modified. cam: float32 [rows, columns], resized to the image and
    scaled so that its minimum and maximum get the first and the last color. A constant map gets the first color.
    """
    height, width = image.shape[:2]
    large = cv2.resize(cam, (width, height), interpolation=cv2.INTER_LINEAR)
    low, high = float(cam.min()), float(cam.max())
    level = (large - low) * (255 / (high - low)) if high > low else np.zeros_like(large)
    colors = cv2.applyColorMap(np.clip(np.rint(level), 0, 255).astype(np.uint8), COLORS)
    return np.asarray(cv2.addWeighted(image, 1 - OPACITY, colors, OPACITY, 0), np.uint8)
