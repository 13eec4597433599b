"""Draws class activation maps over images on the GPU, for people who ask where in the tissue a label comes from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ssr_kernels.compile import CAM_OVERLAY
from ssr_kernels.device import GrowingBuffer, load
from ssr_kernels.staging import Image, pack, plan, rows

# Twin of `struct Overlay` in cam_overlay.cu; a test compares the sizes.
OVERLAY = np.dtype(
    [
        ("image", "<u8"),
        ("out", "<u8"),
        ("pitch", "<i8"),
        ("width", "<i4"),
        ("height", "<i4"),
        ("low", "<f4"),
        ("high", "<f4"),
    ]
)
BLOCK = (32, 8, 1)
# What CUDA takes along a grid's second axis; the kernel goes round for the rest.
MOST_BLOCKS = 65_535

Floats = npt.NDArray[np.float32]


class GpuCamOverlay:
    """Blends maps over uint8 BGR images through one color table, on one CUDA stream.

    driver: as for `GpuResizer`; colors: uint8 [256, 3] BGR; alpha: the color's share, 0 to 1. CI runs it against a
    stand-in for pycuda only.

    Raises:
        RuntimeUnavailable: NVRTC is missing.
        BuildError: the kernel doesn't compile for this GPU.
    """

    def __init__(self, driver: Any, stream: Any, colors: Image, alpha: float) -> None:
        self._kernel = load(driver, CAM_OVERLAY, "PPiiPf")
        self._stream = stream
        self._alpha = alpha
        self._colors = np.asarray(colors, np.uint8)
        self._images = GrowingBuffer(driver, stream, "the images to draw on")
        self._extras = GrowingBuffer(driver, stream, "the activation maps")

    def draw(self, images: Sequence[Image], cams: Floats, low: Floats, high: Floats) -> list[Image]:
        """Returns new uint8 [h, w, 3] BGR images with their maps drawn over them; waits for the GPU.

        images: n of uint8 [h, w, 3] BGR, any sizes; cams: float32 [n, any, any], one map each, enlarged to the image;
        low, high: float32 [n], the map's values that take the first and the last color.

        Raises:
            InputError: an image that is not uint8 [h, w, 3].
        """
        table, size = plan(images)
        pack(images, table, self._images.reserve(size), self._images.address)
        self._images.upload(size)
        overlays, maps, colors = self._upload_extras(
            [self._describe(table, low, high), np.asarray(cams, np.float32), self._colors]
        )
        columns, bands = (-(-int(table[side].max()) // BLOCK[axis]) for axis, side in enumerate(("width", "height")))
        grid = (columns, min(bands, MOST_BLOCKS), len(images))
        height, width = cams.shape[1:]
        self._kernel.prepared_async_call(
            grid, BLOCK, self._stream, overlays, maps, width, height, colors, float(self._alpha)
        )
        drawn = self._images.download(size)
        return [rows(drawn, place).copy() for place in table]

    def _describe(self, table: npt.NDArray[Any], low: Floats, high: Floats) -> npt.NDArray[Any]:
        overlays = np.zeros(len(table), OVERLAY)
        # Drawn in place: the originals stay with the caller.
        overlays["image"] = overlays["out"] = table["pixels"] + np.uint64(self._images.address)
        for name in ("pitch", "width", "height"):
            overlays[name] = table[name]
        overlays["low"], overlays["high"] = low, high
        return overlays

    def _upload_extras(self, arrays: list[npt.NDArray[Any]]) -> list[int]:
        """Queues the copy of arrays one behind the other and returns where each will lie on the GPU."""
        sizes = [array.nbytes for array in arrays]
        block = self._extras.reserve(sum(sizes))
        starts = [sum(sizes[:number]) for number in range(len(sizes))]
        for array, start, size in zip(arrays, starts, sizes, strict=True):
            block[start : start + size] = np.frombuffer(array.tobytes(), np.uint8)
        self._extras.upload(sum(sizes))
        return [self._extras.address + start for start in starts]
