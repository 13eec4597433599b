"""Packs images of any size into one block of memory, so that a batch is copied to the GPU in a single transfer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ssr_kernels.errors import UnsupportedImage

Image = npt.NDArray[np.uint8]

# Must match `struct Image` in resize_area.cu; a test compares the sizes.
IMAGE = np.dtype([("pixels", "<u8"), ("pitch", "<i8"), ("width", "<i4"), ("height", "<i4")])
# Rows are aligned to 8 bytes so that the kernel can read whole words; images to 16 so that they share no word.
PITCH_STEP = 8
IMAGE_STEP = 16
# The kernel computes cell positions in 32 bits: source side times destination side.
LARGEST_SIDE = 1 << 20


def plan(images: Sequence[Image]) -> tuple[npt.NDArray[Any], int]:
    """Assigns every image, uint8 [h, w, 3], a place in a block that starts with the table of descriptors itself.

    Returns the table, IMAGE [n], whose `pixels` are byte offsets into the block, and the block's size in bytes.

    Raises:
        UnsupportedImage: an image has another dtype or shape, has no pixels, or a side over LARGEST_SIDE.
    """
    table = np.zeros(len(images), IMAGE)
    end = table.nbytes
    for number, image in enumerate(images):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size > 0:
            raise _unsupported(number, image)
        height, width = image.shape[:2]
        if max(height, width) > LARGEST_SIDE:
            raise _unsupported(number, image)
        start, pitch = _round_up(end, IMAGE_STEP), _round_up(width * 3, PITCH_STEP)
        table[number] = (start, pitch, width, height)
        end = start + height * pitch
    return table, end


def pack(images: Sequence[Image], table: npt.NDArray[Any], block: Image, address: int) -> None:
    """Copies table and images from `plan` into the block, uint8 [size]. address: the block's device address."""
    placed = table.copy()
    placed["pixels"] += np.uint64(address)
    block[: placed.nbytes] = placed.view(np.uint8)
    for image, place in zip(images, table, strict=True):
        rows(block, place)[...] = image


def rows(block: Image, place: Any) -> Image:
    """The pixels of one image in the block, as a view: uint8 [h, w, 3]."""
    start, pitch, width, height = (int(place[name]) for name in ("pixels", "pitch", "width", "height"))
    whole = block[start : start + height * pitch].reshape(height, pitch)
    return whole[:, : width * 3].reshape(height, width, 3)


def _round_up(value: int, step: int) -> int:
    return -(-value // step) * step


def _unsupported(number: int, image: Image) -> UnsupportedImage:
    return UnsupportedImage(
        f"image {number} of the batch is {image.dtype} {list(image.shape)}",
        expected=f"uint8 [height, width, 3], BGR, with sides from 1 to {LARGEST_SIDE:,}",
        next_step="read images with ssr_edge.images.preprocess.decode",
    )
