from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest

from ssr_edge.bench.profile import peaks as module
from ssr_edge.bench.profile.peaks import convolutions, measure_peaks, runs_in
from ssr_edge.machine.environment import usable_cores
from ssr_edge.runners.openvino.core import has_bf16, openvino_core
from ssr_edge.runners.openvino.runner import compile_options


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_the_kernels_have_the_measured_precision(precision: str) -> None:
    model, multiply_adds = convolutions(64, 7, precision)
    assert multiply_adds == 8 * 64 * 64 * 7 * 7
    compiled = openvino_core().compile_model(model, "CPU", compile_options(precision))
    assert [p for p in ("fp32", "bf16", "int8") if runs_in(compiled, p)] == [precision]
    (values,) = compiled(np.random.default_rng(0).random((1, 64, 7, 7), np.float32)).values()
    # Some machines multiply zeros faster.
    assert (values > 0).mean() > 0.2 and np.isfinite(values).all()


@pytest.mark.slow
def test_peaks_cover_the_precisions_of_the_cpu() -> None:
    peaks = measure_peaks(seconds=0.02)
    expected = {"fp32", "int8"} | ({"bf16"} if has_bf16(openvino_core()) else set())
    assert set(peaks.multiply_adds_per_s) == expected
    # Copies in cache are at least as fast as those in memory, whatever was measured.
    assert peaks.cache_copy_bytes_per_s >= peaks.copy_bytes_per_s > 0


def test_rates_are_work_divided_by_the_shortest_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """With every call taking exactly 1 ms, the rates follow from the amounts of work alone."""

    def one_millisecond(call: Callable[[], object], seconds: float) -> float:
        call()
        return 0.001

    monkeypatch.setattr(module, "_fastest", one_millisecond)
    peaks = measure_peaks(seconds=0.02)
    # The largest shape: 8 convolutions of 256 to 256 channels at 56 x 56 pixels.
    assert peaks.multiply_adds_per_s["fp32"] == pytest.approx(1_644_167_168 / 0.001)
    assert peaks.multiply_adds_per_s["int8"] == pytest.approx(1_644_167_168 / 0.001)
    # 100 MiB per core, read and written; in cache the same number of bytes in 50 copies of 2 MiB.
    assert peaks.copy_bytes_per_s == usable_cores() * 104_857_600 / 0.001
    assert peaks.cache_copy_bytes_per_s == usable_cores() * 104_857_600 / 0.001


def test_the_shortest_of_the_calls_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    now, durations = [0.0], iter([9.0, 9.0, 9.0, 3.0, 1.0, 2.0, 5.0, 0.5])

    def call() -> None:
        now[0] += next(durations)

    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    # Three calls of warm-up; then calls start for 10 s: 3, 1, 2 and 5 s.
    assert module._fastest(call, 10.0) == 1.0
    assert next(durations) == 0.5
