"""A GPU simulated in host memory: queued work runs only when its stream is synchronized; misuse raises immediately."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

# Four of these bytes form a float32 NaN, which no result contains.
POISON = 0xFF
# The alignment of cuMemAlloc.
ALIGNMENT = 256
Bytes = npt.NDArray[np.uint8]


class ContractViolation(AssertionError):
    """Misuse that on a real GPU leads to wrong results, a crash or no visible error."""


def demand(kept: bool, otherwise: str) -> None:
    if not kept:
        raise ContractViolation(otherwise)


@dataclass(eq=False)
class Memory:
    """A device buffer. writer: the stream whose queued work writes it; fresh: not read since the last write."""

    address: int
    data: Bytes
    freed: bool = False
    writer: Queue | None = None
    fresh: bool = False

    def written_by(self, queue: Queue) -> None:
        self.writer, self.fresh = queue, True

    def read_by(self, queue: Queue, what: str) -> None:
        demand(self.fresh, f"{what} reads memory that was not written since the last read")
        demand(self.writer in (None, queue), f"{what} reads memory that another stream is still writing")
        self.fresh = False


@dataclass(eq=False)
class Queue:
    """A stream's work. Each step: its name, the memory it uses, and a function. finished: number of completed steps.

    clock_ms: completion time of each, since the stream's creation.
    """

    handle: int
    steps: list[tuple[str, tuple[Any, ...], Callable[[], None]]] = field(default_factory=list)
    finished: int = 0
    clock_ms: list[float] = field(default_factory=lambda: [0.0])

    def names(self) -> list[str]:
        return [name for name, _, _ in self.steps]


class Machine:
    """The GPU's state. events: log of (what, stream handle). memory: capacity in bytes.

    kernels: runs a kernel on the CPU, for tests that need it: `launch(name, grid, block, codes, arguments)`.
    step_ms: simulated duration of a step, by its name.
    """

    def __init__(self, capability: tuple[int, int] = (8, 9), memory: int = 1 << 30) -> None:
        self.capability, self.memory, self.name = capability, memory, "Double RTX"
        self.events: list[tuple[str, int]] = []
        self.queues: weakref.WeakValueDictionary[int, Queue] = weakref.WeakValueDictionary()
        self.blocks: dict[int, Memory] = {}
        self.pinned: weakref.WeakSet[Any] = weakref.WeakSet()
        self.objects: weakref.WeakSet[Any] = weakref.WeakSet()
        self.faults: list[str] = []
        self.deserialized = 0
        self.refuse_to_run = False
        self.kernels: Any = None
        self.step_ms = {"upload": 0.25, "execute": 2.0, "download": 0.0625}
        self._stacks = threading.local()
        self._next = 0x7000_0000

    @property
    def contexts(self) -> list[object]:
        """The calling thread's stack of contexts."""
        if not hasattr(self._stacks, "stack"):
            self._stacks.stack = []
        stack: list[object] = self._stacks.stack
        return stack

    def number(self) -> int:
        self._next += 0x1000
        return self._next

    def used(self) -> int:
        """Allocated bytes, including the scratch memory of execution contexts."""
        return sum(len(block.data) for block in self.blocks.values()) + sum(int(o.size) for o in self.objects)

    def allocate(self, size: int) -> Memory | None:
        """Memory at its real host address, so that a kernel built for the CPU can follow its pointers."""
        if self.used() + size > self.memory:
            return None
        data = np.full(size + ALIGNMENT, POISON, np.uint8)
        data = data[-data.ctypes.data % ALIGNMENT :][:size]
        address = int(data.ctypes.data)
        self.blocks[address] = Memory(address, data)
        return self.blocks[address]

    def release(self, block: Memory) -> None:
        demand(not block.freed, "memory is freed twice")
        demand(not self.is_queued(block), "memory is freed while queued work uses it")
        block.freed = True
        block.data[:] = POISON
        del self.blocks[block.address]

    def block(self, address: int) -> Memory:
        """The block that contains an address."""
        found = [block for block in self.blocks.values() if 0 <= address - block.address < len(block.data)]
        demand(len(found) == 1, f"no memory at {address:#x}")
        return found[0]

    def enqueue(self, queue: Queue, name: str, uses: tuple[Any, ...], work: Callable[[], None]) -> None:
        queue.steps.append((name, uses, work))
        self.events.append((name, queue.handle))

    def synchronize(self, queue: Queue) -> None:
        self.run_until(queue, queue.finished + len(queue.steps))
        for block in self.blocks.values():
            if block.writer is queue:
                block.writer = None
        self.events.append(("synchronize", queue.handle))

    def run_until(self, queue: Queue, position: int) -> None:
        """Runs the queued steps up to a position, counted from the stream's creation."""
        while queue.finished < position:
            name, _, work = queue.steps.pop(0)
            work()
            queue.clock_ms.append(queue.clock_ms[-1] + self.step_ms.get(name, 0.0))
            queue.finished += 1

    def is_queued(self, used: Any) -> bool:
        return any(item is used for queue in self.queues.values() for _, uses, _ in queue.steps for item in uses)

    def fault(self, happened: bool, what: str) -> None:
        """For destructors, whose exceptions Python ignores: recorded for `demand_clean`."""
        if happened:
            self.faults.append(what)

    def demand_clean(self) -> None:
        """Checks that no queued work, memory or TensorRT object is left, and only the context that pycuda pushed."""
        gc.collect()
        demand(not self.faults, "; ".join(self.faults))
        for queue in self.queues.values():
            demand(not queue.steps, f"a stream was never waited for: {queue.names()}")
        demand(not self.blocks, f"{len(self.blocks)} blocks on the GPU were not freed")
        demand(not self.pinned, f"{len(self.pinned)} page-locked blocks were not freed")
        demand(not self.objects, f"TensorRT objects are left: {sorted(type(o).__name__ for o in self.objects)}")
        demand(len(self.contexts) == 1, f"{len(self.contexts)} contexts are on the stack")
