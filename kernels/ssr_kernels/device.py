"""What both launchers need of the GPU: a compiled kernel, and a block of memory that grows with the batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ssr_edge.machine.gpu_memory import allocating
from ssr_kernels.compile import compile_kernel


def load(driver: Any, source: Path, arguments: str) -> Any:
    """Compiles a .cu file for the current context's GPU and returns its function of the same name, ready to be called.

    `arguments` are struct codes ("P" pointer, "i" int32, "f" float32). Only prepared calls are safe: pycuda's plain
    call caches packed arguments by value, takes int32 1 for int64 1, and never lets go of the buffers it was given.

    Raises:
        BuildError, RuntimeUnavailable: as `compile_kernel`.
    """
    major, minor = driver.Context.get_device().compute_capability()
    module = driver.module_from_buffer(compile_kernel(source, f"{major}{minor}"))
    return module.get_function(source.stem).prepare(arguments)


class GrowingBuffer:
    """A page-locked block on the host and its twin on the GPU, both grown as needed, copied on one stream.

    what: its content, in words, for the error of a GPU that is full.
    """

    def __init__(self, driver: Any, stream: Any, what: str) -> None:
        self._driver = driver
        self._stream = stream
        self._what = what
        self._uploaded = driver.Event(driver.event_flags.DISABLE_TIMING)
        self._host: npt.NDArray[np.uint8] = np.empty(0, np.uint8)
        self._device: Any = None

    @property
    def address(self) -> int:
        """Where the block lies on the GPU."""
        return int(self._device)

    def reserve(self, size: int) -> npt.NDArray[np.uint8]:
        """The host block, uint8 [size], free to be written: waits until its last upload has left it.

        Raises:
            MemoryError: the GPU, or page-locked memory, has no room for it.
        """
        self._uploaded.synchronize()
        if size > self._host.size:
            # Kernels still queued read the old block.
            self._stream.synchronize()
            # Given back first, so that old and new need not both fit; and both or none, whatever fails.
            self._host, self._device = np.empty(0, np.uint8), None
            with allocating(self._driver, self._what, size):
                device = self._driver.mem_alloc(size)
                self._host, self._device = self._driver.pagelocked_empty(size, np.uint8), device
        return self._host[:size]

    def upload(self, size: int) -> None:
        """Queues the copy of the first `size` bytes to the GPU."""
        self._driver.memcpy_htod_async(self.address, self._host[:size], self._stream)
        self._uploaded.record(self._stream)

    def download(self, size: int) -> npt.NDArray[np.uint8]:
        """Copies the first `size` bytes back and waits for them: uint8 [size], valid until the next `reserve`."""
        self._driver.memcpy_dtoh_async(self._host[:size], self.address, self._stream)
        self._stream.synchronize()
        return self._host[:size]
