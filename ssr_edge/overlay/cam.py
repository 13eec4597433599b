"""Draws a class activation map over its image, on the CPU."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ssr_edge.images.opencv import cv2
from ssr_edge.images.preprocess import Image

# Perceptually uniform, and told apart without red and green; as in a slide's heat map.
COLORS = cv2.COLORMAP_VIRIDIS
OPACITY = 0.45


def draw_cam(image: Image, cam: npt.NDArray[np.float32]) -> Image:
    """Returns a new uint8 [h, w, 3], BGR: the image seen through the map's colors, its least and largest value apart.

    image: uint8 [h, w, 3], BGR, of any size. cam: float32 [rows, columns], enlarged to the image. A map without
    contrast takes the first color everywhere.
    """
    height, width = image.shape[:2]
    large = cv2.resize(cam, (width, height), interpolation=cv2.INTER_LINEAR)
    low, high = float(cam.min()), float(cam.max())
    level = (large - low) * (255 / (high - low)) if high > low else np.zeros_like(large)
    colors = cv2.applyColorMap(np.clip(np.rint(level), 0, 255).astype(np.uint8), COLORS)
    return np.asarray(cv2.addWeighted(image, 1 - OPACITY, colors, OPACITY, 0), np.uint8)
