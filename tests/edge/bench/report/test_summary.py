from __future__ import annotations

from pathlib import Path

import pytest

from ssr_edge.bench.measure.schedule import Task
from ssr_edge.bench.report.schema import NoiseRow
from ssr_edge.bench.report.summary import (
    accuracy_cost,
    describe_gpu,
    describe_noise,
    fastest,
    gpu_warnings,
    headline,
    mlperf_departures,
    summary,
)
from ssr_edge.evaluation.accuracy import Predicted
from ssr_edge.machine.energy import nvml
from ssr_edge.machine.energy.nvml import GpuState
from tests.edge.bench.report.reports import INT8, TORCH, make_bench, make_run, with_labels

_TIMES = {TORCH: [[60.0]], INT8: [[10.0]]}
STEADY = GpuState(1980, 64, 71.25)


def test_a_slower_engine_is_never_called_faster() -> None:
    text = summary(make_bench({TORCH: [[10.0]], INT8: [[20.0]]}))
    assert text.startswith("No engine is faster than torch-fp32")
    assert "0.50\N{MULTIPLICATION SIGN}" in text


def test_the_summary_marks_a_disturbed_run() -> None:
    quiet, disturbed, unknown = (make_bench(_TIMES, share) for share in (0.04, 0.37, None))
    assert summary(quiet) == summary(unknown) == headline(quiet)
    assert headline(quiet).startswith("openvino-int8 is 6.0\N{MULTIPLICATION SIGN} [6.0, 6.0] faster than torch-fp32")
    assert summary(disturbed).startswith("Not reliable: ") and "37%" in summary(disturbed)
    assert summary(disturbed).endswith(headline(quiet))
    assert [bench.disturbed for bench in (quiet, disturbed, unknown)] == [False, True, False]


def test_summary_without_a_baseline() -> None:
    bench = make_bench({INT8: [[20.0]]})
    assert "baseline" in summary(bench)
    assert fastest(bench) is None
    assert accuracy_cost(bench) is None


def test_accuracy_compared_with_the_baseline() -> None:
    predictions = {
        "torch-fp32": Predicted([0, 0, 1, 1], [0.9] * 4),
        "openvino-int8": Predicted([0, 1, 1, 1], [0.8] * 4),
    }
    paths = [Path(f"{number}.png") for number in range(4)]
    labeled = accuracy_cost(with_labels(make_run(_TIMES), paths, [0, 0, 1, 1], predictions).bench)
    # F1 is 2/3 for class 0 and 4/5 for class 1.
    assert labeled is not None
    assert "3 of 4 images" in labeled and "macro-F1 0.733 (torch-fp32: 1.000)" in labeled
    unlabeled = accuracy_cost(with_labels(make_run(_TIMES), paths, [None] * 4, predictions).bench)
    assert unlabeled is not None
    assert "3 of 4 images" in unlabeled and "unknown" in unlabeled and "macro-F1" not in unlabeled
    assert accuracy_cost(make_bench(_TIMES)) is None


def test_speedups_within_the_noise_are_warned_about() -> None:
    fp32 = Task("openvino-fp32", "single-stream", 1)
    bench = make_bench({TORCH: [[60.0]] * 3, fp32: [[58.0]] * 3, INT8: [[10.0]] * 3})
    assert describe_noise(bench) == []

    def with_noise(ratio: float, low: float, high: float) -> list[str]:
        row = NoiseRow(engine="openvino-int8", scenario="single-stream", batch=1, ratio=ratio, ci95=(low, high))
        return describe_noise(bench.model_copy(update={"noise": [row]}))

    noise, warning = with_noise(1.01, 0.98, 1.05)
    assert "openvino-int8" in noise and "single-stream 1.010 [0.980, 1.050]" in noise and "5.0%" in noise
    assert warning.startswith("Warning: openvino-fp32 single-stream: 1.03\N{MULTIPLICATION SIGN}")
    assert len(with_noise(1.0, 0.99, 1.01)) == 1


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (STEADY, "1980 MHz (not locked, according to NVML), 64 °C, 71.2 W"),
        (GpuState(1410, 50, 70.0, ["clocks set by the user"]), "1410 MHz (set by the user), 50 °C, 70.0 W"),
        (GpuState(None, 64, None, ["power limit"]), "64 °C, power limit"),
        (GpuState(), "unknown: not reported by the driver"),
        (GpuState(reason="no NVIDIA GPU"), "unknown: no NVIDIA GPU"),
    ],
)
def test_gpu_states(state: GpuState, text: str) -> None:
    assert describe_gpu(state) == text


def test_a_dropped_clock_is_a_warning_with_a_remedy() -> None:
    (warning,) = gpu_warnings(STEADY, GpuState(1600, 80, 70.0))
    assert "from 1980 to 1600 MHz" in warning and "nvidia-smi -lgc" in warning


# The limit is 5 %: 1881 MHz of 1980.
@pytest.mark.parametrize(
    ("before", "after", "warned"),
    [
        (1980, 1980, False),
        (1980, 1965, False),
        (1980, 1881, False),
        (1980, 1880, True),
        (1980, 0, True),
        (1980, 2100, False),
        (1980, None, False),
        (None, 1980, False),
        (None, None, False),
        (0, 0, False),
    ],
)
def test_only_a_clock_more_than_5_percent_lower_is_a_warning(
    before: int | None, after: int | None, warned: bool
) -> None:
    assert bool(gpu_warnings(GpuState(before), GpuState(after))) == warned


@pytest.mark.parametrize(
    "idle", [(STEADY, GpuState(210, 40, 9.0, ["idle"])), (GpuState(2100, 40, 9.0, ["idle"]), STEADY)]
)
def test_the_clock_of_an_idle_gpu_is_ignored(idle: tuple[GpuState, GpuState]) -> None:
    assert gpu_warnings(*idle) == []


def test_a_throttled_gpu_is_a_warning_with_its_reasons() -> None:
    hot = GpuState(1975, 90, 70.0, ["clocks set by the user", "power limit", "too hot (hardware)"])
    (after,) = gpu_warnings(STEADY, hot)
    assert "after the rounds" in after and after.endswith(": power limit, too hot (hardware)")
    before, after = gpu_warnings(hot, hot)
    assert "before the rounds" in before and "after the rounds" in after


def test_every_reason_of_nvml_is_harmless_or_a_warning() -> None:
    warned = {reason for reason in nvml._THROTTLED.values() if gpu_warnings(STEADY, GpuState(throttled=[reason]))}
    assert warned == {
        *("power limit", "slowed down by the hardware", "too hot (software)", "too hot (hardware)", "power brake")
    }


def test_mlperf_departures_name_short_rows_and_few_images() -> None:
    single, offline, files = (Task("openvino-int8", s, 8) for s in ("single-stream", "offline", "end-to-end"))
    found = mlperf_departures({single: [[10.0] * 100] * 2, offline: [[100.0] * 50] * 2, files: [[10.0]]})
    assert found[0].startswith("not an MLPerf result")
    rows = [
        ("openvino-int8 single-stream", "2 s", "600 s"),
        ("openvino-int8 offline", "10 s", "600 s"),
        ("openvino-int8 offline", "800 images", "24,576"),
    ]
    for line, (name, measured, required) in zip(found[1:], rows, strict=True):
        assert line.startswith(name) and f" {measured}" in line and line.endswith(required)


def test_a_run_of_full_length_is_still_not_an_mlperf_result() -> None:
    [only] = mlperf_departures({Task("openvino-int8", "offline", 8): [[200.0] * 1600] * 2})
    assert "without its LoadGen" in only
