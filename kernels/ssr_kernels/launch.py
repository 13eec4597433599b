"""Resizes a batch on the GPU, straight into the memory an engine reads its input from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from ssr_kernels.compile import RESIZE_AREA
from ssr_kernels.device import GrowingBuffer, load
from ssr_kernels.staging import Image, pack, plan

# As in resize_area.cu; a test compares them.
TILE = 32
ROWS = 8
THREADS = TILE * 3


class GpuResizer:
    """INTER_AREA resize of uint8 BGR images to [n, size, size, 3] on one CUDA stream, within 1 gray level of OpenCV.

    driver: the module `pycuda.driver`, handed in because whoever opens the GPU chooses the context: the primary one, as
    `ssr_edge.runners.tensorrt.cuda.open_cuda` does, never that of `pycuda.autoinit`. It must be current in every call.

    CI has no GPU: it runs this code against a stand-in for pycuda and the kernel built for the CPU; tests/gpu is for a
    real GPU.

    Raises:
        RuntimeUnavailable: NVRTC is missing.
        BuildError: the kernel doesn't compile for this GPU.
    """

    def __init__(self, driver: Any, stream: Any, size: int = 224) -> None:
        self._kernel = load(driver, RESIZE_AREA, "PPii")
        self._stream = stream
        self._size = size
        self._source = GrowingBuffer(driver, stream, "the originals of a batch")

    def resize(self, images: Sequence[Image], out: int) -> None:
        """Queues the copy and the resize of one or more uint8 [h, w, 3] BGR images of any sizes, and returns at once.

        out: where on the GPU uint8 [n, size, size, 3] BGR in [0, 255] will lie when the stream gets there. The images
        may change as soon as the call returns.

        Raises:
            InputError: an image that is not uint8 [h, w, 3].
            MemoryError: the GPU, or page-locked memory, has no room for the images.
        """
        self.stage(images, out)()

    def stage(self, images: Sequence[Image], out: int) -> Callable[[], None]:
        """As `resize`, but queues only the copy and returns what queues the kernel, which may be called repeatedly."""
        table, size = plan(images)
        pack(images, table, self._source.reserve(size), self._source.address)
        self._source.upload(size)
        grid = (-(-self._size // TILE), -(-self._size // ROWS), len(images))
        arguments = (self._source.address, out, self._size, self._size)
        return partial(self._kernel.prepared_async_call, grid, (THREADS, 1, 1), self._stream, *arguments)
