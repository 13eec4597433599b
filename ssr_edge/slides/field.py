"""Field of view of a BreaKHis image, which a tile of a slide must match."""

from __future__ import annotations

# Width and height of a BreaKHis image; the network sees it resized to a square.
FIELD_PIXELS = (700, 460)
# Pixel size of the camera; on the slide, it is divided by the objective's magnification. docs/slides.md explains why
# this differs from the smaller value in the BreaKHis paper.
_CAMERA_PIXEL_UM = 6.5
_OCULAR = 10


def field_micrometers(magnification: int) -> tuple[float, float]:
    """Width and height of a BreaKHis image's field of view in micrometers. magnification: as in BreaKHis, e.g. 100."""
    pixel = _CAMERA_PIXEL_UM / (magnification / _OCULAR)
    return FIELD_PIXELS[0] * pixel, FIELD_PIXELS[1] * pixel
