"""Synthetic slides: real images on white glass, so that every tile's position and pixels are known."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tifffile

from ssr_edge.images.preprocess import Image

# 6.5 um a camera pixel through BreaKHis's 10x objective: a tile at 100X is 700x460 pixels of this slide.
MPP = 0.65
WIDTH, HEIGHT = 700, 460
COLUMNS, ROWS = 5, 4
# Indices of the tiles that show an image; the others are bare glass.
PLACES = (0, 6, 7, 8, 12, 19)


@dataclass(frozen=True)
class MadeSlide:
    """A slide, and the image on each tile that has one."""

    path: Path
    images: dict[int, Image]


def make_slide(path: Path, images: list[Image]) -> MadeSlide:
    """20 tiles at 100X with images at PLACES, and a margin at the right and lower edge."""
    glass = np.full((ROWS * HEIGHT + 123, COLUMNS * WIDTH + 321, 3), 255, np.uint8)
    placed = dict(zip(PLACES, images, strict=True))
    for number, image in placed.items():
        y, x = number // COLUMNS * HEIGHT, number % COLUMNS * WIDTH
        glass[y : y + HEIGHT, x : x + WIDTH] = image
    return MadeSlide(write_slide(path, glass), placed)


def write_slide(
    path: Path, image: np.ndarray, mpp: float | None = MPP, levels: tuple[int, ...] = (1, 4), **more: Any
) -> Path:
    """Writes uint8 [h, w, 3], BGR, as a tiled pyramid, by default lossless."""
    options: dict[str, Any] = {
        "tile": (256, 256),
        "photometric": "rgb",
        "compression": "zlib",
        "compressionargs": {"level": 1},
    } | more
    if mpp is not None:
        options |= {"resolution": (1e4 / mpp, 1e4 / mpp), "resolutionunit": "CENTIMETER"}
    rgb = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    with tifffile.TiffWriter(path) as file:
        file.write(rgb, subifds=len(levels) - 1, **options)
        for level in levels[1:]:
            size = image.shape[1] // level, image.shape[0] // level
            file.write(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), subfiletype=1, **options)
    return path
