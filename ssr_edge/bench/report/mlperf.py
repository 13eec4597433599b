"""Says what keeps a run with --mlperf from being an MLPerf Inference result (mlcommons/inference_policies)."""

from __future__ import annotations

from collections.abc import Sequence

from ssr_edge.bench.measure.schedule import MLPERF, MLPERF_OFFLINE_SAMPLES
from ssr_edge.bench.report.report import Result

_SCENARIOS = ("single-stream", "multi-stream", "offline")


def departures(results: Sequence[Result]) -> list[str]:
    """What the rules ask for and this run has not, in words: always something, since LoadGen drives no engine here."""
    found = [
        "not an MLPerf result: MLPerf's scenarios and durations, without its LoadGen, its models and a review; "
        "engines take turns instead of running through"
    ]
    least_s = MLPERF.row_s or 0.0
    for row in results:
        if row.task.scenario not in _SCENARIOS:
            continue
        seconds = sum(ms for turn in row.times for ms in turn) / 1000
        images = sum(map(len, row.times)) * row.task.images_a_call
        name = f"{row.task.engine} {row.task.scenario}"
        if seconds < least_s:
            found.append(f"{name} was timed for {seconds:.0f} s, MLPerf asks for {least_s:.0f} s")
        if row.task.scenario == "offline" and images < MLPERF_OFFLINE_SAMPLES:
            found.append(f"{name} classified {images:,} images, MLPerf asks for {MLPERF_OFFLINE_SAMPLES:,}")
    return found
