"""Test doubles of `pycuda.driver` and `pycuda.autoprimaryctx` on a Machine; names and defaults are pycuda's."""

from __future__ import annotations

from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.doubles.machine import POISON, Bytes, Machine, Queue, demand

# The pointers that a kernel reads and writes, by argument index.
KERNELS: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "resize_area": ((0,), (1,)),
}
# Limits of every architecture since Turing.
MOST_THREADS, MOST_BLOCKS = (1024, 1024, 64), ((1 << 31) - 1, 65_535, 65_535)


class Error(Exception):
    """pycuda.driver.Error."""


class LogicError(Error):
    pass


class LaunchError(Error):
    pass


class CudaRuntimeError(Error):
    pass


class CudaMemoryError(Error):
    """pycuda's MemoryError, which does not derive from Python's: wrap_cudadrv.cpp derives it from Error only."""


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
    """The PageLocked object behind an array or a view; None for pageable memory."""
    base: Any = array
    while isinstance(base, np.ndarray):
        base = base.base
    return base if isinstance(base, PageLocked) else None


def _bytes(array: npt.NDArray[Any], what: str) -> Bytes:
    demand(owner(array) is not None, f"{what} of pageable memory is not asynchronous")
    demand(array.flags.c_contiguous, f"{what} takes one block of memory")
    return array.reshape(-1).view(np.uint8)


def make_modules(machine: Machine) -> dict[str, ModuleType]:
    """The modules, by import name."""

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
            # No queue: the constructor failed.
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

    class Event:
        def __init__(self, flags: int = 0) -> None:
            demand_context()
            self.queue, self.position, self.has_time = None, 0, not flags & driver.event_flags.DISABLE_TIMING

        def record(self, stream: Any = None) -> None:
            demand_context()
            demand(stream is not None, "an event is recorded on the default stream")
            self.queue, self.position = stream.queue, stream.queue.finished + len(stream.queue.steps)

        def synchronize(self) -> None:
            demand_context()
            if self.queue is not None:
                machine.run_until(self.queue, self.position)

        def time_since(self, arg2: Event) -> float:
            demand_context()
            for event in (self, arg2):
                demand(event.has_time, "an event without timing is asked for its time")
                demand(event.queue is not None, "an event that was never recorded is asked for its time")
                if event.queue.finished < event.position:
                    raise LogicError("cuEventElapsedTime failed: device not ready")
            demand(self.queue is arg2.queue, "events of two streams are compared, whose work may overlap")
            return float(self.queue.clock_ms[self.position] - arg2.queue.clock_ms[arg2.position])

    def module_from_buffer(buffer: bytes) -> Module:
        demand_context()
        demand(buffer[:4] == b"\x7fELF", "a module is made of a cubin")
        return Module(buffer)

    class Module:
        def __init__(self, image: bytes) -> None:
            self.image = image

        def get_function(self, name: str) -> Any:
            demand(name.encode() in self.image, f"the cubin has no kernel {name}")
            return Function(name)

    class Function:
        def __init__(self, name: str) -> None:
            self.name, self.codes = name, ""

        def prepare(self, arg_types: str, texrefs: Any = None) -> Any:
            self.codes = arg_types
            return self

        def prepared_async_call(
            self, grid: tuple[int, ...], block: tuple[int, ...], stream: Any, *args: Any, **kwargs: Any
        ) -> None:
            demand_context()
            for given, most in ((grid, MOST_BLOCKS), (block, MOST_THREADS)):
                demand(all(0 < size <= limit for size, limit in zip(given, most, strict=True)), f"launches {given}")
            for code, argument in zip(self.codes, args, strict=True):
                demand(code in "Pi" and type(argument) is int, "pycuda packs Python's own integers")
            # Deduplicated by identity: several arguments may point into one block.
            sources, targets = (
                list({id(block): block for block in (machine.block(args[place]) for place in places)}.values())
                for places in KERNELS[self.name]
            )
            for source in sources:
                source.read_by(stream.queue, self.name)
            for target in targets:
                target.written_by(stream.queue)
            machine.enqueue(
                stream.queue,
                self.name,
                (*sources, *targets),
                lambda: machine.kernels.launch(self.name, grid, block, self.codes, args),
            )

    def pagelocked_empty(
        shape: int | tuple[int, ...], dtype: npt.DTypeLike, order: str = "C", mem_flags: int = 0
    ) -> npt.NDArray[Any]:
        demand_context()
        sizes = (shape,) if isinstance(shape, int) else tuple(shape)
        return np.asarray(PageLocked(machine, sizes, np.dtype(dtype)))

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
    driver.pagelocked_empty, driver.module_from_buffer, driver.Event = pagelocked_empty, module_from_buffer, Event
    driver.event_flags = SimpleNamespace(DISABLE_TIMING=2)
    driver.mem_get_info = lambda: (machine.memory - machine.used(), machine.memory)
    driver.memcpy_htod_async, driver.memcpy_dtoh_async = memcpy_htod_async, memcpy_dtoh_async
    primary: Any = ModuleType("pycuda.autoprimaryctx")
    primary.context, primary.device = Context(), device
    # Like the real module on import.
    primary.context.push()
    package: Any = ModuleType("pycuda")
    package.driver, package.autoprimaryctx = driver, primary
    return {"pycuda": package, "pycuda.driver": driver, "pycuda.autoprimaryctx": primary}
