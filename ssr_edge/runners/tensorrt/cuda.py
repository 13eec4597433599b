"""CUDA for the TensorRT runners: the primary context, and page-locked host buffers paired with device buffers."""

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
    """An opened GPU. driver: `pycuda.driver`. context: the primary one. name: the GPU's. architecture: e.g. `sm_89`."""

    driver: Any
    context: Any
    name: str
    architecture: str

    @contextmanager
    def current(self) -> Iterator[None]:
        """Makes the context current in the calling thread and maps CUDA errors; all GPU work must happen inside.

        Raises:
            RuntimeUnavailable: the GPU ran out of memory, or failed.
        """
        self.context.push()
        try:
            yield
        except Exception as error:
            # The error's frames hold GPU objects, which must be freed while the context is current.
            clear_frames(error.__traceback__)
            # pycuda's MemoryError, raised for GPU and page-locked memory, does not derive from Python's.
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
            expected="room for the engine and, per slot, its scratch memory and its largest batch",
            next_step="ssr-edge build-engine --batch 1,4,8 for smaller buffers; with --resize gpu also infer --batch 1 "
            "(nvidia-smi shows what else holds memory)",
        )

    def _failed(self, error: Exception) -> RuntimeUnavailable:
        return RuntimeUnavailable(
            f"{self.name} failed: {error}",
            expected="a working GPU and a driver that supports it",
            next_step="nvidia-smi, then run the same command again",
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
            expected="pycuda, which is compiled against CUDA's headers when installed",
            next_step=install_hint(extra),
        ) from error
    except ImportError as error:
        raise _no_gpu(str(error)) from error


def open_cuda(extra: str) -> Cuda:
    """Opens the first GPU, or the one named by the variable CUDA_DEVICE. extra: for the pip command in errors.

    PyTorch and TensorRT use the primary context; `pycuda.autoinit` would create another one and break them.

    Raises:
        RuntimeUnavailable: pycuda, the driver or the GPU is missing.
    """
    driver = import_pycuda(extra)
    try:
        primary: Any = import_module("pycuda.autoprimaryctx")
    except (driver.Error, RuntimeError) as error:
        raise _no_gpu(str(error)) from error
    # Not the context's get_device(), which works only in the thread that imported pycuda first.
    major, minor = primary.device.compute_capability()
    return Cuda(driver, primary.context, primary.device.name(), f"sm_{major}{minor}")


def _no_gpu(reason: str) -> RuntimeUnavailable:
    return RuntimeUnavailable(
        f"no NVIDIA GPU can be used: {reason}",
        expected="an NVIDIA GPU and its driver",
        next_step="ssr-edge doctor, or --runtime openvino",
    )


class TransferBuffer:
    """A page-locked host array and a device buffer, copied on one stream; both are freed with the object.

    Only copies of page-locked memory overlap with compute. host: array of `shape` and `dtype`; not to be touched
    between a copy's call and the stream's synchronize. what: a description of the content, for errors.

    Raises:
        MemoryError: the GPU, or page-locked memory, has no room for it.
    """

    def __init__(self, driver: Any, stream: Any, what: str, shape: tuple[int, ...], dtype: npt.DTypeLike) -> None:
        self._driver, self._stream = driver, stream
        size = prod(shape) * np.dtype(dtype).itemsize
        with allocating(driver, what, size):
            self.host: npt.NDArray[Any] = driver.pagelocked_empty(shape, dtype)
            self._device = driver.mem_alloc(size)

    @property
    def address(self) -> int:
        """Device address of the buffer."""
        return int(self._device)

    def upload(self, rows: int) -> None:
        """Queues the copy of the first rows to the GPU."""
        self._driver.memcpy_htod_async(self._device, self.host[:rows], self._stream)

    def download(self, rows: int) -> None:
        """Queues the copy of the first rows from the GPU."""
        self._driver.memcpy_dtoh_async(self.host[:rows], self._device, self._stream)
