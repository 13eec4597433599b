"""Stands in for pycuda on host memory: work queued on a stream runs only when it is waited for, as late as can be."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
from host_kernels import HostKernels

POISON = 0xA5
KEPT: list[npt.NDArray[Any]] = []
FREED: list[npt.NDArray[Any]] = []


def poison() -> None:
    for memory in FREED:
        memory[:] = POISON


class Allocation:
    """Memory "on the GPU". Once freed it is kept, poisoned over and over, so that its use can not go unnoticed."""

    def __init__(self, size: int) -> None:
        self.memory = np.full(size, POISON, np.uint8)
        KEPT.append(self.memory)

    def __int__(self) -> int:
        return int(self.memory.ctypes.data)

    def __del__(self) -> None:
        FREED.append(self.memory)
        poison()


class Stream:
    def __init__(self) -> None:
        self.queue: list[Callable[[], None]] = []
        self.finished = 0

    def run_until(self, position: int) -> None:
        while self.finished < position:
            self.queue[self.finished]()
            poison()
            self.finished += 1

    def synchronize(self) -> None:
        self.run_until(len(self.queue))


class Event:
    def __init__(self, flags: int = 0) -> None:
        self.stream, self.position = Stream(), 0

    def record(self, stream: Stream) -> None:
        self.stream, self.position = stream, len(stream.queue)

    def synchronize(self) -> None:
        self.stream.run_until(self.position)


class Function:
    def __init__(self, host: HostKernels, name: str) -> None:
        self.host, self.name, self.codes = host, name, ""

    def prepare(self, codes: str) -> Function:
        self.codes = codes
        return self

    def prepared_async_call(
        self, grid: tuple[int, ...], block: tuple[int, ...], stream: Stream, *arguments: float
    ) -> None:
        for code, argument in zip(self.codes, arguments, strict=True):
            assert type(argument) is (float if code == "f" else int), "pycuda packs Python's own numbers"
        stream.queue.append(lambda: self.host.launch(self.name, grid, block, self.codes, arguments))


class Module:
    def __init__(self, host: HostKernels, cubin: bytes) -> None:
        self.host, self.cubin = host, cubin

    def get_function(self, name: str) -> Function:
        assert name.encode() in self.cubin
        return Function(self.host, name)


def pagelocked_empty(shape: int, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    memory = np.full(shape, POISON, dtype)
    KEPT.append(memory)
    return memory


def copy(target: int, source: int, size: int, stream: Stream) -> None:
    def run() -> None:
        ctypes.memmove(target, source, size)

    stream.queue.append(run)


def upload(target: int, source: npt.NDArray[np.uint8], stream: Stream) -> None:
    copy(target, source.ctypes.data, source.nbytes, stream)


def download(target: npt.NDArray[np.uint8], source: int, stream: Stream) -> None:
    copy(target.ctypes.data, source, target.nbytes, stream)


def driver(host: HostKernels) -> Any:
    """What stands in for the module pycuda.driver."""
    KEPT.clear()
    FREED.clear()
    device = SimpleNamespace(compute_capability=lambda: (8, 7))
    return SimpleNamespace(
        Context=SimpleNamespace(get_device=lambda: device),
        Event=Event,
        Stream=Stream,
        event_flags=SimpleNamespace(DISABLE_TIMING=2),
        mem_alloc=Allocation,
        memcpy_dtoh_async=download,
        memcpy_htod_async=upload,
        module_from_buffer=lambda cubin: Module(host, cubin),
        pagelocked_empty=pagelocked_empty,
    )
