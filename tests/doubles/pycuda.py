"""Stands in for `pycuda.driver` and `pycuda.autoprimaryctx` on a Machine; names and defaults are pycuda's."""

from __future__ import annotations

from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.doubles.machine import POISON, Bytes, Machine, Queue, demand


class Error(Exception):
    """As pycuda.driver.Error."""


class LogicError(Error):
    pass


class LaunchError(Error):
    pass


class CudaRuntimeError(Error):
    pass


class CudaMemoryError(Error, MemoryError):
    """pycuda's MemoryError is Python's too."""


class PageLocked:
    """Owner of a page-locked array, which is the array's `base`."""

    def __init__(self, machine: Machine, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self._machine = machine
        self.data: Bytes = np.full(int(np.prod(shape)) * dtype.itemsize, POISON, np.uint8)
        self.__array_interface__ = {
            "shape": shape,
            "typestr": dtype.str,
            "data": (self.data.ctypes.data, False),
            "version": 3,
        }
        machine.pinned.add(self)

    def free(self) -> None:
        demand(self in self._machine.pinned, "page-locked memory is freed twice")
        demand(not self._machine.is_queued(self), "page-locked memory is freed while queued work uses it")
        self._machine.pinned.discard(self)
        self.data[:] = POISON


def owner(array: npt.NDArray[Any]) -> Any:
    """The PageLocked behind an array or a view of it; None for ordinary memory."""
    base: Any = array
    while isinstance(base, np.ndarray):
        base = base.base
    return base if isinstance(base, PageLocked) else None


def _bytes(array: npt.NDArray[Any], what: str) -> Bytes:
    demand(owner(array) is not None, f"{what} of pageable memory is not asynchronous")
    demand(array.flags.c_contiguous, f"{what} takes one block of memory")
    return array.reshape(-1).view(np.uint8)


def make_modules(machine: Machine) -> dict[str, ModuleType]:
    """The modules by the name they are imported with."""

    def demand_context() -> None:
        if not machine.contexts:
            raise LogicError("invalid device context")

    class Stream:
        def __init__(self, flags: int = 0) -> None:
            demand_context()
            self.queue = Queue(machine.number())
            machine.queues[self.queue.handle] = self.queue

        @property
        def handle(self) -> int:
            return self.queue.handle

        def synchronize(self) -> None:
            demand_context()
            machine.synchronize(self.queue)

        def __del__(self) -> None:
            # Without a queue the constructor failed.
            machine.fault(bool(hasattr(self, "queue") and self.queue.steps), "a stream was destroyed with work in it")

    class DeviceAllocation:
        def __init__(self, size: int) -> None:
            demand_context()
            block = machine.allocate(size)
            if block is None:
                raise CudaMemoryError("cuMemAlloc failed: out of memory")
            self.block = block

        def __int__(self) -> int:
            return self.block.address

        def free(self) -> None:
            demand_context()
            machine.release(self.block)

        def __del__(self) -> None:
            if hasattr(self, "block") and not self.block.freed:
                machine.fault(machine.is_queued(self.block), "memory was dropped while queued work uses it")
                self.block.freed = True
                del machine.blocks[self.block.address]

    def pagelocked_empty(
        shape: tuple[int, ...], dtype: npt.DTypeLike, order: str = "C", mem_flags: int = 0
    ) -> npt.NDArray[Any]:
        demand_context()
        return np.asarray(PageLocked(machine, tuple(shape), np.dtype(dtype)))

    def memcpy_htod_async(dest: Any, src: npt.NDArray[Any], stream: Any) -> None:
        demand_context()
        host, block = _bytes(src, "an upload"), machine.block(int(dest))
        demand(host.size <= block.data.size, "an upload is larger than the memory it goes to")
        before = host.copy()

        def work() -> None:
            demand(np.array_equal(host, before), "page-locked memory was written while its upload was under way")
            block.data[: host.size] = host

        block.written_by(stream.queue)
        machine.enqueue(stream.queue, "upload", (block, owner(src)), work)

    def memcpy_dtoh_async(dest: npt.NDArray[Any], src: Any, stream: Any) -> None:
        demand_context()
        host, block = _bytes(dest, "a download"), machine.block(int(src))
        demand(host.size <= block.data.size, "a download is larger than the memory it comes from")
        block.read_by(stream.queue, "a download")
        host[:] = POISON

        def work() -> None:
            demand(bool(np.all(host == POISON)), "page-locked memory was written while its download was under way")
            host[:] = block.data[: host.size]

        machine.enqueue(stream.queue, "download", (block, owner(dest)), work)

    device = SimpleNamespace(compute_capability=lambda: machine.capability, name=lambda: machine.name)

    class Context:
        def push(self) -> None:
            machine.contexts.append(self)

        @staticmethod
        def pop() -> None:
            if not machine.contexts:
                raise LogicError("cannot pop non-current context")
            machine.contexts.pop()

        @staticmethod
        def get_device() -> Any:
            demand_context()
            return device

    driver: Any = ModuleType("pycuda.driver")
    driver.Error, driver.LogicError, driver.LaunchError = Error, LogicError, LaunchError
    driver.MemoryError, driver.RuntimeError = CudaMemoryError, CudaRuntimeError
    driver.Stream, driver.Context, driver.mem_alloc = Stream, Context, DeviceAllocation
    driver.pagelocked_empty = pagelocked_empty
    driver.memcpy_htod_async, driver.memcpy_dtoh_async = memcpy_htod_async, memcpy_dtoh_async
    primary: Any = ModuleType("pycuda.autoprimaryctx")
    primary.context, primary.device = Context(), device
    # As the real module does when it is imported.
    primary.context.push()
    package: Any = ModuleType("pycuda")
    package.driver, package.autoprimaryctx = driver, primary
    return {"pycuda": package, "pycuda.driver": driver, "pycuda.autoprimaryctx": primary}
