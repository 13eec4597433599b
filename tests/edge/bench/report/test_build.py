"""The rows of bench.json for known call durations."""

from __future__ import annotations

import pytest

from ssr_edge.bench.measure.rounds import Warm
from ssr_edge.bench.measure.schedule import Scenario, Task
from ssr_edge.bench.report.build import counterpart, is_disturbed, result_rows, speedup_rows


@pytest.mark.parametrize(
    ("scenario", "batch", "images_per_second"),
    [("single-stream", 1, 25.0), ("multi-stream", 4, 200.0), ("offline", 16, 400.0), ("end-to-end", 8, 25.0)],
)
def test_images_per_second_at_a_median_of_40_ms(scenario: Scenario, batch: int, images_per_second: float) -> None:
    task = Task("e", scenario, batch)
    [row] = result_rows({task: [[30.0, 40.0], [40.0, 90.0]]}, {task: Warm(95.0, 41.0, 12, 0.51234)}, {"e": 123.5})
    assert (row.engine, row.scenario, row.batch, row.task) == ("e", scenario, batch, task)
    assert row.images_per_second == pytest.approx(images_per_second)
    assert (row.latency_ms.p50, row.latency_ms.max) == (40.0, 90.0)
    assert (row.calls, row.round_medians_ms, row.peak_rss_mb, row.first_call_ms) == (4, [35.0, 65.0], 123.5, 95.0)
    assert (row.warm_up.calls, row.warm_up.seconds) == (12, 0.512)


def test_speedups_are_per_image_and_relative_to_pytorch() -> None:
    times = {
        Task("openvino-fp32", "offline", 4): [[80.0], [80.0]],
        Task("torch-fp32", "offline", 2): [[100.0], [100.0]],
        Task("openvino-int8", "offline", 8): [[40.0], [40.0]],
        Task("openvino-int8", "live", 1): [[1.0], [1.0]],
    }
    # 50 ms per image for PyTorch, 20 and 5 for the others; live has no counterpart.
    assert [(row.engine, row.over, row.ratio, row.ci95) for row in speedup_rows(times, seed=0)] == [
        ("openvino-fp32", "torch-fp32", 2.5, (2.5, 2.5)),
        ("openvino-int8", "torch-fp32", 10.0, (10.0, 10.0)),
    ]
    del times[Task("torch-fp32", "offline", 2)]
    assert [(row.engine, row.over, row.ratio) for row in speedup_rows(times, seed=0)] == [
        ("openvino-int8", "openvino-fp32", 4.0)
    ]


def test_the_counterpart_has_the_same_batch_or_is_the_only_one() -> None:
    one, two, eight = (Task("torch-fp32", "offline", batch) for batch in (1, 2, 8))
    task = Task("openvino-int8", "offline", 8)
    assert counterpart(task, "torch-fp32", [one, eight]) == eight
    assert counterpart(task, "torch-fp32", [two]) == two
    assert counterpart(task, "torch-fp32", [one, two]) is None
    assert counterpart(task, None, [one]) is None


@pytest.mark.parametrize(("share", "disturbed"), [(None, False), (0.0, False), (0.05, False), (0.051, True)])
def test_a_run_is_disturbed_above_5_percent(share: float | None, disturbed: bool) -> None:
    assert is_disturbed(share) == disturbed
