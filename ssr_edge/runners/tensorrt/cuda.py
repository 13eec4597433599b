"""The CUDA side of the TensorRT runners: the primary context, and page-locked buffers with their twins on the GPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from math import prod
from traceback import clear_frames
from typing import Any

import numpy as np
import numpy.typing as npt

from ssr_edge.common.errors import RuntimeUnavailable
from ssr_edge.common.install_hint import install_hint
from ssr_edge.machine.gpu_memory import allocating


@dataclass(frozen=True)
class Cuda:
    """A GPU in use. driver: `pycuda.driver`. context: the primary one. name: the GPU's. architecture: e.g. `sm_89`."""

    driver: Any
    context: Any
    name: str
    architecture: str

    @contextmanager
    def current(self) -> Iterator[None]:
        """Everything on the GPU happens inside: makes the context the calling thread's, and puts its errors in words.

        Raises:
            RuntimeUnavailable: the GPU ran out of memory, or failed.
        """
        self.context.push()
        try:
            yield
        except Exception as error:
            # Or the error would hold, in its frames, what was got on the GPU, and drop it when no context is current.
            clear_frames(error.__traceback__)
            # pycuda's MemoryError, of the GPU and of page-locked memory alike, is not Python's.
            if isinstance(error, (MemoryError, self.driver.MemoryError)):
                raise self._out_of_memory(error) from error
            if isinstance(error, self.driver.Error):
                raise self._failed(error) from error
            raise
        finally:
            self.context.pop()

    def _out_of_memory(self, error: Exception) -> RuntimeUnavailable:
        return RuntimeUnavailable(
            f"{self.name} is out of memory: {error}",
            expected="room for the engine and, for each slot, its scratch memory and its largest batch",
            next_step="ssr-edge build-engine --batch 1,4,8 for smaller buffers; with --resize gpu also infer --batch 1 "
            "(nvidia-smi shows what else holds memory)",
        )

    def _failed(self, error: Exception) -> RuntimeUnavailable:
        return RuntimeUnavailable(
            f"{self.name} failed: {error}",
            expected="a GPU in order, and a driver that knows it",
            next_step="nvidia-smi, then the same command again",
        )


def import_pycuda(extra: str) -> Any:
    """`pycuda.driver`. extra: for the pip command in errors.

    Raises:
        RuntimeUnavailable: pycuda or the driver's library is missing.
    """
    try:
        return import_module("pycuda.driver")
    except ModuleNotFoundError as error:
        raise RuntimeUnavailable(
            f"pycuda can't be imported: {error}",
            expected="pycuda, which compiles itself against CUDA's headers",
            next_step=install_hint(extra),
        ) from error
    except ImportError as error:
        raise _no_gpu(str(error)) from error


def open_cuda(extra: str) -> Cuda:
    """Opens the first GPU, or the one that the variable CUDA_DEVICE names. extra: for the pip command in errors.

    The primary context is the one that PyTorch and TensorRT use; `pycuda.autoinit` would make another and break them.

    Raises:
        RuntimeUnavailable: pycuda, the driver or the GPU is missing.
    """
    driver = import_pycuda(extra)
    try:
        primary: Any = import_module("pycuda.autoprimaryctx")
    except (driver.Error, RuntimeError) as error:
        raise _no_gpu(str(error)) from error
    # Not the context's get_device(), which answers only on the thread that imported pycuda first.
    major, minor = primary.device.compute_capability()
    return Cuda(driver, primary.context, primary.device.name(), f"sm_{major}{minor}")


def _no_gpu(reason: str) -> RuntimeUnavailable:
    return RuntimeUnavailable(
        f"no NVIDIA GPU can be used: {reason}",
        expected="an NVIDIA GPU and its driver",
        next_step="ssr-edge doctor, or --runtime openvino",
    )


class TransferBuffer:
    """A page-locked array on the host and its twin on the GPU, copied on one stream; both are freed with the object.

    Only copies of page-locked memory overlap with compute. host: what `shape` and `dtype` say; the GPU's, to read or
    to write, from a copy's call to the stream's synchronize. what: its content, in words.

    Raises:
        MemoryError: the GPU, or page-locked memory, has no room for it.
    """

    def __init__(self, driver: Any, stream: Any, what: str, shape: tuple[int, ...], dtype: npt.DTypeLike) -> None:
        self._driver, self._stream = driver, stream
        size = prod(shape) * np.dtype(dtype).itemsize
        with allocating(driver, what, size):
            self.host: npt.NDArray[Any] = driver.pagelocked_empty(shape, dtype)
            self._twin = driver.mem_alloc(size)

    @property
    def address(self) -> int:
        """Where the twin lies on the GPU."""
        return int(self._twin)

    def upload(self, rows: int) -> None:
        """Queues the copy of the first rows to the GPU."""
        self._driver.memcpy_htod_async(self._twin, self.host[:rows], self._stream)

    def download(self, rows: int) -> None:
        """Queues the copy of the first rows from the GPU."""
        self._driver.memcpy_dtoh_async(self.host[:rows], self._twin, self._stream)
