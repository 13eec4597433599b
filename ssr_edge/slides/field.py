"""How much of a slide one BreaKHis image shows: what a tile must show too."""

from __future__ import annotations

# A BreaKHis image, pixels; the network sees it squeezed into a square.
FIELD_PIXELS = (700, 460)
# One pixel of the camera; on the slide it is as many times smaller as the objective magnifies (docs/slides.md: why
# this is not the smaller figure of the BreaKHis paper).
_CAMERA_PIXEL_UM = 6.5
_OCULAR = 10


def field_micrometers(magnification: int) -> tuple[float, float]:
    """Width and height of what a BreaKHis image shows, in micrometers. magnification: BreaKHis's, e.g. 100 (100X)."""
    pixel = _CAMERA_PIXEL_UM / (magnification / _OCULAR)
    return FIELD_PIXELS[0] * pixel, FIELD_PIXELS[1] * pixel
