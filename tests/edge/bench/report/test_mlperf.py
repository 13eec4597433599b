"""What a run with --mlperf says about itself."""

from __future__ import annotations

from ssr_edge.bench.measure.schedule import Task
from ssr_edge.bench.report.mlperf import departures
from tests.edge.bench.report.reports import make_report


def test_short_rows_and_few_images_are_named() -> None:
    single, offline, files = (Task("openvino-int8", s, 8) for s in ("single-stream", "offline", "end-to-end"))
    report = make_report({single: [[10.0] * 100] * 2, offline: [[100.0] * 50] * 2, files: [[10.0]]})
    found = departures(report.results)
    assert found[0].startswith("not an MLPerf result")
    assert found[1:] == [
        "openvino-int8 single-stream was timed for 2 s, MLPerf asks for 600 s",
        "openvino-int8 offline was timed for 10 s, MLPerf asks for 600 s",
        "openvino-int8 offline classified 800 images, MLPerf asks for 24,576",
    ]


def test_a_run_of_full_length_is_still_no_mlperf_result() -> None:
    offline = Task("openvino-int8", "offline", 8)
    report = make_report({offline: [[200.0] * 1600] * 2})
    [only] = departures(report.results)
    assert "without its LoadGen" in only
