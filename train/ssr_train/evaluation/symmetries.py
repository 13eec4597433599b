"""Test-time augmentation: tissue has no orientation, so the eight symmetries of an image are equally valid views."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ssr_edge.images.preprocess import Image


def symmetries(images: Image) -> Iterator[Image]:
    """Yields square images, uint8 [n, size, size, 3], rotated by 0, 90, 180 and 270 degrees, then the same mirrored."""
    for mirrored in (images, images[:, :, ::-1]):
        for quarter_turns in range(4):
            yield np.ascontiguousarray(np.rot90(mirrored, quarter_turns, axes=(1, 2)))
