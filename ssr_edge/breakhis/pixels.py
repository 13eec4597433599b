"""Identifies images by their pixels, independent of their file format."""

from __future__ import annotations

import hashlib

from ssr_edge.images.preprocess import Image


def fingerprint(image: Image) -> str:
    """SHA-256 of an image's size and pixels, uint8 [h, w, 3], BGR."""
    return hashlib.sha256(repr(image.shape).encode() + image.tobytes()).hexdigest()
