"""Tells whole-slide images from ordinary ones, without reading pixels."""

from __future__ import annotations

import logging
from pathlib import Path

from ssr_edge.images.opencv import MAX_PIXELS

SLIDE_SUFFIXES = frozenset({".svs", ".ndpi"})
_TIFF_SUFFIXES = frozenset({".tif", ".tiff"})


def is_slide(path: Path) -> bool:
    """True for a scanner's suffix, and for a TIFF with a tiled pyramid or more pixels than an image may have.

    An ordinary TIFF stays an image; so does every TIFF where the extra `wsi` is not installed, and a damaged one.
    """
    suffix = path.suffix.lower()
    return suffix in SLIDE_SUFFIXES or (suffix in _TIFF_SUFFIXES and _is_pyramid(path))


def _is_pyramid(path: Path) -> bool:
    try:
        import tifffile
    except ImportError:
        return False
    quiet_tifffile()
    try:
        with tifffile.TiffFile(path) as file:
            series = file.series[0]
            page = series.keyframe
            pyramid = page.is_tiled and series.is_pyramidal
            return bool(pyramid or page.imagewidth * page.imagelength > MAX_PIXELS)
    except Exception:  # tifffile meets damage with errors of many kinds; whoever decodes the image says what is wrong
        return False


def quiet_tifffile() -> None:
    """What tifffile logs about a damaged file is said by our own errors."""
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
