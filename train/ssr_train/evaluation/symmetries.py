"""Test-time augmentation: tissue has no up and no left, so an image's eight symmetries are eight views of it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ssr_edge.images.preprocess import Image


def symmetries(images: Image) -> Iterator[Image]:
    """Square images, uint8 [n, size, size, 3], as they are, then turned by right angles, then all four mirrored."""
    for mirrored in (images, images[:, :, ::-1]):
        for quarter_turns in range(4):
            yield np.ascontiguousarray(np.rot90(mirrored, quarter_turns, axes=(1, 2)))
