"""Resizes a batch on the GPU, directly into the engine's input buffer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from ssr_kernels.compile import RESIZE_AREA
from ssr_kernels.device import GrowingBuffer, load
from ssr_kernels.staging import Image, pack, plan

# Must match resize_area.cu; a test compares them.
TILE = 32
ROWS = 8
THREADS = TILE * 3


class GpuResizer:
    """INTER_AREA resize of uint8 BGR images to [n, size, size, 3] on one CUDA stream, within 1 gray level of OpenCV.

    driver: the module `pycuda.driver`. The caller passes it because the caller chooses the CUDA context, which must be
    current in every call: the primary context, never that of `pycuda.autoinit`.

    CI has no GPU: there this code runs against a test double of pycuda, with the kernel built for the CPU. The tests in
    tests/gpu need a GPU.

    Raises:
        CompilerMissing: NVRTC is missing.
        CompileError: the kernel does not compile for this GPU.
    """

    def __init__(self, driver: Any, stream: Any, size: int = 224) -> None:
        self._kernel = load(driver, RESIZE_AREA, "PPii")
        self._stream = stream
        self._size = size
        self._source = GrowingBuffer(driver, stream, "the originals of a batch")

    def resize(self, images: Sequence[Image], out: int) -> None:
        """Queues the copy and the resize of one or more uint8 [h, w, 3] BGR images of any sizes; returns at once.

        out: device address that receives uint8 [n, size, size, 3] BGR in [0, 255]. The images may be overwritten as
        soon as the call returns.

        Raises:
            UnsupportedImage: an image is not uint8 [h, w, 3].
            OutOfMemory: the GPU, or page-locked memory, has no room for the images.
        """
        self.stage(images, out)()

    def stage(self, images: Sequence[Image], out: int) -> Callable[[], None]:
        """Like `resize`, but queues only the copy; returns a function that queues the kernel, any number of times."""
        table, size = plan(images)
        pack(images, table, self._source.reserve(size), self._source.address)
        self._source.upload(size)
        grid = (-(-self._size // TILE), -(-self._size // ROWS), len(images))
        arguments = (self._source.address, out, self._size, self._size)
        return partial(self._kernel.prepared_async_call, grid, (THREADS, 1, 1), self._stream, *arguments)
