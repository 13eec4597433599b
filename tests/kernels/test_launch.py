"""The launcher on a test double of pycuda that runs the real kernel on the CPU; tests/gpu uses a real GPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from ssr_kernels import launch
from ssr_kernels.errors import OutOfMemory
from ssr_kernels.launch import GpuResizer
from ssr_kernels.staging import Image, plan
from tests.doubles.host_kernels import HostKernels, noise
from tests.doubles.machine import ContractViolation


class Target:
    """Device memory for n resized images, and a way to read it back on the stream."""

    def __init__(self, gpu: Any, stream: Any, count: int, size: int) -> None:
        self.driver, self.stream, self.shape = gpu.driver, stream, (count, size, size, 3)
        self.memory = gpu.driver.mem_alloc(count * size * size * 3)

    def read_back(self) -> npt.NDArray[np.uint8]:
        """Queues the copy to the host; the array is filled when the stream is synchronized."""
        copied: npt.NDArray[np.uint8] = self.driver.pagelocked_empty(self.shape, np.uint8)
        self.driver.memcpy_dtoh_async(copied, self.memory, self.stream)
        return copied


def test_launch_shape_is_the_kernels(host: HostKernels) -> None:
    kernel = tuple(host.constant(name) for name in ("tile", "rows", "threads"))
    assert kernel == (launch.TILE, launch.ROWS, launch.THREADS)


def test_resizes_a_batch_and_waits_for_nothing(gpu: Any, host: HostKernels) -> None:
    stream, images = gpu.driver.Stream(), [noise(100, 90), noise(7, 300), noise(224, 224)]
    target = Target(gpu, stream, 3, 224)
    resizer = GpuResizer(gpu.driver, stream)
    resizer.resize(images, int(target.memory))
    gpu.machine.events.clear()
    resizer.resize(images, int(target.memory))
    assert gpu.machine.events == [("upload", stream.handle), ("resize_area", stream.handle)]
    out = target.read_back()
    stream.synchronize()
    np.testing.assert_array_equal(out, host.resize(images))


def test_originals_may_change_as_soon_as_the_call_returns(gpu: Any, host: HostKernels) -> None:
    stream, image = gpu.driver.Stream(), noise(50, 40)
    target = Target(gpu, stream, 1, 16)
    expected = host.resize([image], (16, 16))
    resizer = GpuResizer(gpu.driver, stream, 16)
    resizer.resize([image], int(target.memory))
    image[:] = 0
    out = target.read_back()
    stream.synchronize()
    np.testing.assert_array_equal(out, expected)


def test_host_block_is_not_rewritten_before_it_has_left(gpu: Any, host: HostKernels) -> None:
    stream = gpu.driver.Stream()
    resizer, target = GpuResizer(gpu.driver, stream, 16), Target(gpu, stream, 1, 16)
    pairs = []
    for seed in range(3):
        image = noise(50, 40, seed)
        resizer.resize([image], int(target.memory))
        pairs.append((image, target.read_back()))
    stream.synchronize()
    for image, out in pairs:
        np.testing.assert_array_equal(out, host.resize([image], (16, 16)))


@pytest.mark.parametrize(
    "second",
    [[noise(90, 80, 1)], [noise(10, 10, 1), noise(90, 9, 2)]],
    ids=["larger", "more"],
)
def test_the_block_grows_only_when_it_is_idle(gpu: Any, host: HostKernels, second: list[Image]) -> None:
    stream, first = gpu.driver.Stream(), [noise(20, 20)]
    resizer, target = GpuResizer(gpu.driver, stream, 16), Target(gpu, stream, 2, 16)
    resizer.resize(first, int(target.memory))
    before = target.read_back()
    resizer.resize(second, int(target.memory))
    after = target.read_back()
    stream.synchronize()
    np.testing.assert_array_equal(before[:1], host.resize(first, (16, 16)))
    np.testing.assert_array_equal(after[: len(second)], host.resize(second, (16, 16)))


def test_the_block_is_reused(gpu: Any) -> None:
    stream = gpu.driver.Stream()
    resizer, target = GpuResizer(gpu.driver, stream, 16), Target(gpu, stream, 2, 16)
    resizer.resize([noise(20, 20), noise(30, 30)], int(target.memory))
    allocated = set(gpu.machine.blocks)
    resizer.resize([noise(10, 10)], int(target.memory))
    assert set(gpu.machine.blocks) == allocated
    stream.synchronize()


def test_originals_without_room_are_named_and_cost_nothing_else(gpu: Any, host: HostKernels) -> None:
    stream = gpu.driver.Stream()
    resizer, target = GpuResizer(gpu.driver, stream, 16), Target(gpu, stream, 1, 16)
    resizer.resize([noise(20, 20)], int(target.memory))
    gpu.machine.memory = 1 << 20
    with pytest.raises(OutOfMemory) as refused:
        resizer.resize([noise(1000, 1000)], int(target.memory))
    assert (refused.value.what, refused.value.size) == ("the originals of a batch", plan([noise(1000, 1000)])[1])
    assert "cuMemAlloc" in refused.value.reason
    # Smaller than the failed image and larger than the one before: the old buffer must not count as large enough.
    image = noise(200, 200)
    resizer.resize([image], int(target.memory))
    out = target.read_back()
    stream.synchronize()
    np.testing.assert_array_equal(out, host.resize([image], (16, 16)))


def test_old_and_new_block_need_not_both_fit(gpu: Any, host: HostKernels) -> None:
    stream = gpu.driver.Stream()
    resizer, target = GpuResizer(gpu.driver, stream, 16), Target(gpu, stream, 1, 16)
    resizer.resize([noise(100, 100)], int(target.memory))
    _, larger = plan([noise(101, 101)])
    gpu.machine.memory = larger + 16 * 16 * 3
    image = noise(101, 101)
    resizer.resize([image], int(target.memory))
    out = target.read_back()
    stream.synchronize()
    np.testing.assert_array_equal(out, host.resize([image], (16, 16)))


def test_a_dropped_target_is_noticed(gpu: Any) -> None:
    stream = gpu.driver.Stream()
    resizer, target = GpuResizer(gpu.driver, stream, 16), Target(gpu, stream, 1, 16)
    address = int(target.memory)
    target.memory.free()
    with pytest.raises(ContractViolation, match="no memory at"):
        resizer.resize([noise(20, 20)], address)
    stream.synchronize()
