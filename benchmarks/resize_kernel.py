"""Measures the resize kernel's memory bandwidth: one row of docs/measurements/gpu.md per size.

    python benchmarks/resize_kernel.py

Sources and results are counted once each, which is the minimum traffic of any kernel. The peak is the memory clock
(double data rate) times the bus width, as reported by the driver; a copy on the GPU shows how much of it is achievable.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from ssr_edge.common.errors import RuntimeUnavailable
from ssr_edge.images.preprocess import IMAGE_SIZE
from ssr_edge.runners.tensorrt.cuda import Cuda, open_cuda
from ssr_kernels.launch import GpuResizer

# Batch, height, width: larger than the caches.
BATCHES = ((256, 460, 700), (32, 3000, 4000))
COPIED = 1 << 29
RUNS = 20


def main() -> None:
    """Prints the table."""
    try:
        cuda = open_cuda("tensorrt")
    except RuntimeUnavailable as error:
        sys.exit(str(error))
    with cuda.current():
        peak = _peak(cuda)
        print(f"{cuda.name} ({cuda.architecture}), peak {peak / 1e9:.0f} GB/s, median of {RUNS}\n")
        print("| what | ms | GB/s | % of peak |\n|---|---|---|---|")
        for what, size, milliseconds in (_copy(cuda.driver), *(_resize(cuda.driver, *batch) for batch in BATCHES)):
            rate = size / milliseconds * 1000
            print(f"| {what} | {milliseconds:.3f} | {rate / 1e9:.0f} | {rate / peak:.0%} |")


def _peak(cuda: Cuda) -> float:
    attribute, device = cuda.driver.device_attribute, cuda.context.get_device()
    hertz = device.get_attribute(attribute.MEMORY_CLOCK_RATE) * 1e3
    return float(2 * hertz * device.get_attribute(attribute.GLOBAL_MEMORY_BUS_WIDTH) / 8)


def _copy(driver: Any) -> tuple[str, int, float]:
    source, target, stream = driver.mem_alloc(COPIED), driver.mem_alloc(COPIED), driver.Stream()
    milliseconds = _median(driver, stream, lambda: driver.memcpy_dtod_async(target, source, COPIED, stream))
    return "copy on the GPU", 2 * COPIED, milliseconds


def _resize(driver: Any, batch: int, height: int, width: int) -> tuple[str, int, float]:
    stream = driver.Stream()
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    resizer, size = GpuResizer(driver, stream), batch * IMAGE_SIZE * IMAGE_SIZE * 3
    out = driver.mem_alloc(size)
    launch = resizer.stage([image] * batch, int(out))
    return f"resize {batch} x {width}x{height}", image.nbytes * batch + size, _median(driver, stream, launch)


def _median(driver: Any, stream: Any, queue: Callable[[], None]) -> float:
    """Median milliseconds per call by the GPU's clock, without the first call."""
    times = []
    for _ in range(RUNS + 1):
        begin, end = driver.Event(), driver.Event()
        begin.record(stream)
        queue()
        end.record(stream)
        end.synchronize()
        times.append(end.time_since(begin))
    return float(np.median(times[1:]))


if __name__ == "__main__":
    main()
