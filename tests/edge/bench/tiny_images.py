"""Draws small test images, and names the architecture that they are run through."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

TINY = "ssresnext14_8x4d"


def write_image(path: Path, seed: int) -> None:
    """A 70x46 image of colored blobs, different for each seed."""
    rng = np.random.default_rng(seed)
    image = np.full((46, 70, 3), rng.integers(120, 255, 3), np.uint8)
    for _ in range(20):
        center = (int(rng.integers(70)), int(rng.integers(46)))
        cv2.circle(image, center, int(rng.integers(2, 9)), rng.integers(0, 255, 3).tolist(), -1)
    assert cv2.imwrite(str(path), image)
