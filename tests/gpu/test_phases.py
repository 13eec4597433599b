"""The benchmark's GPU measurements, checked against independent ones."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ssr_edge.bench.measure.phases import state_under_load
from ssr_edge.bundle.bundle import Bundle
from ssr_edge.machine.memory import device_mb
from ssr_edge.runners.base import TimesPhases
from ssr_edge.runners.choose import open_runner
from ssr_edge.runners.tensorrt.cuda import Cuda

pytestmark = pytest.mark.gpu

CALLS = 50


def _ms(call: Callable[[], Any]) -> float:
    started = time.perf_counter()
    call()
    return (time.perf_counter() - started) * 1000


@pytest.mark.parametrize("batch", [1, 8])
def test_phases_add_up_to_about_the_latency(batch: int, demo_bundle: Bundle, runtime: str) -> None:
    images = np.random.default_rng(0).integers(0, 256, (batch, 224, 224, 3), dtype=np.uint8)
    with open_runner(demo_bundle, runtime, "fp32") as runner:
        assert isinstance(runner, TimesPhases)
        for _ in range(CALLS):
            runner.infer(images)
        # Alternating, so that a change of the clock affects both.
        rows, latencies = [], []
        for _ in range(CALLS):
            rows.append(runner.phases(images))
            latencies.append(_ms(lambda: runner.infer(images)))
    h2d, compute, d2h = (
        float(np.median([getattr(row, name) for row in rows])) for name in ("h2d_ms", "compute_ms", "d2h_ms")
    )
    latency = float(np.median(latencies))
    assert min(h2d, compute, d2h) > 0
    # Latency also includes the copies to and from page-locked memory, and the wait for the stream.
    assert 0.4 * latency < h2d + compute + d2h < 1.1 * latency
    assert 0 < np.median([row.enqueue_ms for row in rows]) < 1.5 * latency


def test_memory_of_an_engine(demo_bundle: Bundle, runtime: str, cuda: Cuda) -> None:
    with open_runner(demo_bundle, runtime, "fp32"):
        held = device_mb()
        with cuda.current():
            free, total = cuda.driver.mem_get_info()
    if held is None:
        pytest.skip("NVML does not report this process's memory")
    assert 1 < held <= 1.05 * (total - free) / 1e6


def test_the_state_of_a_busy_gpu(demo_bundle: Bundle, runtime: str) -> None:
    pool = np.zeros((8, 224, 224, 3), np.uint8)
    with open_runner(demo_bundle, runtime, "fp32") as runner:
        state = state_under_load(runner, pool, 1.5)
    assert state is not None
    if state.reason is not None:
        pytest.skip(state.reason)
    assert "idle" not in state.throttled
    assert state.sm_clock_mhz is None or state.sm_clock_mhz > 100
