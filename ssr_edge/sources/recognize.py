"""Distinguishes whole-slide images from ordinary images without reading pixels."""

from __future__ import annotations

import logging
from pathlib import Path

from ssr_edge.images.opencv import MAX_PIXELS
from ssr_edge.images.preprocess import TIFF_SUFFIXES

SLIDE_SUFFIXES = frozenset({".svs", ".ndpi"})


def is_slide(path: Path) -> bool:
    """True for a scanner's suffix, and for a TIFF that is a tiled pyramid or has more pixels than an image may have.

    False for a damaged TIFF, and for every TIFF if the extra `wsi` is not installed.
    """
    suffix = path.suffix.lower()
    return suffix in SLIDE_SUFFIXES or (suffix in TIFF_SUFFIXES and _is_pyramid(path))


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
    except Exception:  # tifffile raises many kinds of errors for damaged files; decoding the image reports the reason
        return False


def quiet_tifffile() -> None:
    """Silences tifffile's log messages about damaged files, which our own errors report."""
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
