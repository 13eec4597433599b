from __future__ import annotations

import numpy as np
import pytest

from ssr_edge.bench.profile.peaks import convolutions, measure_peaks, runs_in
from ssr_edge.runners.openvino.core import has_bf16, openvino_core
from ssr_edge.runners.openvino.runner import compile_options


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_the_kernels_are_of_the_precision_they_are_to_measure(precision: str) -> None:
    model, multiply_adds = convolutions(64, 7, precision)
    assert multiply_adds == 8 * 64 * 64 * 7 * 7
    compiled = openvino_core().compile_model(model, "CPU", compile_options(precision))
    assert [p for p in ("fp32", "bf16", "int8") if runs_in(compiled, p)] == [precision]
    (values,) = compiled(np.random.default_rng(0).random((1, 64, 7, 7), np.float32)).values()
    # Zeros would be multiplied fast on some machines.
    assert (values > 0).mean() > 0.2 and np.isfinite(values).all()


def test_peaks_are_of_what_the_cpu_has() -> None:
    peaks = measure_peaks(seconds=0.02)
    expected = {"fp32", "int8"} | ({"bf16"} if has_bf16(openvino_core()) else set())
    assert set(peaks.multiply_adds_per_s) == expected
    # No processor that runs this is outside.
    assert all(1e8 < rate < 1e15 for rate in peaks.multiply_adds_per_s.values())
    assert 1e7 < peaks.copy_bytes_per_s < 1e13
    assert 1e7 < peaks.cache_copy_bytes_per_s < 1e14
