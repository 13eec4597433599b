"""The launcher against a stand-in for pycuda that runs the real kernel on the CPU; tests/gpu has the real thing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pycuda_double
import pytest
from host_kernels import HostKernels, noise

from ssr_kernels import launch
from ssr_kernels.launch import GpuResizer
from ssr_kernels.staging import Image


@pytest.fixture
def cuda(host: HostKernels) -> Any:
    return pycuda_double.driver(host)


def test_launch_shape_is_the_kernels(host: HostKernels) -> None:
    kernel = tuple(host.constant(name) for name in ("tile", "rows", "threads"))
    assert kernel == (launch.TILE, launch.ROWS, launch.THREADS)


def test_resizes_a_batch(cuda: Any, host: HostKernels) -> None:
    stream, images = cuda.Stream(), [noise(100, 90), noise(7, 300), noise(224, 224)]
    resizer = GpuResizer(cuda, stream)
    out = resizer.resize(images)
    assert stream.finished == 0  # nothing waits: copy and kernel are queued
    stream.synchronize()
    np.testing.assert_array_equal(out.memory.reshape(3, 224, 224, 3), host.resize(images))


def test_host_block_is_not_rewritten_before_it_has_left(cuda: Any, host: HostKernels) -> None:
    stream = cuda.Stream()
    resizer = GpuResizer(cuda, stream, 16)
    first, second = [noise(50, 40)], [noise(50, 40, 1)]
    out = resizer.resize(first)
    seen: list[Any] = []
    stream.queue.append(lambda: seen.append(out.memory.copy()))
    resizer.resize(second)
    stream.synchronize()
    np.testing.assert_array_equal(seen[0].reshape(1, 16, 16, 3), host.resize(first, (16, 16)))
    np.testing.assert_array_equal(out.memory.reshape(1, 16, 16, 3), host.resize(second, (16, 16)))


@pytest.mark.parametrize(
    "second",
    [[noise(90, 80, 1)], [noise(10, 10, 1), noise(9, 9, 2)]],
    ids=["source-grows", "out-grows"],
)
def test_a_buffer_grows_only_when_it_is_idle(cuda: Any, host: HostKernels, second: list[Image]) -> None:
    stream, first = cuda.Stream(), [noise(40, 40)]
    resizer = GpuResizer(cuda, stream, 16)
    memory = resizer.resize(first).memory
    seen: list[Any] = []
    stream.queue.append(lambda: seen.append(memory.copy()))
    out = resizer.resize(second)
    stream.synchronize()
    np.testing.assert_array_equal(seen[0].reshape(1, 16, 16, 3), host.resize(first, (16, 16)))
    np.testing.assert_array_equal(out.memory.reshape(-1, 16, 16, 3), host.resize(second, (16, 16)))


def test_buffers_are_reused(cuda: Any) -> None:
    resizer = GpuResizer(cuda, cuda.Stream(), 16)
    out = resizer.resize([noise(20, 20), noise(30, 30)])
    allocated = len(pycuda_double.KEPT)
    assert resizer.resize([noise(10, 10)]) is out
    assert len(pycuda_double.KEPT) == allocated
