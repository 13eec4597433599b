"""GPU side of the launcher: loads a compiled kernel, and a device buffer that grows with the batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ssr_kernels.compile import compile_kernel
from ssr_kernels.errors import OutOfMemory


def load(driver: Any, source: Path, arguments: str) -> Any:
    """Compiles a .cu file for the current context's GPU and returns its function of the same name, prepared.

    arguments: struct codes ("P" pointer, "i" int32). Only prepared calls are safe: pycuda's plain call caches packed
    arguments by value, takes int32 1 for int64 1, and never releases the buffers that it was given.

    Raises:
        CompileError, CompilerMissing: see `compile_kernel`.
    """
    major, minor = driver.Context.get_device().compute_capability()
    module = driver.module_from_buffer(compile_kernel(source, f"{major}{minor}"))
    return module.get_function(source.stem).prepare(arguments)


class GrowingBuffer:
    """A page-locked host buffer and a device buffer of the same size, grown on demand, copied on one stream.

    what: a description of the content, for the out-of-memory error.
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
        """Device address of the buffer."""
        return int(self._device)

    def reserve(self, size: int) -> npt.NDArray[np.uint8]:
        """Returns the host buffer, uint8 [size], ready to be written: waits until its last upload has finished.

        Raises:
            OutOfMemory: the GPU, or page-locked memory, has no room for it.
        """
        self._uploaded.synchronize()
        if size > self._host.size:
            # Queued kernels still read the old buffer.
            self._stream.synchronize()
            # Freed first, so that old and new need not both fit. Assigned together, so that a failure leaves neither.
            self._host, self._device = np.empty(0, np.uint8), None
            try:
                device = self._driver.mem_alloc(size)
                self._host, self._device = self._driver.pagelocked_empty(size, np.uint8), device
            # pycuda's MemoryError does not derive from Python's.
            except self._driver.MemoryError as error:
                raise OutOfMemory(self._what, size, str(error)) from error
        return self._host[:size]

    def upload(self, size: int) -> None:
        """Queues the copy of the first `size` bytes to the GPU."""
        self._driver.memcpy_htod_async(self.address, self._host[:size], self._stream)
        self._uploaded.record(self._stream)
