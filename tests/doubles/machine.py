"""A GPU on host memory: work queued on a stream runs only when the stream is waited for, and misuse raises at once."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

# Four of these bytes are a float32 NaN, which no result contains.
POISON = 0xFF
# As cuMemAlloc aligns.
ALIGNMENT = 256
Bytes = npt.NDArray[np.uint8]


class ContractViolation(AssertionError):
    """Something that a real GPU would answer with wrong results, a crash or nothing at all."""


def demand(kept: bool, otherwise: str) -> None:
    if not kept:
        raise ContractViolation(otherwise)


@dataclass(eq=False)
class Memory:
    """A block on the GPU. writer: the stream whose queued work makes its content; fresh: not yet read since."""

    address: int
    data: Bytes
    freed: bool = False
    writer: Queue | None = None
    fresh: bool = False

    def written_by(self, queue: Queue) -> None:
        self.writer, self.fresh = queue, True

    def read_by(self, queue: Queue, what: str) -> None:
        demand(self.fresh, f"{what} reads memory that nothing has written since it was read last")
        demand(self.writer in (None, queue), f"{what} reads what another stream is still writing")
        self.fresh = False


@dataclass(eq=False)
class Queue:
    """What a stream has to do. Each step: what it is, the memory it uses, and the work. finished: steps done so far.

    clock_ms: when each of those was done, after the stream's beginning.
    """

    handle: int
    steps: list[tuple[str, tuple[Any, ...], Callable[[], None]]] = field(default_factory=list)
    finished: int = 0
    clock_ms: list[float] = field(default_factory=lambda: [0.0])

    def names(self) -> list[str]:
        return [name for name, _, _ in self.steps]


class Machine:
    """The GPU's state. events: everything that happened, as (what, stream handle). memory: bytes it has.

    kernels: what runs a kernel on the CPU, for the tests that need one: `launch(name, grid, block, codes, arguments)`.
    step_ms: how long events say that a step takes, by its name.
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
        """Bytes taken on the GPU, the scratch memory of execution contexts included."""
        return sum(len(block.data) for block in self.blocks.values()) + sum(int(o.size) for o in self.objects)

    def allocate(self, size: int) -> Memory | None:
        """Memory at its true address, so that a kernel built for the CPU can follow the pointers in it."""
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
        """The block that an address lies in."""
        found = [block for block in self.blocks.values() if 0 <= address - block.address < len(block.data)]
        demand(len(found) == 1, f"no memory lies at {address:#x}")
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
        """Does what was queued up to a position, counted from the stream's beginning, and no more."""
        while queue.finished < position:
            name, _, work = queue.steps.pop(0)
            work()
            queue.clock_ms.append(queue.clock_ms[-1] + self.step_ms.get(name, 0.0))
            queue.finished += 1

    def is_queued(self, used: Any) -> bool:
        return any(item is used for queue in self.queues.values() for _, uses, _ in queue.steps for item in uses)

    def fault(self, happened: bool, what: str) -> None:
        """For destructors, whose exceptions nobody sees: kept for `demand_clean`."""
        if happened:
            self.faults.append(what)

    def demand_clean(self) -> None:
        """Nothing is left: no queued work, no memory, no TensorRT object, no context but the one pycuda pushed."""
        gc.collect()
        demand(not self.faults, "; ".join(self.faults))
        for queue in self.queues.values():
            demand(not queue.steps, f"a stream was never waited for: {queue.names()}")
        demand(not self.blocks, f"{len(self.blocks)} blocks on the GPU were not freed")
        demand(not self.pinned, f"{len(self.pinned)} page-locked blocks were not freed")
        demand(not self.objects, f"TensorRT objects are left: {sorted(type(o).__name__ for o in self.objects)}")
        demand(len(self.contexts) == 1, f"{len(self.contexts)} contexts are on the stack")
